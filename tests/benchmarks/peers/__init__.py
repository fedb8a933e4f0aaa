"""What the product's reads are measured against, over the same read models.

bare     a Starlette handler with one statement written by hand
loaders  strawberry with data loaders
"""
