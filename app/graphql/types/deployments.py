"""Deployments, and what they do."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.graphql import source
from app.graphql.types import enums
from app.graphql.types.nodes import Node
from app.graphql.types.scalars import DateTime

if TYPE_CHECKING:
    from app.graphql.types.environments import Environment
    from app.graphql.types.service_instances import ServiceInstance

_ENVIRONMENTS = "app.graphql.types.environments"
_SERVICE_INSTANCES = "app.graphql.types.service_instances"


@strawberry.type(description="What a deployment does with one service instance.")
class PlannedAction:
    """What a deployment does with one service instance."""

    kind: enums.PlannedActionKind = source.item("kind", description="What is done.")
    instance: Annotated["ServiceInstance", strawberry.lazy(_SERVICE_INSTANCES)] = source.reference(
        "service_instance_id", description="The instance."
    )


@strawberry.type(description="Something to know about a plan before it is carried out.")
class PlanNote:
    """Something to know about a plan."""

    code: str = source.item("code", description="The reason, for programs.")
    message: str = source.item("message", description="The reason, for people.")
    instance: Annotated["ServiceInstance", strawberry.lazy(_SERVICE_INSTANCES)] | None = (
        source.reference("service_instance_id", description="The instance that it is about.")
    )


@strawberry.type(description="What a deployment would do, or did.")
class DeploymentPlan:
    """What a deployment would do, or did."""

    digest: str = source.item(
        "digest",
        description="Stands for the whole plan: `deploy(expectedPlan:)` does this plan or nothing.",
    )
    actions: list[PlannedAction] = source.items(
        "actions", description="What is done with each instance."
    )
    variables_added: list[str] = source.item(
        "variables_added", description="Names of variables that the application gets."
    )
    variables_removed: list[str] = source.item(
        "variables_removed",
        description="Names of variables that disappear: the application must not need them.",
    )
    variables_changed: list[str] = source.item(
        "variables_changed", description="Names of variables that get another value."
    )
    blockers: list[PlanNote] = source.items(
        "blockers", description="What stands in the way; with any, `deploy` is refused."
    )
    warnings: list[PlanNote] = source.items(
        "warnings", description="What to think about before deploying."
    )


@strawberry.type(description="Why a deployment failed.")
class DeploymentError:
    """Why a deployment failed."""

    step: enums.DeploymentStep = source.column("error_step", description="Where it failed.")
    code: str = source.column("error_code", description="The reason, for programs.")
    message: str = source.column("error_message", description="The reason, for people.")


@strawberry.type(description="A step that a deployment reached.")
class DeploymentStepTaken:
    """A step that a deployment reached."""

    step: enums.DeploymentStep = source.item("step", description="Which step.")
    started_at: DateTime = source.item("started_at", description="When it was reached.")
    ended_at: DateTime | None = source.item(
        "ended_at", description="When the next one was reached, or the deployment ended."
    )


@source.rows(schema="read", table="deployments")
@strawberry.type(
    description="A deployment: it puts what is wanted in an environment into effect, or nothing."
)
class Deployment(Node):
    """A deployment."""

    id: strawberry.ID = source.node_id("dep")
    environment: Annotated["Environment", strawberry.lazy(_ENVIRONMENTS)] = source.one(
        "{there}.id = {here}.environment_id", description="The environment that it deploys."
    )
    number: int = source.column("number", description="Counts the environment's deployments.")
    status: enums.DeploymentStatus = source.column("status", description="How it stands.")
    step: enums.DeploymentStep = source.column("step", description="The step it is at, or ended.")
    steps: list[DeploymentStepTaken] = source.many(
        "true",
        rows="jsonb_array_elements({here}.steps) WITH ORDINALITY AS {there}(document, place)",
        order="{there}.place",
        description="The steps that it reached so far, in order.",
    )
    attempt: int = source.column(
        "attempt", description="Counts how often the release was handed to the deployer."
    )
    next_attempt_at: DateTime | None = source.column(
        "next_attempt_at", description="When the release is handed over next, if it was put off."
    )
    delay_message: str | None = source.column(
        "delay_message", description="Why the release was put off last, if it was."
    )
    output: str | None = source.column(
        "output",
        description="The end of what the release wrote, without secrets, once it ended; what was"
        " told with its success, if that was reported.",
    )
    error: DeploymentError | None = source.embedded(
        when="{here}.error_code IS NOT NULL", description="Why it failed, if it did."
    )
    plan: DeploymentPlan = source.one(
        "true",
        rows="(SELECT {here}.plan AS document) AS {there}",
        description="The plan that it follows, as it was when the deployment began.",
    )
    started_at: DateTime = source.column("started_at", description="When it began.")
    ended_at: DateTime | None = source.column(
        "ended_at", description="When it ended; null while it runs."
    )
    deadline: DateTime = source.column("deadline", description="When it ends at the latest.")
    requested_by: str = source.column("requested_by", description="Who asked for it.")
    revision: int | None = source.column(
        "revision", description="The number of the revision that it made; null if it made none."
    )
    version: int = source.column("version", description="Rises with each change.")
