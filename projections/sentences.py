"""What an event of a service instance means, in a sentence for people.

A sentence tells what happened and what follows from it. It never holds a secret: events do
not, and providers' messages were redacted before they became events. What people write is sealed
in it as it is in the event, and is opened when it is shown.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from domain import events, values
from projections.projection import Row

_PARTICIPLE = {
    values.DeploymentRole.ATTACH: "attached",
    values.DeploymentRole.DETACH: "detached",
}
_MINUTES = len("12:00")
_UNTIL_SUCCESS = "the application goes on using it until a deployment succeeds"
_STILL_ATTACHING = "the running deployment goes on to attach it"


def sentence(*, event: events.ServiceEvent, before: Row, after: Row) -> str:
    """Return the sentence for the event; `before` and `after` are rows of service_instances."""
    kind = type(event)
    if kind in _BY_EVENT:
        return _BY_EVENT[kind](event)
    return _ALWAYS[kind] if kind in _ALWAYS else _BY_ROWS[kind](event, before, after)


def _added(event: events.ServiceAdded) -> str:
    return (
        f"Added to {event.environment_name} as {event.prefix} "
        f"({event.offering}, plan {event.plan})."
    )


def _provisioning_started(event: events.ServiceProvisioningStarted) -> str:
    return f"Provisioning started{_again(event.attempt)}; {_limit(event)}."


def _provisioned(event: events.ServiceProvisioned) -> str:
    if event.is_late:
        return "Provisioned late, after the operation was given up: the service is ready."
    return "Provisioned: the service is ready."


def _provisioning_failed(event: events.ServiceProvisioningFailed) -> str:
    return f"Provisioning failed: {_cause(event)}."


def _delayed(event: events.ServiceOperationDelayed) -> str:
    return (
        f"The provider could not do it yet: {_cause(event)}; "
        f"attempt {event.attempt} follows at {_time(event.next_attempt_at, event)}."
    )


def _attachment_requested(
    _event: events.ServiceAttachmentRequested, _before: Row, after: Row
) -> str:
    if after["applied"] and after["deployment_id"] is None:
        return "Attachment requested; it stays attached, the application never lost it."
    if not after["applied"] and after["deployment_id"] is not None:
        return f"Attachment requested; {_STILL_ATTACHING}."
    return "Attachment requested; takes effect with the next deployment."


def _detachment_requested(
    _event: events.ServiceDetachmentRequested, _before: Row, after: Row
) -> str:
    if after["applied"]:
        return f"Detachment requested; {_UNTIL_SUCCESS}."
    if after["deployment_id"] is not None:
        return f"Detachment requested; {_STILL_ATTACHING}, the next one leaves it out."
    return "Detachment requested; the next deployment leaves it out."


def _renamed(event: events.ServicePrefixRenamed, before: Row, _after: Row) -> str:
    return (
        f"Renamed from {before['prefix']} to {event.prefix}; takes effect with the next deployment."
    )


def _configured(event: events.ServiceConfigured) -> str:
    return f"Configured: {_configuration(event)}; in force once it is provisioned."


def _update_started(event: events.ServiceUpdateStarted) -> str:
    return f"Update started: {_configuration(event)}; {_limit(event)}."


def _updated(_event: events.ServiceUpdated, _before: Row, after: Row) -> str:
    return f"Updated: plan {after['plan']} and its parameters are in force."


def _update_failed(event: events.ServiceUpdateFailed, _before: Row, after: Row) -> str:
    return f"Update failed: {_cause(event)}; plan {after['plan']} stays in force."


def _rotation_started(event: events.ServiceRotationStarted) -> str:
    return f"Rotation of the credentials started; {_limit(event)}."


def _rotated(event: events.ServiceCredentialsRotated, _before: Row, after: Row) -> str:
    effect = "; the application gets it with the next deployment" if after["applied"] else ""
    return f"Credentials rotated: version {event.secret_version} is valid{effect}."


def _rotation_failed(event: events.ServiceRotationFailed) -> str:
    retry = f"; it is tried again at {_time(event.retry_at, event)}" if event.retry_at else ""
    return f"Rotation of the credentials failed: {_cause(event)}; the old ones stay valid{retry}."


def _revoked(event: events.ServiceCredentialsRevoked) -> str:
    return f"Credentials revoked: version {event.secret_version} is no longer valid."


def _revealed(event: events.ServiceCredentialsRevealed) -> str:
    return f"Credentials revealed: {_unstopped(event.reason)}."


def _protection_changed(event: events.ServiceProtectionChanged) -> str:
    if event.protected:
        return "Protected: it cannot be removed."
    return "No longer protected against removal."


def _removal_requested(event: events.ServiceRemovalRequested) -> str:
    if event.scheduled_for is None:
        return "Removal requested; it starts when provisioning has ended."
    return f"Removal requested; it starts at {_time(event.scheduled_for, event)} unless cancelled."


def _removal_started(event: events.ServiceRemovalStarted) -> str:
    return f"Removal started{_again(event.attempt)}; {_limit(event)}."


def _removal_failed(event: events.ServiceRemovalFailed) -> str:
    retry = _time(event.retry_at, event)
    return f"Removal failed: {_cause(event)}; it is tried again at {retry}."


def _removed(_event: events.ServiceRemoved, before: Row, _after: Row) -> str:
    if before["was_ready"]:
        return "Removed: the resource and its data are gone."
    if before["was_requested"]:
        return "Removed: it never was ready, and nothing of it is left."
    return "Removed: nothing had been provisioned."


def _abandoned(event: events.ServiceAbandoned) -> str:
    return (
        f"Removal abandoned: {_unstopped(event.reason)}; "
        "the resource may still be there, and cost money."
    )


def _joined(event: events.ServiceDeploymentJoined) -> str:
    if event.role is values.DeploymentRole.ATTACH:
        return "A deployment that attaches it started."
    return f"A deployment that detaches it started; {_UNTIL_SUCCESS}."


def _attached(event: events.ServiceAttached) -> str:
    return (
        f"Attached by a deployment (revision {event.revision}): "
        f"{_pointing(event.variable_names)} to it."
    )


def _detached(event: events.ServiceDetached) -> str:
    return (
        f"Detached by a deployment (revision {event.revision}): "
        "the application no longer uses it; its data stays."
    )


def _applied(event: events.ServiceConfigurationApplied) -> str:
    return (
        f"Changed by a deployment (revision {event.revision}): "
        f"{_pointing(event.variable_names)} to it, "
        f"with version {event.secret_version} of the credentials."
    )


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


def _ignored(event: events.ServiceResultIgnored) -> str:
    return f"An answer of the provider came too late and was ignored: {event.result}."


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
    (day, time), (today, _) = _parts(moment), _parts(event.timestamp)
    return f"{time} UTC" if day == today else f"{day} {time} UTC"


def _parts(moment: datetime) -> tuple[str, str]:
    """Return the day and the minute; strftime took most of a sentence's time."""
    day, time = msgspec.to_builtins(moment).split("T")
    return day, time[:_MINUTES]


