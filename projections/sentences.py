"""What an event of a service instance means, in a sentence for people.

A sentence tells what happened and what follows from it. It never holds a secret: events do
not, and providers' messages were redacted before they became events. What people write is sealed
in it as it is in the event, and is opened when it is shown.
"""

from collections.abc import Sequence
from datetime import datetime

from domain import events, values
from projections.projection import Row

_PARTICIPLE = {
    values.DeploymentRole.ATTACH: "attached",
    values.DeploymentRole.DETACH: "detached",
}
_UNTIL_SUCCESS = "the application goes on using it until a deployment succeeds"


def sentence(  # noqa: C901, PLR0911, PLR0912  one line or two per fact, in the order of a life
    *, event: events.ServiceEvent, before: Row, after: Row
) -> str:
    """Return the sentence for the event; `before` and `after` are rows of service_instances."""
    match event:
        case events.ServiceAdded():
            return (
                f"Added to {event.environment_name} as {event.prefix} "
                f"({event.offering}, plan {event.plan})."
            )
        case events.ServiceProvisioningStarted():
            return f"Provisioning started{_again(event.attempt)}; {_limit(event)}."
        case events.ServiceProvisioned(is_late=True):
            return "Provisioned late, after the operation was given up: the service is ready."
        case events.ServiceProvisioned():
            return "Provisioned: the service is ready."
        case events.ServiceProvisioningFailed():
            return f"Provisioning failed: {_cause(event)}."
        case events.ServiceOperationDelayed():
            return (
                f"The provider could not do it yet: {_cause(event)}; "
                f"attempt {event.attempt} follows at {_time(event.next_attempt_at, event)}."
            )
        case events.ServiceAttachmentRequested():
            if after["applied"] and after["deployment_id"] is None:
                return "Attachment requested; it stays attached, the application never lost it."
            return "Attachment requested; takes effect with the next deployment."
        case events.ServiceDetachmentRequested():
            if after["applied"]:
                return f"Detachment requested; {_UNTIL_SUCCESS}."
            return "Detachment requested; the next deployment leaves it out."
        case events.ServicePrefixRenamed():
            return (
                f"Renamed from {before['prefix']} to {event.prefix}; "
                "takes effect with the next deployment."
            )
        case events.ServiceConfigured():
            return f"Configured: {_configuration(event)}; in force once it is provisioned."
        case events.ServiceUpdateStarted():
            return f"Update started: {_configuration(event)}; {_limit(event)}."
        case events.ServiceUpdated():
            return f"Updated: plan {after['plan']} and its parameters are in force."
        case events.ServiceUpdateFailed():
            return f"Update failed: {_cause(event)}; plan {after['plan']} stays in force."
        case events.ServiceRotationStarted():
            return f"Rotation of the credentials started; {_limit(event)}."
        case events.ServiceCredentialsRotated():
            effect = "; the application gets it with the next deployment"
            return (
                f"Credentials rotated: version {event.secret_version} is valid"
                f"{effect if after['applied'] else ''}."
            )
        case events.ServiceRotationFailed():
            return f"Rotation of the credentials failed: {_cause(event)}; the old ones stay valid."
        case events.ServiceCredentialsRevoked():
            return f"Credentials revoked: version {event.secret_version} is no longer valid."
        case events.ServiceCredentialsRevealed():
            return f"Credentials revealed: {_unstopped(event.reason)}."
        case events.ServiceProtectionChanged(protected=True):
            return "Protected: it cannot be removed."
        case events.ServiceProtectionChanged():
            return "No longer protected: it can be removed."
        case events.ServiceRemovalRequested(scheduled_for=datetime() as start):
            return f"Removal requested; it starts at {_time(start, event)} unless cancelled."
        case events.ServiceRemovalRequested():
            return "Removal requested; it starts when provisioning has ended."
        case events.ServiceRemovalCancelled():
            return "Removal cancelled: the service stays."
        case events.ServiceRemovalStarted():
            return f"Removal started{_again(event.attempt)}; {_limit(event)}."
        case events.ServiceRemovalFailed():
            retry = _time(event.retry_at, event)
            return f"Removal failed: {_cause(event)}; it is tried again at {retry}."
        case events.ServiceRemoved():
            if before["was_requested"]:
                return "Removed: the resource and its data are gone."
            return "Removed: nothing had been provisioned."
        case events.ServiceAbandoned():
            return (
                f"Removal abandoned: {_unstopped(event.reason)}; "
                "the resource may still be there, and cost money."
            )
        case events.ServiceDeploymentJoined(role=values.DeploymentRole.ATTACH):
            return "A deployment that attaches it started."
        case events.ServiceDeploymentJoined():
            return f"A deployment that detaches it started; {_UNTIL_SUCCESS}."
        case events.ServiceAttached():
            return (
                f"Attached by a deployment (revision {event.revision}): "
                f"{_pointing(event.variable_names)} to it."
            )
        case events.ServiceDetached():
            return (
                f"Detached by a deployment (revision {event.revision}): "
                "the application no longer uses it; its data stays."
            )
        case events.ServiceConfigurationApplied():
            return (
                f"Changed by a deployment (revision {event.revision}): "
                f"{_pointing(event.variable_names)} to it, "
                f"with version {event.secret_version} of the credentials."
            )
        case events.ServiceDeploymentLeft():
            return _left(event)
        case events.ServiceResultIgnored():
            return f"An answer of the provider came too late and was ignored: {event.result}."
        case events.ServiceCleanupStarted():
            return "A resource appeared after the removal; the provider is asked to delete it."


def _left(event: events.ServiceDeploymentLeft) -> str:
    """Go on from the reason: "RELEASE: it did not start" or "cancelled by ada"."""
    is_cancelled = event.status is values.DeploymentStatus.CANCELLED
    end = "was" if is_cancelled else "failed at"
    stays = event.role is values.DeploymentRole.DETACH
    effect = ", the application goes on using it" if stays else ""
    exposure = " Its credentials had been handed over already." if event.is_exposed else ""
    return (
        f"The deployment {end} {_unstopped(event.reason)}; "
        f"nothing was {_PARTICIPLE[event.role]}{effect}.{exposure}"
    )


def _configuration(event: events.ServiceConfigured | events.ServiceUpdateStarted) -> str:
    names = ", ".join(sorted(event.parameters))
    return f"plan {event.plan} ({names})" if names else f"plan {event.plan}"


def _pointing(variable_names: Sequence[str]) -> str:
    verb = "points" if len(variable_names) == 1 else "point"
    return f"{' and '.join(variable_names)} now {verb}"


def _cause(
    event: events.ServiceProvisioningFailed
    | events.ServiceOperationDelayed
    | events.ServiceUpdateFailed
    | events.ServiceRotationFailed
    | events.ServiceRemovalFailed,
) -> str:
    return f"{_unstopped(event.message)} ({event.code})"


def _unstopped(text: str) -> str:
    """Leave out the full stop of a text that the sentence goes on from."""
    return text.strip().removesuffix(".")


def _again(attempt: int) -> str:
    return "" if attempt == 1 else f" again (attempt {attempt})"


def _limit(
    event: events.ServiceProvisioningStarted
    | events.ServiceUpdateStarted
    | events.ServiceRotationStarted
    | events.ServiceRemovalStarted,
) -> str:
    return f"it must be done by {_time(event.deadline, event)}"


def _time(moment: datetime, event: events.Event) -> str:
    """Tell a time in UTC; the day is left out if it is the event's own."""
    is_today = moment.date() == event.timestamp.date()
    return f"{moment:%H:%M} UTC" if is_today else f"{moment:%Y-%m-%d %H:%M} UTC"
