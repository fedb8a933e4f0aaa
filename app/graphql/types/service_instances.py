"""Service instances: what they are, what is under way, what happened."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.graphql import source
from app.graphql.types import enums, orders
from app.graphql.types.audit import AuditEvent
from app.graphql.types.catalogue import Offering
from app.graphql.types.deployments import Deployment
from app.graphql.types.nodes import Connection, Node
from app.graphql.types.scalars import JSON, DateTime, Position

if TYPE_CHECKING:
    from app.graphql.types.environments import Environment

_ENVIRONMENTS = "app.graphql.types.environments"


@strawberry.type(description="Why an operation failed or is delayed.")
class OperationError:
    """Why an operation failed or is delayed."""

    code: str = source.column("operation_error_code", description="The reason, for programs.")
    message: str = source.sql(
        "coalesce({here}.operation_error_message, '')", description="The reason, for people."
    )


@strawberry.type(description="What a provider is doing for a service instance, or could not do.")
class Operation:
    """What a provider is doing for a service instance, or could not do."""

    kind: enums.OperationKind = source.column(
        "operation_kind", description="What the provider was asked."
    )
    status: enums.OperationStatus = source.column("operation_status", description="How it stands.")
    error: OperationError | None = source.embedded(
        when="{here}.operation_error_code IS NOT NULL",
        description="Why it failed, or what held it up last.",
    )
    attempt: int = source.column("operation_attempt", description="Counts the attempts.")
    started_at: DateTime = source.column("operation_started_at", description="When it began.")
    deadline: DateTime = source.column(
        "operation_deadline", description="When it is given up at the latest."
    )
    next_attempt_at: DateTime | None = source.column(
        "operation_next_attempt_at", description="When it is tried again, if that is planned."
    )


@strawberry.type(description="The part of a service instance in a running deployment.")
class DeploymentRole:
    """The part of a service instance in a running deployment."""

    deployment: Deployment = source.one(
        "{there}.id = {here}.deployment_id", description="The deployment."
    )
    role: enums.RoleInDeployment = source.column(
        "deployment_role", description="What it does with the instance."
    )


@source.rows(schema="read", table="lifecycle_history")
@strawberry.type(description="Something that happened to a service instance.")
class LifecycleEntry:
    """Something that happened to a service instance."""

    position: Position = source.column("position", description="Its place in the log.")
    event: str = source.column("event", description="The name of the event.")
    state: enums.ServiceInstanceState = source.column(
        "state", description="The state of the instance since then."
    )
    sentence: str = source.column("sentence", description="What happened, in words.")
    actor: str = source.column("actor", description="Who or what caused it.")
    reason: str | None = source.column(
        "reason", description="Why, if somebody said so; `erased` if that person is."
    )
    recorded_at: DateTime = source.column("recorded_at", description="When it was recorded.")
    deployment: Deployment | None = source.one(
        "{there}.id = {here}.deployment_id", description="The deployment that it belongs to."
    )
    details: JSON = source.column("details", description="What else the event tells.")
    correlation_id: strawberry.ID = source.column(
        "correlation_id", description="The same for everything that one command led to."
    )
    record: AuditEvent = source.one(
        "{there}.position = {here}.position",
        description="The same in the log: what led to it, and what followed from it.",
    )


@source.rows(schema="read", table="service_instances")
@strawberry.type(description="One offering in one environment, under a prefix.")
class ServiceInstance(Node):
    """One offering in one environment, under a prefix."""

    id: strawberry.ID = source.node_id("svc")
    environment: Annotated["Environment", strawberry.lazy(_ENVIRONMENTS)] = source.one(
        "{there}.id = {here}.environment_id", description="The environment that it belongs to."
    )
    offering: Offering = source.one(
        "true",
        rows="(SELECT asked.name, coalesce(o.title, asked.name) AS title,"
        " coalesce(o.description, '') AS description, {here}.kind AS kind,"
        " coalesce(o.is_configured, false) AS is_configured,"
        " coalesce(o.is_retired, true) AS is_retired, coalesce(o.plans, '[]'::jsonb) AS plans"
        " FROM (SELECT {here}.offering AS name) AS asked"
        " LEFT JOIN read.offerings AS o ON o.name = asked.name) AS {there}",
        description="What it is an instance of.",
    )
    kind: enums.ServiceKind = source.column("kind", description="What it is for.")
    plan: str = source.column("plan", description="The name of the plan in force.")
    next_plan: str | None = source.column(
        "next_plan", description="The plan that the provider is asked to change to, if any."
    )
    region: str = source.column("region", description="Where the resource is.")
    prefix: str = source.column("prefix", description="What its variables begin with.")
    parameters: JSON = source.column("parameters", description="The parameters in force.")
    next_parameters: JSON | None = source.column(
        "next_parameters", description="The parameters that are being changed to, if any."
    )
    state: enums.ServiceInstanceState = source.column("state", description="The public state.")
    functional: bool = source.column(
        "functional", description="Is the resource there and not under removal?"
    )
    usable_by_application: bool = source.column(
        "usable", description="Does the running application have its variables?"
    )
    wanted: bool = source.column("wanted", description="Will the next deployment attach it?")
    parked: bool = source.column(
        "parked", description="Is it new and not wanted, so that deployments leave it alone?"
    )
    protected: bool = source.column(
        "protected", description="Is removal refused until the protection is off?"
    )
    abandoned: bool = source.column(
        "abandoned", description="Did an operator give up removing its resource?"
    )
    operation: Operation | None = source.embedded(
        when="{here}.operation_id IS NOT NULL",
        description="What the provider is doing, or could not do.",
    )
    removal_requested: bool = source.column(
        "removal_requested", description="Was its removal accepted?"
    )
    removal_scheduled_for: DateTime | None = source.column(
        "removal_scheduled_for", description="When the removal begins, if it waits for a date."
    )
    in_deployment: DeploymentRole | None = source.embedded(
        when="{here}.deployment_id IS NOT NULL",
        description="Its part in the running deployment, if it has one.",
    )
    variable_names: list[str] = source.sql(
        "to_json({here}.variable_names)", description="The names of its variables."
    )
    secret_version: int = source.column(
        "secret_version", description="The newest version of its credentials; 0 if there is none."
    )
    confirmation: str = source.column(
        "confirmation", description="The text that `removeService(confirm:)` wants."
    )
    created_at: DateTime = source.column("created_at", description="When it was added.")
    updated_at: DateTime = source.column("updated_at", description="When it last changed.")
    version: int = source.column(
        "version", description="Rises with each change, for `expectedVersion`."
    )
    history: Connection[LifecycleEntry] = source.connection(
        "{there}.service_instance_id = {here}.id AND {there}.position <= {here}.position",
        orders=orders.HISTORY,
        description="What happened to it, oldest first.",
    )
