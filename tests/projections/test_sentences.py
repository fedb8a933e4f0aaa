import typing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain import events, values
from projections import sentences
from projections.projection import RecordedEvent, Row

Record = Callable[..., RecordedEvent]

INSTANCE = UUID(int=0xC)
OPERATION = {"operation_id": UUID(int=0xF)}
HALF_PAST = {"deadline": datetime(2026, 11, 24, 12, 30, tzinfo=UTC)}
FIVE_PAST = datetime(2026, 11, 24, 12, 5, tzinfo=UTC)
CHRISTMAS = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
REFUSED = {"code": "REFUSED", "message": "The provider said no."}
DEPLOYMENT = {"deployment_id": UUID(int=0xD)}
ATTACH = {"role": values.DeploymentRole.ATTACH}
DETACH = {"role": values.DeploymentRole.DETACH}
FAILED = {"status": values.DeploymentStatus.FAILED, "reason": "RELEASE: exit code 1."}
CANCELLED = {"status": values.DeploymentStatus.CANCELLED, "reason": "cancelled by ada"}
ONE_NAME = {"prefix": "REPORTS", "variable_names": ("REPORTS_DATABASE_DSN",)}
TWO_NAMES = {"prefix": "DEFAULT", "variable_names": ("DEFAULT_DATABASE_DSN", "DATABASE_URL")}
SERVICE = {
    "project_id": UUID(int=0xA),
    "environment_id": UUID(int=0xB),
    "environment_name": "live",
    "offering": "postgres",
    "kind": values.ServiceKind.DATABASE,
    "plan": "small",
    "region": "local",
    "parameters": {},
    "protected": True,
}
LARGE = {"plan": "large", "parameters": {"size_gb": 20, "extensions": []}}

DETACHED = {
    "prefix": "DEFAULT",
    "plan": "small",
    "applied": False,
    "deployment_id": None,
    "was_requested": True,
    "was_ready": True,
}
NEVER_READY = DETACHED | {"was_ready": False}
UNPROVISIONED = NEVER_READY | {"was_requested": False}
ATTACHED = DETACHED | {"applied": True}
BEING_DETACHED = ATTACHED | DEPLOYMENT
BEING_ATTACHED = DETACHED | DEPLOYMENT

