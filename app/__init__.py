"""The edge of Servicebook: everything that touches the world.

settings    the only reader of the environment
embedded    PostgreSQL and S3 on a laptop
access      who is calling: API tokens
cli         the commands of `servicebook`
gathering   many who want one thing each, answered by one search
"""
