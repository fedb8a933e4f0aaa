"""The words of the domain, explained for whoever opens the explorer."""

import enum
from collections.abc import Mapping

import strawberry

from app.access import caller
from domain import deployment_plan, errors, states, values


def described(
    cls: type[enum.Enum], *, description: str, meanings: Mapping[str, str], name: str | None = None
) -> None:
    """Make a GraphQL enum of the class; each member needs a meaning."""
    made = strawberry.enum(cls, name=name, description=description)
    for value in made.__strawberry_definition__.values:  # type: ignore[attr-defined]  # strawberry adds it
        value.description = meanings[value.name]


class DeployerKind(enum.StrEnum):
    """What carries deployments to the application."""

    ENV_FILE = "env_file"
    COMMAND = "command"
    WEBHOOK = "webhook"
    EXTERNAL = "external"


class DeploymentOutcome(enum.StrEnum):
    """How a deployment went, as somebody outside tells."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


described(
    DeployerKind,
    description="What carries deployments to the application.",
    meanings={
        "ENV_FILE": "Writes the variables to a file and runs a command of yours.",
        "COMMAND": "Runs a command of yours with the variables in its environment.",
        "WEBHOOK": "Sends a signed message to a receiver of yours, which tells how it went.",
        "EXTERNAL": "Waits until `reportDeployment` tells how it went.",
    },
)
described(
    DeploymentOutcome,
    description="How a deployment went, as somebody outside tells.",
    meanings={
        "SUCCEEDED": "The application runs with the new revision.",
        "FAILED": "The application still runs with the previous revision.",
    },
)

ServiceInstanceState = states.ServiceInstanceState
described(
    ServiceInstanceState,
    description="The seven states of a service instance.",
    meanings={
        "NEW": "Added; there is no resource, and the application knows nothing of it.",
        "PROVISIONING": "The provider is making the resource.",
        "PENDING_ATTACHMENT": "The resource is there; the next deployment gives it to the"
        " application.",
        "ATTACHED": "The application has its variables.",
        "PENDING_DETACHMENT": "The application still uses it; the next deployment takes it away.",
        "DETACHED": "The resource and its data are there; the application does not use it.",
        "REMOVED": "Gone for ever; its history stays.",
    },
)
ServiceKind = values.ServiceKind
described(
    ServiceKind,
    description="What a service is for; it decides the names of the variables.",
    meanings={
        "DATABASE": "A relational database: `{PREFIX}_DATABASE_DSN`.",
        "STORAGE": "A store for files: `{PREFIX}_STORAGE_DSN`.",
        "CACHE": "A cache: `{PREFIX}_CACHE_URL`.",
        "QUEUE": "A message queue: `{PREFIX}_AMQP_BROKER_URL`.",
        "SEARCH": "A search engine: `{PREFIX}_HAYSTACK_URL`.",
    },
)
OperationKind = values.OperationKind
described(
    OperationKind,
    description="What a provider is asked to do.",
    meanings={
        "PROVISION": "Make the resource.",
        "UPDATE": "Change its plan or parameters.",
        "ROTATE": "Make new credentials beside the old ones.",
        "REMOVE": "Delete the resource and its data.",
    },
)
OperationStatus = values.OperationStatus
described(
    OperationStatus,
    description="How an operation stands; one that succeeded is no longer shown.",
    meanings={
        "IN_PROGRESS": "The provider works on it, until the deadline at the latest.",
        "FAILED": "It did not work out; `error` says why.",
    },
)
RoleInDeployment = values.DeploymentRole
described(
    RoleInDeployment,
    name="DeploymentRoleKind",
    description="What a running deployment does with a service instance.",
    meanings={
        "ATTACH": "It gives the instance to the application.",
        "DETACH": "It takes the instance away from the application.",
    },
)
DeploymentStep = values.DeploymentStep
described(
    DeploymentStep,
    description="The steps of a deployment, in order.",
    meanings={
        "SERVICES": "Services that are not ready are provisioned.",
        "CONFIGURE": "The next revision is put together: variable names and secret versions.",
        "RELEASE": "The deployer takes the revision to the application.",
        "SWITCH": "The new revision becomes the running one.",
        "AFTER": "Credentials that are no longer used are revoked.",
    },
)
DeploymentStatus = values.DeploymentStatus
described(
    DeploymentStatus,
    description="How a deployment stands.",
    meanings={
        "RUNNING": "It is under way, until its deadline at the latest.",
        "SUCCEEDED": "The new revision runs.",
        "FAILED": "The previous revision still runs; `error` says why.",
        "CANCELLED": "Somebody stopped it; the previous revision still runs.",
    },
)
MemberRole = values.MemberRole
described(
    MemberRole,
    description="What a person may do in a project.",
    meanings={
        "VIEWER": "Read everything in it but credentials.",
        "DEVELOPER": "Change services and deploy.",
        "MANAGER": "All that, and members, subscription and environments.",
    },
)
PlannedActionKind = deployment_plan.PlannedActionKind
described(
    PlannedActionKind,
    description="What a deployment does with a service instance.",
    meanings={
        "PROVISION": "Makes its resource first.",
        "ATTACH": "Gives its variables to the application.",
        "DETACH": "Takes its variables away from the application.",
        "RENAME": "Gives its variables under other names.",
        "ROTATE": "Gives newer credentials.",
        "KEEP": "Leaves it as it is.",
    },
)
Role = caller.Role
described(
    Role,
    description="What a caller may do, in projects or on the whole platform.",
    meanings={
        "VIEWER": "Read everything in a project but credentials.",
        "DEVELOPER": "Change services and deploy.",
        "MANAGER": "All that, and members, subscription, environments and removal.",
        "OPERATOR": "A manager of all projects, who also gives up removals and makes tokens.",
        "AUDITOR": "Read everything and the log, but no secrets.",
    },
)
RefusalCode = errors.RefusalCode
described(
    RefusalCode,
    description="Why a command was refused; programs may rely on these.",
    meanings={
        "FEATURE_NOT_ENABLED": "The caller has not signed up for the Beta: `joinBeta`.",
        "UNAUTHENTICATED": "Nobody is signed in.",
        "FORBIDDEN": "The caller may not do this.",
        "NOT_SUBSCRIBED": "The project's subscription does not include the offering.",
        "QUOTA_EXCEEDED": "All units of the offering are in use.",
        "OFFERING_UNKNOWN": "The catalogue has no such offering.",
        "PLAN_UNKNOWN": "The offering has no such plan.",
        "OFFERING_RETIRED": "The offering is no longer given to new instances.",
        "PARAMETERS_INVALID": "The parameters are not what the plan takes.",
        "PREFIX_INVALID": "The prefix is not made of letters, digits and single underscores.",
        "PREFIX_TAKEN": "Another instance of that kind has the prefix.",
        "VARIABLE_NAME_TAKEN": "Another instance yields a variable of that name.",
        "NAME_TAKEN": "Something else has the name.",
        "MUST_DETACH_FIRST": "The application uses the instance: detach it and deploy.",
        "CONFIRMATION_REQUIRED": "Data would be destroyed: repeat with the expected text.",
        "DELETION_PROTECTED": "The instance is protected: `setDeletionProtection` first.",
        "REMOVAL_IN_PROGRESS": "The instance is being removed.",
        "SERVICE_REMOVED": "The instance is gone.",
        "NOTHING_TO_ABANDON": "No removal of the instance has failed.",
        "NOTHING_TO_CANCEL": "There is nothing that could be cancelled.",
        "DEPLOYMENT_IN_PROGRESS": "A deployment holds the environment or the instance.",
        "NO_DEPLOYMENT_IN_PROGRESS": "No deployment is running.",
        "TOO_LATE_TO_CANCEL": "The deployment has switched already.",
        "PLAN_STALE": "The plan is no longer the one that was approved.",
        "PLAN_BLOCKED": "Something in the plan stands in the way.",
        "PROJECT_NOT_FOUND": "There is no such project.",
        "ENVIRONMENT_NOT_FOUND": "There is no such environment.",
        "SERVICE_NOT_FOUND": "There is no such service instance.",
        "TOKEN_NOT_FOUND": "There is no such API token.",
        "ENVIRONMENT_NOT_EMPTY": "The environment still has services.",
        "VERSION_CONFLICT": "Somebody else changed it meanwhile.",
        "IDEMPOTENCY_KEY_REUSED": "The idempotency key was used for something else.",
        "NOT_READY": "The resource is not ready.",
        "INVALID_INPUT": "The input is not acceptable.",
    },
)
