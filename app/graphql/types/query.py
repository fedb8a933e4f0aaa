"""The doors to everything that can be read."""

from collections.abc import Mapping
from typing import Any

import strawberry

from app.graphql import context, identifiers, source
from app.graphql.compiler import moments, nodes, sources
from app.graphql.types import audit, filters, orders, proofs, scalars
from app.graphql.types.api_tokens import ApiToken
from app.graphql.types.catalogue import Offering
from app.graphql.types.deployments import Deployment
from app.graphql.types.environments import Environment
from app.graphql.types.history import HistoryDiff
from app.graphql.types.nodes import Connection, Node
from app.graphql.types.projects import Project
from app.graphql.types.service_instances import ServiceInstance
from app.graphql.types.viewer import Viewer, viewer_of

_LARGEST_NODES = 100


@strawberry.input(description="Names an environment within its project.")
class EnvironmentName:
    """Names an environment within its project."""

    project: strawberry.ID = strawberry.field(description="The id of the project.")
    name: str = strawberry.field(description="The name of the environment.")


@strawberry.input(one_of=True, description="Which environment: by its id or by its name.")
class EnvironmentKey:
    """Which environment."""

    id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The id of the environment."
    )
    named: EnvironmentName | None = strawberry.field(
        default=strawberry.UNSET, description="Its project and name."
    )


@strawberry.input(one_of=True, description="A moment of the past, by position or by time.")
class Moment:
    """A moment of the past."""

    position: scalars.Position | None = strawberry.field(
        default=strawberry.UNSET, description="After the event at this place of the log."
    )
    time: scalars.DateTime | None = strawberry.field(
        default=strawberry.UNSET, description="At this time."
    )


_EITHER_ENVIRONMENT = sources.Either(
    argument="by",
    options={
        "id": sources.One(
            "{there}.id = {id}::uuid",
            given={"id": source.id_of("Environment", "by", "id")},
            is_outside=True,
        ),
        "named": sources.One(
            "{there}.project_id = {project}::uuid AND {there}.name = {name}::text"
            " AND NOT {there}.is_deleted",
            given={
                "project": source.id_of("Project", "by", "named", "project"),
                "name": lambda arguments: arguments["by"]["named"]["name"],
            },
            is_outside=True,
        ),
    },
)


def _environment_key(arguments: Mapping[str, Any]) -> moments.Key:
    by = arguments["by"]
    if by.get("id") is not None:
        return identifiers.uuid_of(by["id"], type_name="Environment")
    project = identifiers.uuid_of(by["named"]["project"], type_name="Project")
    return None if project is None else (project, by["named"]["name"])


def _instance_key(arguments: Mapping[str, Any]) -> moments.Key:
    return identifiers.uuid_of(arguments["id"], type_name="ServiceInstance")


def _id(description: str) -> source.Argument:
    return source.argument("id", strawberry.ID, description)


async def _viewer_of(asking: context.Context) -> Viewer | None:
    who = asking.caller
    return None if who is None else await viewer_of(who, use_cases=asking.application)


async def _viewer(info: context.Info) -> Viewer | None:
    return await _viewer_of(info.context)


