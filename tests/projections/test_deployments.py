from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain import events, values
from projections.deployments import Deployments
from projections.projection import Key, RecordedEvent, Row

Record = Callable[..., RecordedEvent]
Fold = Callable[..., dict[Key, Row]]

DEPLOYMENT = UUID(int=0xD)
LIVE = UUID(int=0xB)
PROJECT = UUID(int=0xA)
INSTANCE = UUID(int=0xC)
PLAN = {"digest": "7.abc", "actions": []}


@pytest.fixture
def started(record: Record) -> RecordedEvent:
    return record(
        events.DeploymentStarted,
        of=DEPLOYMENT,
        project_id=PROJECT,
        environment_id=LIVE,
        environment_name="live",
        number=3,
        items=(),
        plan=PLAN,
        deployer="env_file",
        deployer_settings={},
        deadline=datetime(2026, 11, 24, 13, 0, tzinfo=UTC),
        requested_by="ada",
    )


@pytest.fixture
def configured(record: Record) -> RecordedEvent:
    return record(events.DeploymentConfigured, of=DEPLOYMENT, position=2, revision=2, variables=())


def test_deployment_starts_with_the_services_of_its_plan(
    fold: Fold, started: RecordedEvent
) -> None:
    rows = fold(Deployments(), [started])

    assert rows == {
        (DEPLOYMENT,): {
            "id": DEPLOYMENT,
            "project_id": PROJECT,
            "environment_id": LIVE,
            "environment_name": "live",
            "number": 3,
            "status": "RUNNING",
            "step": "SERVICES",
            "steps": [
                {
                    "step": "SERVICES",
                    "started_at": "2026-11-24T12:01:00.000000Z",
                    "ended_at": None,
                }
            ],
            "attempt": 1,
            "next_attempt_at": None,
            "delay_message": None,
            "output": None,
            "error_step": None,
            "error_code": None,
            "error_message": None,
            "plan": PLAN,
            "revision": None,
            "requested_by": "ada",
            "started_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "ended_at": None,
            "deadline": datetime(2026, 11, 24, 13, 0, tzinfo=UTC),
            "updated_at": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
            "version": 1,
            "position": 1,
        }
    }


def test_deployment_is_at_the_step_that_it_reached(
    record: Record, fold: Fold, started: RecordedEvent, configured: RecordedEvent
) -> None:
    released = record(
        events.DeploymentStepStarted,
        of=DEPLOYMENT,
        position=3,
        step=values.DeploymentStep.RELEASE,
    )

    row = fold(Deployments(), [started, configured, released])[DEPLOYMENT,]

    assert (row["status"], row["step"]) == ("RUNNING", "RELEASE")
    assert [(taken["step"], taken["ended_at"] is None) for taken in row["steps"]] == [
        ("SERVICES", False),
        ("RELEASE", True),
    ]


def test_a_release_that_is_put_off_is_shown_until_the_end(
    record: Record, fold: Fold, started: RecordedEvent
) -> None:
    again = datetime(2026, 11, 24, 12, 5, tzinfo=UTC)
    delayed = record(
        events.DeploymentReleaseDelayed,
        of=DEPLOYMENT,
        position=2,
        attempt=2,
        message="no connection",
        next_attempt_at=again,
    )
    told = record(events.DeploymentReleaseReported, of=DEPLOYMENT, position=3, output="done")
    succeeded = record(events.DeploymentSucceeded, of=DEPLOYMENT, position=4, revision=2)

    waiting = fold(Deployments(), [started, delayed])[DEPLOYMENT,]
    ended = fold(Deployments(), [started, delayed, told, succeeded])[DEPLOYMENT,]

    shown = (waiting["attempt"], waiting["next_attempt_at"], waiting["delay_message"])
    assert shown == (2, again, "no connection")
    assert (ended["attempt"], ended["next_attempt_at"], ended["output"]) == (2, None, "done")
    assert [taken["step"] for taken in ended["steps"]] == ["SERVICES", "SWITCH"]
    assert all(taken["ended_at"] for taken in ended["steps"])


def test_revision_counts_once_the_deployment_succeeded(
    record: Record, fold: Fold, started: RecordedEvent, configured: RecordedEvent
) -> None:
    succeeded = record(events.DeploymentSucceeded, of=DEPLOYMENT, position=3, revision=2)

    before = fold(Deployments(), [started, configured])[DEPLOYMENT,]
    after = fold(Deployments(), [started, configured, succeeded])[DEPLOYMENT,]

    assert before["revision"] is None
    assert (after["status"], after["step"], after["revision"]) == ("SUCCEEDED", "AFTER", 2)
    assert after["ended_at"] == datetime(2026, 11, 24, 12, 3, tzinfo=UTC)


def test_failed_deployment_says_where_and_why(
    record: Record, fold: Fold, started: RecordedEvent, configured: RecordedEvent
) -> None:
    failed = record(
        events.DeploymentFailed,
        of=DEPLOYMENT,
        position=3,
        step=values.DeploymentStep.RELEASE,
        code="COMMAND_FAILED",
        message="The command ended with exit code 1.",
    )

    row = fold(Deployments(), [started, configured, failed])[DEPLOYMENT,]

    assert (row["status"], row["step"], row["revision"]) == ("FAILED", "RELEASE", None)
    assert row["error_step"] == "RELEASE"
    assert row["error_code"] == "COMMAND_FAILED"
    assert row["error_message"] == "The command ended with exit code 1."
    assert row["ended_at"] == datetime(2026, 11, 24, 12, 3, tzinfo=UTC)


def test_cancelled_deployment_has_no_error(
    record: Record, fold: Fold, started: RecordedEvent
) -> None:
    cancelled = record(
        events.DeploymentCancelled,
        of=DEPLOYMENT,
        position=2,
        step=values.DeploymentStep.SERVICES,
    )

    row = fold(Deployments(), [started, cancelled])[DEPLOYMENT,]

    assert (row["status"], row["step"]) == ("CANCELLED", "SERVICES")
    assert row["error_step"] is None
    assert row["ended_at"] == datetime(2026, 11, 24, 12, 2, tzinfo=UTC)
