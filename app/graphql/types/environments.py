"""Environments: what runs in them, and how it is deployed."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.graphql import source
from app.graphql.compiler import documents
from app.graphql.types import enums, filters, orders
from app.graphql.types.deployments import Deployment, DeploymentPlan
from app.graphql.types.nodes import Connection, Node
from app.graphql.types.projects import Project
from app.graphql.types.scalars import JSON, DateTime

if TYPE_CHECKING:
    from app.graphql.types.service_instances import ServiceInstance

_SERVICE_INSTANCES = "app.graphql.types.service_instances"


@strawberry.type(description="A variable of a revision: where its value comes from, no value.")
class RevisionVariable:
    """A variable of a revision."""

    name: str = source.column("name", description="The name that the application reads.")
    instance: Annotated["ServiceInstance", strawberry.lazy(_SERVICE_INSTANCES)] = source.one(
        "{there}.id = {here}.service_instance_id", description="The instance that it leads to."
    )
    secret_version: int = source.column(
        "secret_version", description="Which version of the instance's credentials it holds."
    )


@source.rows(schema="read", table="revisions")
@strawberry.type(description="The configuration of a successful deployment.")
class Revision:
    """The configuration of a successful deployment."""

    number: int = source.column("number", description="Counts the environment's revisions.")
    deployed_at: DateTime = source.column("deployed_at", description="Since when it ran.")
    deployment: Deployment = source.one(
        "{there}.id = {here}.deployment_id", description="The deployment that made it."
    )
    variables: list[RevisionVariable] = source.many(
        "true",
        rows="jsonb_to_recordset({here}.variables) AS {there}"
        "(name text, service_instance_id uuid, secret_version int4)",
        order="{there}.name",
        description="Its variables, by name.",
    )


@strawberry.type(description="What carries deployments to the application.")
class DeployerSettings:
    """What carries deployments to the application."""

    kind: enums.DeployerKind = source.sql(
        "upper({here}.deployer)", description="The kind of deployer."
    )
    settings: JSON = source.column("deployer_settings", description="Its settings.")
    secrets_set: list[str] = source.column(
        "deployer_secret_names", description="The names of its secrets that are set."
    )


_FACTS = """json_build_object(
    'environment_id', {here}.id,
    'position', greatest({here}.position, (SELECT max(i.position)
        FROM read.service_instances AS i WHERE i.environment_id = {here}.id)),
    'unavailable_offerings', (SELECT coalesce(json_agg(o.name), '[]'::json)
        FROM read.offerings AS o WHERE NOT o.is_configured),
    'instances', (SELECT coalesce(json_agg(row_to_json(i) ORDER BY i.created_at, i.id), '[]'::json)
        FROM read.service_instances AS i
        WHERE i.environment_id = {here}.id AND i.state <> 'REMOVED'))"""


@source.rows(schema="read", table="environments")
@strawberry.type(description="An environment of a project, such as test or live.")
class Environment(Node):
    """An environment of a project."""

    id: strawberry.ID = source.node_id("env")
    name: str = source.column("name", description="The name, unique in the project.")
    project: Project = source.one(
        "{there}.id = {here}.project_id", description="The project that it belongs to."
    )
    created_at: DateTime = source.column("created_at", description="When it was created.")
    version: int = source.column(
        "version", description="Rises with each change, for `expectedVersion`."
    )
    protected: bool = source.column(
        "protected", description="Is the removal of new services guarded from the start?"
    )
    deleted: bool = source.column(
        "is_deleted", description="Is it gone? Its history stays readable."
    )
    service_instances: Connection[
        Annotated["ServiceInstance", strawberry.lazy(_SERVICE_INSTANCES)]
    ] = source.connection(
        "{there}.environment_id = {here}.id",
        orders=orders.SERVICE_INSTANCES,
        filters=filters.SERVICE_INSTANCES,
        arguments=filters.SERVICE_INSTANCE_ARGUMENTS,
        description="Its service instances, removed ones included.",
    )
    running_revision: Revision | None = source.one(
        "{there}.environment_id = {here}.id AND {there}.number = {here}.running_revision",
        description="What the application runs with; null before the first deployment.",
    )
    deployment_plan: DeploymentPlan = source.field(
        documents.Computed(
            name="deployment_plan",
            facts=_FACTS,
            referred="{there}.environment_id = {here}.id AND {there}.state <> 'REMOVED'",
        ),
        description="What a deployment would do now. Asking changes nothing.",
    )
    running_deployment: Deployment | None = source.one(
        "{there}.id = {here}.running_deployment_id",
        description="The deployment that runs at the moment, if any.",
    )
    deployments: Connection[Deployment] = source.connection(
        "{there}.environment_id = {here}.id",
        orders=orders.DEPLOYMENTS,
        description="Its deployments, newest first.",
    )
    deployer: DeployerSettings = source.embedded(
        description="What carries its deployments to the application."
    )
