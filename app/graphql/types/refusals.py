"""Why a command was refused: one type for each kind of data that goes with it."""

import strawberry

from app.graphql import source
from app.graphql.types import enums
from app.graphql.types.deployments import Deployment, DeploymentPlan
from app.graphql.types.nodes import Node


def _field(description: str) -> source.Field:
    return strawberry.field(description=description)


@strawberry.interface(description="A rule stood in the way; nothing changed.")
class Refusal:
    """A rule stood in the way; nothing changed."""

    code: enums.RefusalCode = _field("The reason, for programs.")
    message: str = _field("What was asked, what stands in the way, and what would help.")


@strawberry.type(description="The caller may not do this.")
class PermissionRefusal(Refusal):
    """The caller may not do this."""


@strawberry.type(description="The state of the thing stands in the way.")
class StateRefusal(Refusal):
    """The state of the thing stands in the way."""

    current_state: enums.ServiceInstanceState | None = _field(
        "The state of the service instance, if it is about one."
    )


@strawberry.type(
    description="Somebody else changed the thing, or the idempotency key was used before."
)
class ConflictRefusal(Refusal):
    """Somebody else changed the thing, or the idempotency key was used before."""

    current_version: int | None = _field("The version of the thing now.")


@strawberry.type(description="There is no such thing, or none that the caller may see.")
class NotFoundRefusal(Refusal):
    """There is no such thing, or none that the caller may see."""

    id: strawberry.ID = _field("The id that was given.")


@strawberry.type(description="One thing that is wrong with an input.")
class InputProblem:
    """One thing that is wrong with an input."""

    path: str = _field("Where: the name of the argument, and the way into it.")
    message: str = _field("What is wrong.")


@strawberry.type(description="The input is not acceptable.")
class InputRefusal(Refusal):
    """The input is not acceptable."""

    problems: list[InputProblem] = _field("Everything that is wrong.")


@strawberry.type(description="Something else holds the name.")
class TakenRefusal(Refusal):
    """Something else holds the name."""

    holder: Node | None = source.changed_node("holder", description="What holds it.")


@strawberry.type(description="No unit of the offering is free.")
class QuotaRefusal(Refusal):
    """No unit of the offering is free."""

    offering: str = _field("The name of the offering.")
    limit: int = _field("How many units the project has.")
    used: int = _field("How many it uses.")


@strawberry.type(description="Data would be destroyed: repeat with the expected text.")
class ConfirmationRefusal(Refusal):
    """Data would be destroyed."""

    expected: str = _field("The text for `confirm`.")


@strawberry.type(description="A deployment stands in the way, or is past what was asked.")
class DeploymentRefusal(Refusal):
    """A deployment stands in the way, or is past what was asked."""

    deployment: Deployment = source.changed("deployment", description="The deployment.")


@strawberry.type(description="The plan is not the approved one, or cannot be carried out.")
class PlanRefusal(Refusal):
    """The plan is not the approved one, or cannot be carried out."""

    current_plan: DeploymentPlan = source.given_document(
        "current_plan", description="What a deployment would do now."
    )
    added: list[str] = _field("What the current plan does beyond the approved one, in words.")
    removed: list[str] = _field("What the approved plan did beyond the current one, in words.")


ALL: tuple[type[Refusal], ...] = (
    PermissionRefusal,
    StateRefusal,
    ConflictRefusal,
    NotFoundRefusal,
    InputRefusal,
    TakenRefusal,
    QuotaRefusal,
    ConfirmationRefusal,
    DeploymentRefusal,
    PlanRefusal,
)
"""What a mutation may answer instead of success."""
