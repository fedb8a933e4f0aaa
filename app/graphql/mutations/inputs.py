"""What mutations are given."""

from typing import Any

import strawberry

from app.graphql.types import enums, scalars


def _field(description: str) -> Any:  # noqa: ANN401  a strawberry field stands for any type
    return strawberry.field(description=description)


def _optional(description: str) -> Any:  # noqa: ANN401  a strawberry field stands for any type
    return strawberry.field(description=description, default=strawberry.UNSET)


_KEY = (
    "A text of your own, at most 255 characters, that names this command: sent again under the"
    " same key, it is carried out once and answered alike."
)
_VERSION = "The `version` that you saw; refused with VERSION_CONFLICT if it is another now."
_SERVICE = "The id of the service instance, `svc_…`."
_ENVIRONMENT = "The id of the environment, `env_…`."
_PROJECT = "The id of the project, `prj_…`."
_DEPLOYMENT = "The id of the deployment, `dep_…`."
_PREFIX = (
    "The first part of the variables' names, such as `REPORTS`: letters, digits and single"
    " underscores, at most 32 characters; upper-cased."
)
_PLAN = "The name of a plan of the offering."
_PARAMETERS = "An object as the plan's `parametersSchema` describes it."
_UNTIL = ", sealed, until `erasePerson` erases you."
_MEMBER = "Whom the token of that person speaks for."


@strawberry.input(description="Nothing but a name for the command.")
class JoinBetaInput:
    """Nothing but a name for the command."""

    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="Nothing but a name for the command.")
class LeaveBetaInput:
    """Nothing but a name for the command."""

    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="A new API token.")
class CreateTokenInput:
    """A new API token."""

    name: str = _field("What it is for.")
    subject: str = _field("Whom it speaks for, as the history shall say.")
    roles: list[enums.Role] | None = _optional(
        "One role in `projects`, or roles on the whole platform. Without a role, what the"
        " memberships of its subject allow."
    )
    projects: list[strawberry.ID] | None = _optional(
        "The ids of projects, `prj_…`: the token is good for nothing elsewhere."
    )
    expires_at: scalars.DateTime | None = _optional("When it ends on its own; never if not given.")
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="An API token to end.")
class RevokeTokenInput:
    """An API token to end."""

    id: strawberry.ID = _field("The id of the token, `tok_…`.")
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="A person whose texts are erased.")
class ErasePersonInput:
    """A person whose texts are erased."""

    subject: str = _field("Whom its tokens speak for, as the history says.")
    confirm: str = _field("The subject again: what is erased cannot be brought back.")
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="A new project.")
class CreateProjectInput:
    """A new project."""

    name: str = _field("Lower-case letters, digits and single hyphens, such as `shop`.")
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="So many units of one offering.")
class UnitsInput:
    """So many units of one offering."""

    offering: str = _field("The name of the offering, such as `postgres`.")
    units: int = _field("How many instances of it the project may have, in all.")


@strawberry.input(description="How much a project may use.")
class SetSubscriptionInput:
    """How much a project may use."""

    project: strawberry.ID = _field(_PROJECT)
    units: list[UnitsInput] = _field("Offerings that are not listed stay as they are.")
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A person and the role it gets in a project.")
class AddMemberInput:
    """A person and the role it gets in a project."""

    project: strawberry.ID = _field(_PROJECT)
    subject: str = _field(_MEMBER)
    role: enums.MemberRole = _field("What the person may do.")
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A person who leaves a project.")
class RemoveMemberInput:
    """A person who leaves a project."""

    project: strawberry.ID = _field(_PROJECT)
    subject: str = _field(_MEMBER)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A new environment of a project.")
class CreateEnvironmentInput:
    """A new environment of a project."""

    project: strawberry.ID = _field(_PROJECT)
    name: str = _field("Lower-case letters, digits and single hyphens, such as `staging`.")
    protected: bool = strawberry.field(
        description="Whether services that are added to it are protected against deletion.",
        default=False,
    )
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="An environment to delete.")
class DeleteEnvironmentInput:
    """An environment to delete."""

    id: strawberry.ID = _field(_ENVIRONMENT)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A secret; it goes in and is never shown again.")
class SecretInput:
    """A secret."""

    name: str = _field("Its name, such as `signingKey`.")
    value: str = strawberry.field(description="Its value; sealed when it is stored.")

    def __repr__(self) -> str:
        """Leave the value out."""
        return f"SecretInput(name={self.name!r})"


