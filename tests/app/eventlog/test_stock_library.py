"""What anybody with the stock eventsourcing library can read of this log."""

from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.application import Application

from app.eventlog import command, log
from domain import events, project, values

pytestmark = pytest.mark.anyio

NewCommand = Callable[..., command.Command]


class Stored(Application[UUID]):
    """Named after the view: the library reads `<name>_events`."""

    name = "stored"


@pytest.fixture
def application(database: str) -> Iterator[Stored]:
    parts = psycopg.conninfo.conninfo_to_dict(database)
    with Stored(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(parts["dbname"]),
            "POSTGRES_HOST": str(parts["host"]),
            "POSTGRES_PORT": str(parts.get("port", "")),
            "POSTGRES_USER": str(parts["user"]),
            "POSTGRES_PASSWORD": "unused",
            "POSTGRES_SCHEMA": "ledger",
            "CREATE_TABLE": "false",
            "MAPPER_TOPIC": "app.eventlog.mapper:EventMapper",
        }
    ) as opened:
        yield opened


async def record_project(
    event_log: log.EventLog, new_command: NewCommand, at: datetime
) -> project.Project:
    made = project.Project.create(project_id=uuid4(), name="orchard", at=at)
    made.add_member(subject="ada", role=values.MemberRole.MANAGER, at=at)
    made.add_member(subject="grace", role=values.MemberRole.VIEWER, at=at)
    await event_log.append(command=new_command(), events=list(made.collect_events()))
    return made


async def test_stock_library_rebuilds_an_aggregate(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: Callable[..., events.MemberAdded],
    application: Stored,
) -> None:
    made = await record_project(event_log, new_command, member(uuid4(), 1).timestamp)

    loaded: project.Project = application.repository.get(made.id)

    assert loaded.name == "orchard"
    assert loaded.members == made.members
    assert loaded.version == made.version


async def test_stock_library_reads_all_notifications(
    event_log: log.EventLog,
    new_command: NewCommand,
    member: Callable[..., events.MemberAdded],
    application: Stored,
) -> None:
    for _ in range(5):
        await record_project(event_log, new_command, member(uuid4(), 1).timestamp)

    read, next_id = [], 1
    while section := application.notification_log.select(start=next_id, limit=4):
        read += section
        next_id = section[-1].id + 1

    ours = await event_log.read(after=0, limit=100)
    assert [notification.id for notification in read] == list(range(1, len(ours) + 1))
    assert [application.mapper.to_domain_event(each) for each in read] == [
        recorded.event for recorded in ours
    ]
    assert application.recorder.max_notification_id() == len(ours)