@strawberry.type(description="What can be read. Reading changes nothing.")
class Query:
    """What can be read."""

    viewer: Viewer | None = strawberry.field(
        resolver=_viewer,
        metadata={"value": _viewer_of},
        description="Who is asking; null without a token.",
    )
    node: Node | None = source.field(
        nodes.Node(parse=identifiers.parsed),
        arguments=[_id("The id of a project, environment, service instance or deployment.")],
        description="Anything by its id; null if there is no such thing.",
    )
    nodes: list[Node | None] = source.field(
        nodes.Nodes(
            parse=identifiers.parsed,
            type_names=tuple(identifiers.TYPES.values()),
            limit=_LARGEST_NODES,
        ),
        arguments=[source.argument("ids", list[strawberry.ID], "The ids, 100 at most.")],
        description="Several things by their ids, each in its place; null where there is none.",
    )
    catalogue: list[Offering] | None = source.many(
        "true",
        order="{there}.position_in_list, {there}.name",
        description="What can be added to an environment.",
    )
    project: Project | None = source.asked(
        "{there}.id = {id}::uuid",
        given={"id": source.id_of("Project")},
        arguments=[_id("The id of the project.")],
        description="A project by its id.",
    )
    projects: Connection[Project] | None = source.connection(
        "true",
        orders=orders.PROJECTS,
        is_outside=True,
        description="All projects that the caller sees, oldest first.",
    )
    environment: Environment | None = source.field(
        moments.AtMoment(
            now=_EITHER_ENVIRONMENT,
            key=_environment_key,
            below=("service_instances", "deployments"),
        ),
        arguments=[
            source.argument("by", EnvironmentKey, "Which one."),
            source.argument(
                "at",
                Moment | None,
                "As it was then, with its services and deployments as they were; null before it"
                " was created. Now if not given. What one command did is shown as a whole, from"
                " its first event on; a history goes up to the moment itself.",
            ),
        ],
        description="An environment by its id, or by its name in a project, now or as it was.",
    )
    service_instance: ServiceInstance | None = source.field(
        moments.AtMoment(
            now=sources.One(
                "{there}.id = {id}::uuid",
                given={"id": source.id_of("ServiceInstance")},
                is_outside=True,
            ),
            key=_instance_key,
        ),
        arguments=[
            _id("The id of the service instance."),
            source.argument(
                "at", Moment | None, "As it was then; null before it was added. Now if not given."
            ),
        ],
        description="A service instance by its id, now or as it was.",
    )
    service_instances: Connection[ServiceInstance] | None = source.connection(
        "true",
        orders=orders.SERVICE_INSTANCES,
        filters=filters.SERVICE_INSTANCES,
        arguments=filters.SERVICE_INSTANCE_ARGUMENTS,
        is_outside=True,
        description="Service instances of all these projects, removed ones included.",
    )
    history_diff: HistoryDiff | None = source.field(
        moments.Differing(parse=identifiers.parsed, type_names=("ServiceInstance", "Environment")),
        arguments=[
            _id("The id of a service instance or an environment."),
            source.argument("from", Moment, "The earlier moment."),
            source.argument("to", Moment | None, "The later moment; now if not given."),
        ],
        description="What is different in a service instance, or an environment with its services,"
        " between two moments; null if there is no such thing.",
    )
    deployment: Deployment | None = source.asked(
        "{there}.id = {id}::uuid",
        given={"id": source.id_of("Deployment")},
        arguments=[_id("The id of the deployment.")],
        description="A deployment by its id.",
    )
    unfinished_removals: Connection[ServiceInstance] | None = source.connection(
        "({there}.resource = 'DELETING' OR {there}.removal_requested"
        " AND {there}.state <> 'REMOVED')",
        orders=orders.SERVICE_INSTANCES[:1],
        is_outside=True,
        is_two_way=False,
        description="Service instances whose removal was accepted and has not ended.",
    )
    orphans: Connection[ServiceInstance] | None = source.connection(
        "{there}.abandoned",
        orders=orders.SERVICE_INSTANCES[:1],
        is_outside=True,
        is_two_way=False,
        description="Removed instances whose resource was left behind; it may still cost money.",
    )
    tokens: Connection[ApiToken] | None = source.connection(
        "true",
        orders=orders.API_TOKENS,
        is_outside=True,
        is_two_way=False,
        description="API tokens, oldest first; for operators and auditors, others see none.",
    )
    audit_events: Connection[audit.AuditEvent] | None = source.connection(
        "true",
        orders=orders.EVENTS,
        filters=filters.EVENTS,
        arguments=[
            source.argument("filter", filters.AuditEventFilter | None, "Which ones."),
        ],
        is_outside=True,
        is_two_way=False,
        description="Everything that happened in projects that the caller sees, oldest first;"
        " operators and auditors see the rest too. The cursor is the position.",
    )
    audit_checkpoint: proofs.AuditCheckpoint | None = strawberry.field(
        resolver=proofs.checkpoint,
        metadata={"value": proofs.checkpoint_of},
        description="A signed state of the log: the newest one, or that of a size; null if there"
        " is none.",
    )
    inclusion_proof: proofs.InclusionProof | None = strawberry.field(
        resolver=proofs.inclusion,
        metadata={"value": proofs.inclusion_of},
        description="The proof that an event is in the log; null if no checkpoint covers it yet.",
    )
    consistency_proof: proofs.ConsistencyProof | None = strawberry.field(
        resolver=proofs.consistency,
        metadata={"value": proofs.consistency_of},
        description="The proof that the log only grew between two checkpoints; null if there are"
        " none of these sizes.",
    )