@strawberry.input(description="Who carries out the deployments of an environment.")
class ConfigureDeployerInput:
    """Who carries out the deployments of an environment."""

    environment: strawberry.ID = _field(_ENVIRONMENT)
    kind: enums.DeployerKind = _field("Which deployer.")
    settings: scalars.JSON | None = _optional(
        "What the deployer needs to know: an object. ENV_FILE: path, command, timeout;"
        " COMMAND: command, directory, timeout; WEBHOOK: url, timeout."
    )
    secrets: list[SecretInput] | None = _optional(
        "The deployer's secrets, such as the `signingKey` of WEBHOOK: `whsec_` and base64. If"
        " not given, those that the same deployer has stay."
    )
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service for an environment.")
class AddServiceInput:
    """A service for an environment."""

    environment: strawberry.ID = _field(_ENVIRONMENT)
    offering: str = _field("The name of the offering, such as `postgres`.")
    plan: str | None = _optional(_PLAN + " The default plan if not given.")
    prefix: str | None = _optional(_PREFIX + " DEFAULT if not given.")
    parameters: scalars.JSON | None = _optional(_PARAMETERS)
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="Another plan or other parameters for a service.")
class ConfigureServiceInput:
    """Another plan or other parameters for a service."""

    id: strawberry.ID = _field(_SERVICE)
    plan: str | None = _optional(_PLAN + " The same plan if not given.")
    parameters: scalars.JSON | None = _optional(_PARAMETERS + " The same if not given.")
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service to provision.")
class ProvisionServiceInput:
    """A service to provision."""

    id: strawberry.ID = _field(_SERVICE)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service to attach.")
class AttachServiceInput:
    """A service to attach."""

    id: strawberry.ID = _field(_SERVICE)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service to detach.")
class DetachServiceInput:
    """A service to detach."""

    id: strawberry.ID = _field(_SERVICE)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service and its new prefix.")
class RenamePrefixInput:
    """A service and its new prefix."""

    id: strawberry.ID = _field(_SERVICE)
    prefix: str = _field(_PREFIX)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service to remove for good.")
class RemoveServiceInput:
    """A service to remove for good."""

    id: strawberry.ID = _field(_SERVICE)
    confirm: str | None = _optional(
        "The text that the service shows as `confirmation`: removal destroys its data."
    )
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service whose removal is called off.")
class CancelRemovalInput:
    """A service whose removal is called off."""

    id: strawberry.ID = _field(_SERVICE)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service whose removal is given up.")
class AbandonRemovalInput:
    """A service whose removal is given up."""

    id: strawberry.ID = _field(_SERVICE)
    reason: str = _field("Why; it is kept in the history" + _UNTIL)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service and whether it is protected.")
class SetDeletionProtectionInput:
    """A service and whether it is protected."""

    id: strawberry.ID = _field(_SERVICE)
    protected: bool = _field("Whether removal is refused.")
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service that gets new credentials.")
class RotateCredentialsInput:
    """A service that gets new credentials."""

    id: strawberry.ID = _field(_SERVICE)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="A service whose credentials are shown.")
class RevealCredentialsInput:
    """A service whose credentials are shown."""

    id: strawberry.ID = _field(_SERVICE)
    reason: str = _field("Why; it is kept in the history" + _UNTIL)
    idempotency_key: str | None = _optional(_KEY)
    expected_version: int | None = _optional(_VERSION)


@strawberry.input(description="An environment to deploy.")
class DeployInput:
    """An environment to deploy."""

    environment: strawberry.ID = _field(_ENVIRONMENT)
    expected_plan: str | None = _optional(
        "The `digest` of the plan that you looked at; refused with PLAN_STALE if it changed."
    )
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="A deployment to cancel.")
class CancelDeploymentInput:
    """A deployment to cancel."""

    id: strawberry.ID = _field(_DEPLOYMENT)
    idempotency_key: str | None = _optional(_KEY)


@strawberry.input(description="How a deployment ended that somebody else carried out.")
class ReportDeploymentInput:
    """How a deployment ended that somebody else carried out."""

    id: strawberry.ID = _field(_DEPLOYMENT)
    outcome: enums.DeploymentOutcome = _field("Whether the new configuration runs.")
    message: str | None = _optional("What happened, for people; it is kept" + _UNTIL)
    idempotency_key: str | None = _optional(_KEY)