SENTENCES = [
    (
        events.ServiceAdded,
        SERVICE | TWO_NAMES,
        UNPROVISIONED,
        "Added to live as DEFAULT (postgres, plan small).",
    ),
    (
        events.ServiceProvisioningStarted,
        OPERATION | HALF_PAST | {"attempt": 1},
        DETACHED,
        "Provisioning started; it must be done by 12:30 UTC.",
    ),
    (
        events.ServiceProvisioningStarted,
        OPERATION | HALF_PAST | {"attempt": 2},
        DETACHED,
        "Provisioning started again (attempt 2); it must be done by 12:30 UTC.",
    ),
    (
        events.ServiceProvisioned,
        OPERATION | {"secret_version": 1, "is_late": False},
        DETACHED,
        "Provisioned: the service is ready.",
    ),
    (
        events.ServiceProvisioned,
        OPERATION | {"secret_version": 1, "is_late": True},
        DETACHED,
        "Provisioned late, after the operation was given up: the service is ready.",
    ),
    (
        events.ServiceProvisioningFailed,
        OPERATION | REFUSED,
        DETACHED,
        "Provisioning failed: The provider said no (REFUSED).",
    ),
    (
        events.ServiceOperationDelayed,
        OPERATION | REFUSED | {"attempt": 2, "next_attempt_at": FIVE_PAST},
        DETACHED,
        (
            "The provider could not do it yet: The provider said no (REFUSED); "
            "attempt 2 follows at 12:05 UTC."
        ),
    ),
    (
        events.ServiceAttachmentRequested,
        {},
        DETACHED,
        "Attachment requested; takes effect with the next deployment.",
    ),
    (
        events.ServiceAttachmentRequested,
        {},
        BEING_DETACHED,
        "Attachment requested; takes effect with the next deployment.",
    ),
    (
        events.ServiceAttachmentRequested,
        {},
        BEING_ATTACHED,
        "Attachment requested; the running deployment goes on to attach it.",
    ),
    (
        events.ServiceAttachmentRequested,
        {},
        ATTACHED,
        "Attachment requested; it stays attached, the application never lost it.",
    ),
    (
        events.ServiceDetachmentRequested,
        {},
        DETACHED,
        "Detachment requested; the next deployment leaves it out.",
    ),
    (
        events.ServiceDetachmentRequested,
        {},
        BEING_ATTACHED,
        (
            "Detachment requested; the running deployment goes on to attach it, "
            "the next one leaves it out."
        ),
    ),
    (
        events.ServiceDetachmentRequested,
        {},
        ATTACHED,
        "Detachment requested; the application goes on using it until a deployment succeeds.",
    ),
    (
        events.ServicePrefixRenamed,
        ONE_NAME,
        ATTACHED,
        "Renamed from DEFAULT to REPORTS; takes effect with the next deployment.",
    ),
    (
        events.ServiceConfigured,
        LARGE,
        UNPROVISIONED,
        "Configured: plan large (extensions, size_gb); in force once it is provisioned.",
    ),
    (
        events.ServiceUpdateStarted,
        OPERATION | HALF_PAST | {"plan": "large", "parameters": {}},
        ATTACHED,
        "Update started: plan large; it must be done by 12:30 UTC.",
    ),
    (
        events.ServiceUpdated,
        OPERATION,
        ATTACHED,
        "Updated: plan small and its parameters are in force.",
    ),
    (
        events.ServiceUpdateFailed,
        OPERATION | REFUSED,
        ATTACHED,
        "Update failed: The provider said no (REFUSED); plan small stays in force.",
    ),
    (
        events.ServiceRotationStarted,
        OPERATION | HALF_PAST | {"secret_version": 2},
        ATTACHED,
        "Rotation of the credentials started; it must be done by 12:30 UTC.",
    ),
    (
        events.ServiceCredentialsRotated,
        OPERATION | {"secret_version": 2},
        ATTACHED,
        (
            "Credentials rotated: version 2 is valid; "
            "the application gets it with the next deployment."
        ),
    ),
    (
        events.ServiceCredentialsRotated,
        OPERATION | {"secret_version": 2},
        DETACHED,
        "Credentials rotated: version 2 is valid.",
    ),
    (
        events.ServiceRotationFailed,
        OPERATION | REFUSED | {"retry_at": None},
        ATTACHED,
        (
            "Rotation of the credentials failed: The provider said no (REFUSED); "
            "the old ones stay valid."
        ),
    ),
    (
        events.ServiceRotationFailed,
        OPERATION | REFUSED | {"retry_at": FIVE_PAST},
        DETACHED,
        (
            "Rotation of the credentials failed: The provider said no (REFUSED); "
            "the old ones stay valid; it is tried again at 12:05 UTC."
        ),
    ),
    (
        events.ServiceCredentialsRevoked,
        {"secret_version": 1},
        ATTACHED,
        "Credentials revoked: version 1 is no longer valid.",
    ),
    (
        events.ServiceCredentialsRevealed,
        {"secret_version": 1, "reason": "load the data of last year"},
        DETACHED,
        "Credentials revealed: load the data of last year.",
    ),
    (
        events.ServiceProtectionChanged,
        {"protected": True},
        ATTACHED,
        "Protected: it cannot be removed.",
    ),
    (
        events.ServiceProtectionChanged,
        {"protected": False},
        ATTACHED,
        "No longer protected against removal.",
    ),
    (
        events.ServiceRemovalRequested,
        {"scheduled_for": CHRISTMAS},
        DETACHED,
        "Removal requested; it starts at 2026-12-24 18:00 UTC unless cancelled.",
    ),
    (
        events.ServiceRemovalRequested,
        {"scheduled_for": None},
        DETACHED,
        "Removal requested; it starts when provisioning has ended.",
    ),
    (events.ServiceRemovalCancelled, {}, DETACHED, "Removal cancelled: the service stays."),
    (
        events.ServiceRemovalStarted,
        OPERATION | HALF_PAST | {"attempt": 1},
        DETACHED,
        "Removal started; it must be done by 12:30 UTC.",
    ),
    (
        events.ServiceRemovalFailed,
        OPERATION | REFUSED | {"retry_at": FIVE_PAST},
        DETACHED,
        "Removal failed: The provider said no (REFUSED); it is tried again at 12:05 UTC.",
    ),
    (events.ServiceRemoved, {}, DETACHED, "Removed: the resource and its data are gone."),
    (
        events.ServiceRemoved,
        {},
        NEVER_READY,
        "Removed: it never was ready, and nothing of it is left.",
    ),
    (events.ServiceRemoved, {}, UNPROVISIONED, "Removed: nothing had been provisioned."),
    (
        events.ServiceAbandoned,
        {"reason": "The region was shut down."},
        DETACHED,
        (
            "Removal abandoned: The region was shut down; "
            "the resource may still be there, and cost money."
        ),
    ),
    (
        events.ServiceDeploymentJoined,
        DEPLOYMENT | ATTACH,
        DETACHED,
        "A deployment that attaches it started.",
    ),
    (
        events.ServiceDeploymentJoined,
        DEPLOYMENT | DETACH,
        ATTACHED,
        (
            "A deployment that detaches it started; "
            "the application goes on using it until a deployment succeeds."
        ),
    ),
    (
        events.ServiceAttached,
        DEPLOYMENT | TWO_NAMES | {"revision": 3, "secret_version": 1},
        ATTACHED,
        (
            "Attached by a deployment (revision 3): "
            "DEFAULT_DATABASE_DSN and DATABASE_URL now point to it."
        ),
    ),
    (
        events.ServiceDetached,
        DEPLOYMENT | {"revision": 4},
        DETACHED,
        "Detached by a deployment (revision 4): the application no longer uses it; its data stays.",
    ),
    (
        events.ServiceConfigurationApplied,
        DEPLOYMENT | ONE_NAME | {"revision": 4, "secret_version": 2},
        ATTACHED,
        (
            "Changed by a deployment (revision 4): REPORTS_DATABASE_DSN now points to it, "
            "with version 2 of the credentials."
        ),
    ),
    (
        events.ServiceDeploymentLeft,
        DEPLOYMENT | DETACH | FAILED | {"is_exposed": False},
        ATTACHED,
        (
            "The deployment failed at RELEASE: exit code 1; "
            "nothing was detached, the application goes on using it."
        ),
    ),
    (
        events.ServiceDeploymentLeft,
        DEPLOYMENT | ATTACH | CANCELLED | {"is_exposed": True},
        DETACHED,
        (
            "The deployment was cancelled by ada; nothing was attached. "
            "Its credentials had been handed over already."
        ),
    ),
    (
        events.ServiceResultIgnored,
        OPERATION | {"result": "provisioned"},
        DETACHED,
        "An answer of the provider came too late and was ignored: provisioned.",
    ),
    (
        events.ServiceCleanupStarted,
        {},
        DETACHED,
        "A resource appeared after the removal; the provider is asked to delete it.",
    ),
]


@pytest.mark.parametrize(
    ("event_class", "fields", "row", "sentence"),
    SENTENCES,
    ids=[f"{event_class.TOPIC}-{number}" for number, (event_class, *_) in enumerate(SENTENCES)],
)
def test_sentence(
    event_class: type[events.Event], fields: dict[str, Any], row: Row, sentence: str, record: Record
) -> None:
    event = record(event_class, of=INSTANCE, **fields).event

    assert sentences.sentence(event=event, before=row, after=row) == sentence


def test_every_event_of_a_service_instance_has_a_sentence() -> None:
    told = {event_class for event_class, *_ in SENTENCES}

    assert told == set(typing.get_args(events.ServiceEvent))
