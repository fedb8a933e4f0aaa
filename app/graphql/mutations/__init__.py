"""What can be changed: each mutation is one command.

inputs          what mutations are given
payloads        what they answer when they succeed
refusing        a refusal of the domain as a type of the schema
carrying_out    from an input to a command, and from its outcome to the answer
access, projects, services, deployments   the mutations
"""

from strawberry import tools

from app.graphql.mutations import access, deployments, projects, services

Mutation = tools.create_type(
    "Mutation",
    [*access.FIELDS, *projects.FIELDS, *services.FIELDS, *deployments.FIELDS],
    description="What can be changed. Each mutation succeeds or is refused; refused, it changes "
    "nothing.",
)
