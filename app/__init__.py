"""The edge of Servicebook: everything that touches the world.

settings    the only reader of the environment
embedded    PostgreSQL and S3 on a laptop
access      who is calling: API tokens
cli         the commands of `servicebook`
gathering   many who want one thing each, answered by one search
timers      of one length, at little cost for what is done before they end
uuids       made of their bytes, at less cost than the class takes
"""
