from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain import events, values
from projections.environments import Environments
from projections.projection import Key, RecordedEvent, Row
from projections.revisions import Revisions

Record = Callable[..., RecordedEvent]
Fold = Callable[..., dict[Key, Row]]

LIVE = UUID(int=0xB)
PROJECT = UUID(int=0xA)
INSTANCE = UUID(int=0xC)
DEPLOYMENT = UUID(int=0xD)
VARIABLE = values.Variable(
    name="DEFAULT_DATABASE_DSN", service_instance_id=INSTANCE, secret_version=2
)


@pytest.fixture
def created(record: Record) -> RecordedEvent:
    return record(
        events.EnvironmentCreated, of=LIVE, project_id=PROJECT, name="live", protected=True
    )


@pytest.fixture
def started(record: Record) -> RecordedEvent:
    return record(
        events.EnvironmentDeploymentStarted,
        of=LIVE,
        position=2,
        deployment_id=DEPLOYMENT,
        number=1,
    )


@pytest.fixture
def succeeded(record: Record) -> RecordedEvent:
    return record(
        events.EnvironmentDeploymentEnded,
        of=LIVE,
        position=3,
        deployment_id=DEPLOYMENT,
        status=values.DeploymentStatus.SUCCEEDED,
        revision=1,
        variables=(VARIABLE,),
    )


@pytest.fixture
def failed(record: Record) -> RecordedEvent:
    return record(
        events.EnvironmentDeploymentEnded,
        of=LIVE,
        position=3,
        deployment_id=DEPLOYMENT,
        status=values.DeploymentStatus.FAILED,
        revision=None,
        variables=None,
    )


def test_new_environment_runs_nothing_and_writes_a_file_of_variables(
    fold: Fold, created: RecordedEvent
) -> None:
    rows = fold(Environments(), [created])

    assert rows == {
        (LIVE,): {
            "id": LIVE,
            "project_id": PROJECT,
            "name": "live",
            "protected": True,
            "deployer": "env_file",
            "deployer_settings": {},
            "deployer_secret_names": [],
            "running_revision": None,
            "running_deployment_id": None,
            "deployments": 0,
            "is_deleted": False,
            "created_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "updated_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "version": 1,
            "position": 1,
        }
    }


def test_deployment_holds_the_environment(
    fold: Fold, created: RecordedEvent, started: RecordedEvent
) -> None:
    row = fold(Environments(), [created, started])[LIVE,]

    assert row["running_deployment_id"] == DEPLOYMENT
    assert row["deployments"] == 1
    assert row["running_revision"] is None
    assert row["version"] == 2


def test_successful_deployment_lets_go_and_its_revision_runs(
    fold: Fold, created: RecordedEvent, started: RecordedEvent, succeeded: RecordedEvent
) -> None:
    row = fold(Environments(), [created, started, succeeded])[LIVE,]

    assert row["running_deployment_id"] is None
    assert row["running_revision"] == 1
    assert row["deployments"] == 1


def test_failed_deployment_leaves_the_previous_revision(
    record: Record,
    fold: Fold,
    created: RecordedEvent,
    started: RecordedEvent,
    succeeded: RecordedEvent,
) -> None:
    failed = record(
        events.EnvironmentDeploymentEnded,
        of=LIVE,
        position=5,
        deployment_id=UUID(int=0xE),
        status=values.DeploymentStatus.FAILED,
        revision=2,
        variables=None,
    )

    row = fold(Environments(), [created, started, succeeded, failed])[LIVE,]

    assert row["running_deployment_id"] is None
    assert row["running_revision"] == 1


def test_environment_has_the_deployer_that_was_configured(
    record: Record, fold: Fold, created: RecordedEvent
) -> None:
    configured = record(
        events.EnvironmentDeployerConfigured,
        of=LIVE,
        position=2,
        deployer="external",
        settings={"contact": "ops"},
    )

    row = fold(Environments(), [created, configured])[LIVE,]

    assert (row["deployer"], row["deployer_settings"]) == ("external", {"contact": "ops"})


def test_prefixes_change_the_version_of_an_environment_only(
    record: Record, fold: Fold, created: RecordedEvent
) -> None:
    taken = record(
        events.EnvironmentPrefixTaken,
        of=LIVE,
        position=2,
        service_instance_id=INSTANCE,
        kind=values.ServiceKind.DATABASE,
        prefix="DEFAULT",
        variable_names=("DEFAULT_DATABASE_DSN",),
    )
    freed = record(events.EnvironmentPrefixFreed, of=LIVE, position=3, service_instance_id=INSTANCE)
    before = fold(Environments(), [created])[LIVE,]

    after = fold(Environments(), [created, taken, freed])[LIVE,]

    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"updated_at", "version", "position"}


def test_deleted_environment_stays_readable(
    record: Record, fold: Fold, created: RecordedEvent
) -> None:
    deleted = record(events.EnvironmentDeleted, of=LIVE, position=2)

    row = fold(Environments(), [created, deleted])[LIVE,]

    assert row["is_deleted"]
    assert row["name"] == "live"


def test_successful_deployment_leaves_a_revision(
    fold: Fold, created: RecordedEvent, started: RecordedEvent, succeeded: RecordedEvent
) -> None:
    rows = fold(Revisions(), [created, started, succeeded])

    assert rows == {
        (LIVE, 1): {
            "environment_id": LIVE,
            "number": 1,
            "deployment_id": DEPLOYMENT,
            "variables": [
                {
                    "name": "DEFAULT_DATABASE_DSN",
                    "service_instance_id": str(INSTANCE),
                    "secret_version": 2,
                }
            ],
            "deployed_at": datetime(2026, 11, 24, 12, 3, tzinfo=UTC),
            "position": 3,
        }
    }


def test_failed_deployment_leaves_no_revision(
    fold: Fold, created: RecordedEvent, started: RecordedEvent, failed: RecordedEvent
) -> None:
    assert fold(Revisions(), [created, started, failed]) == {}
