"""Who is calling.

caller      the caller of a request and what it may do
tokens      API tokens: made once, shown once, kept as a hash
"""
