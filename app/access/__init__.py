"""Who is calling.

caller      the caller of a request, and how far its token reaches
bearer      tokens as HTTP carries them
tokens      API tokens: made once, shown once, kept as a hash
last_use    when a token was used last, written now and then
oidc        tokens of an OpenID provider
issuer_keys its keys, fetched when they are needed and not more often than that
sign_in     from whatever somebody presents to a caller; who was there just now is remembered

What a caller may do is decided in `app.application.permissions`; what it sees, by the
statements of `app.graphql.compiler.access`.
"""
