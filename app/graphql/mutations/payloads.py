"""What mutations answer when they succeed: what changed, as it is then, and its position."""

import strawberry

from app.graphql import source
from app.graphql.types import scalars
from app.graphql.types.api_tokens import ApiToken
from app.graphql.types.deployments import Deployment
from app.graphql.types.environments import Environment
from app.graphql.types.projects import Project
from app.graphql.types.service_instances import ServiceInstance
from app.graphql.types.viewer import Viewer


@strawberry.type
class _Done:
    position: scalars.Position = strawberry.field(description="The place of the change in the log.")


@strawberry.type
class _ProjectChanged(_Done):
    project: Project = source.changed("project", description="The project, after the change.")


@strawberry.type
class _EnvironmentChanged(_Done):
    environment: Environment = source.changed(
        "environment", description="The environment, after the change."
    )


@strawberry.type
class _ServiceChanged(_Done):
    service_instance: ServiceInstance = source.changed(
        "service_instance", description="The service instance, after the change."
    )


@strawberry.type
class _DeploymentChanged(_Done):
    deployment: Deployment = source.changed(
        "deployment", description="The deployment, after the change."
    )


@strawberry.type
class _ViewerChanged(_Done):
    viewer: Viewer = strawberry.field(description="Who asked, after the change.")


@strawberry.type
class _TokenChanged(_Done):
    token: ApiToken = source.changed("token", description="The token, after the change.")


@strawberry.type(description="The caller has signed up.")
class JoinBetaSuccess(_ViewerChanged):
    """The caller has signed up."""


@strawberry.type(description="The caller does without.")
class LeaveBetaSuccess(_ViewerChanged):
    """The caller does without."""


@strawberry.type(description="The token is made.")
class CreateTokenSuccess(_TokenChanged):
    """The token is made."""

    secret: str | None = strawberry.field(
        description="The token itself: keep it. Null if it was told before, under the same key."
    )


@strawberry.type(description="The token is void.")
class RevokeTokenSuccess(_TokenChanged):
    """The token is void."""


@strawberry.type(description="The person is forgotten.")
class ErasePersonSuccess(_Done):
    """The person is forgotten."""

    subject: str = strawberry.field(description="Whose texts are erased.")


@strawberry.type(description="A variable with its secret value.")
class RevealedVariable:
    """A variable with its secret value."""

    name: str = strawberry.field(description="The name.")
    value: str = strawberry.field(description="The value: keep it to yourself.")


@strawberry.type(description="The credentials.")
class RevealCredentialsSuccess(_ServiceChanged):
    """The credentials."""

    variables: list[RevealedVariable] = strawberry.field(
        description="The variables that an application gets."
    )


@strawberry.type(description="The project exists.")
class CreateProjectSuccess(_ProjectChanged):
    """The project exists."""


@strawberry.type(description="The subscription is changed.")
class SetSubscriptionSuccess(_ProjectChanged):
    """The subscription is changed."""


@strawberry.type(description="The person is a member.")
class AddMemberSuccess(_ProjectChanged):
    """The person is a member."""


@strawberry.type(description="The person is no member.")
class RemoveMemberSuccess(_ProjectChanged):
    """The person is no member."""


@strawberry.type(description="The environment exists.")
class CreateEnvironmentSuccess(_EnvironmentChanged):
    """The environment exists."""


@strawberry.type(description="The environment is deleted.")
class DeleteEnvironmentSuccess(_EnvironmentChanged):
    """The environment is deleted."""


@strawberry.type(description="The deployer is chosen.")
class ConfigureDeployerSuccess(_EnvironmentChanged):
    """The deployer is chosen."""


@strawberry.type(description="The service is added.")
class AddServiceSuccess(_ServiceChanged):
    """The service is added."""


@strawberry.type(description="The plan and parameters are accepted.")
class ConfigureServiceSuccess(_ServiceChanged):
    """The plan and parameters are accepted."""


@strawberry.type(description="The service is being provisioned, or was before.")
class ProvisionServiceSuccess(_ServiceChanged):
    """The service is being provisioned, or was before."""


@strawberry.type(description="The service is wanted.")
class AttachServiceSuccess(_ServiceChanged):
    """The service is wanted."""


@strawberry.type(description="The service is no longer wanted.")
class DetachServiceSuccess(_ServiceChanged):
    """The service is no longer wanted."""


@strawberry.type(description="The service has the prefix.")
class RenamePrefixSuccess(_ServiceChanged):
    """The service has the prefix."""


@strawberry.type(description="The removal is accepted, or done.")
class RemoveServiceSuccess(_ServiceChanged):
    """The removal is accepted, or done."""


@strawberry.type(description="The removal is called off.")
class CancelRemovalSuccess(_ServiceChanged):
    """The removal is called off."""


@strawberry.type(description="The service counts as removed; its resource is an orphan.")
class AbandonRemovalSuccess(_ServiceChanged):
    """The service counts as removed; its resource is an orphan."""


@strawberry.type(description="The protection is as wanted.")
class SetDeletionProtectionSuccess(_ServiceChanged):
    """The protection is as wanted."""


@strawberry.type(description="New credentials are being made.")
class RotateCredentialsSuccess(_ServiceChanged):
    """New credentials are being made."""


@strawberry.type(description="The deployment started.")
class DeploySuccess(_DeploymentChanged):
    """The deployment started."""


@strawberry.type(description="The deployment is cancelled.")
class CancelDeploymentSuccess(_DeploymentChanged):
    """The deployment is cancelled."""


@strawberry.type(description="The report is taken in.")
class ReportDeploymentSuccess(_DeploymentChanged):
    """The report is taken in."""