_ALWAYS: Mapping[type[events.Event], str] = {
    events.ServiceRemovalCancelled: "Removal cancelled: the service stays.",
    events.ServiceCleanupStarted: (
        "A resource appeared after the removal; the provider is asked to delete it."
    ),
}
_BY_EVENT: Mapping[type[events.Event], Callable[[Any], str]] = {
    events.ServiceAdded: _added,
    events.ServiceProvisioningStarted: _provisioning_started,
    events.ServiceProvisioned: _provisioned,
    events.ServiceProvisioningFailed: _provisioning_failed,
    events.ServiceOperationDelayed: _delayed,
    events.ServiceConfigured: _configured,
    events.ServiceUpdateStarted: _update_started,
    events.ServiceRotationStarted: _rotation_started,
    events.ServiceRotationFailed: _rotation_failed,
    events.ServiceCredentialsRevoked: _revoked,
    events.ServiceCredentialsRevealed: _revealed,
    events.ServiceProtectionChanged: _protection_changed,
    events.ServiceRemovalRequested: _removal_requested,
    events.ServiceRemovalStarted: _removal_started,
    events.ServiceRemovalFailed: _removal_failed,
    events.ServiceAbandoned: _abandoned,
    events.ServiceDeploymentJoined: _joined,
    events.ServiceAttached: _attached,
    events.ServiceDetached: _detached,
    events.ServiceConfigurationApplied: _applied,
    events.ServiceDeploymentLeft: _left,
    events.ServiceResultIgnored: _ignored,
}
_BY_ROWS: Mapping[type[events.Event], Callable[[Any, Row, Row], str]] = {
    events.ServiceAttachmentRequested: _attachment_requested,
    events.ServiceDetachmentRequested: _detachment_requested,
    events.ServicePrefixRenamed: _renamed,
    events.ServiceUpdated: _updated,
    events.ServiceUpdateFailed: _update_failed,
    events.ServiceCredentialsRotated: _rotated,
    events.ServiceRemoved: _removed,
}
