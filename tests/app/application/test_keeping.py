"""Aggregates kept between commands: never more than what was recorded."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.domain import Aggregate

from app.application import snapshots, unit_of_work
from app.application.request import Request
from app.eventlog import kept, log, snapshot
from domain import errors, events, project, values
from domain.errors import RefusalCode

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def request(key: str | None = None) -> Request:
    return Request(actor="ada", name="test", content=key, idempotency_key=key)


async def carry_out(
    event_log: log.EventLog,
    decide: Callable[[unit_of_work.UnitOfWork], object],
    *,
    key: str | None = None,
) -> int:
    async def decided(work: unit_of_work.UnitOfWork) -> None:
        outcome = decide(work)
        if asyncio.iscoroutine(outcome):
            await outcome

    return await unit_of_work.commit(event_log=event_log, request=request(key), decide=decided)


async def new_project(event_log: log.EventLog) -> UUID:
    project_id = uuid4()

    async def create(work: unit_of_work.UnitOfWork) -> None:
        await work.begin()
        work.add(project.Project.create(project_id=project_id, name="shop", at=work.now))

    await carry_out(event_log, create)
    return project_id


async def subscribe(
    event_log: log.EventLog, project_id: UUID, units: int, *, key: str | None = None
) -> int:
    async def change(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        found.subscribe(units={"postgres": units}, at=work.now)

    return await carry_out(event_log, change, key=key)


async def units(event_log: log.EventLog, project_id: UUID) -> int | None:
    work = unit_of_work.UnitOfWork(event_log=event_log)
    return (await work.project(project_id)).units.get("postgres")


async def snapshot_of(
    event_log: log.EventLog, project_id: UUID, version: int, *, fold: str = "Project.1"
) -> snapshot.Snapshot:
    """Wait until it is stored."""
    async with asyncio.timeout(10):
        while True:
            found = (await event_log.load(project_id, folds=[fold])).snapshots.get(project_id)
            if found is not None and found.originator_version == version:
                return found


async def read_after(event_log: log.EventLog, project_id: UUID) -> int:
    """Tell from which version on a command would read the project."""
    found = event_log.keep.take(project_id)
    if found is None:
        return 0
    event_log.keep.put(found.aggregate, position=found.position, epoch=found.epoch)
    return found.aggregate.version


async def test_committed_aggregate_is_kept_and_only_what_follows_is_read(
    event_log: log.EventLog,
) -> None:
    project_id = await new_project(event_log)
    await subscribe(event_log, project_id, 3)

    assert await read_after(event_log, project_id) == 2
    history = await event_log.load(project_id, known={project_id: 1})
    assert [event.originator_version for event in history.events[project_id]] == [2]
    assert await units(event_log, project_id) == 3


async def test_what_others_recorded_is_taken_in(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    project_id = await new_project(event_log)
    await subscribe(other_log, project_id, 3)

    assert await read_after(event_log, project_id) == 1
    assert await units(event_log, project_id) == 3


async def test_conflict_lets_the_aggregate_go(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    project_id = await new_project(event_log)
    tried: list[int] = []

    async def change(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        tried.append(found.version)
        if len(tried) == 1:
            await subscribe(other_log, project_id, 3)
            assert await read_after(event_log, project_id) == 0
        found.subscribe(units={"postgres": 4}, at=work.now)

    await carry_out(event_log, change)

    assert tried == [1, 2]
    assert await read_after(event_log, project_id) == 3
    assert await units(event_log, project_id) == 4


async def test_refused_command_leaves_nothing_behind(event_log: log.EventLog) -> None:
    project_id = await new_project(event_log)

    async def refused(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        found.subscribe(units={"postgres": 7}, at=work.now)
        raise errors.StateRefusedError(code=RefusalCode.NOT_READY, message="no")

    with pytest.raises(errors.StateRefusedError):
        await carry_out(event_log, refused)

    assert await read_after(event_log, project_id) == 0
    assert await units(event_log, project_id) is None


async def test_failed_commit_leaves_nothing_behind(event_log: log.EventLog, database: str) -> None:
    project_id = await new_project(event_log)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as breaker:
        await breaker.execute("ALTER TABLE read.subscriptions RENAME TO hidden")

        with pytest.raises(psycopg.errors.UndefinedTable):
            await subscribe(event_log, project_id, 7)

        await breaker.execute("ALTER TABLE read.hidden RENAME TO subscriptions")
    assert await read_after(event_log, project_id) == 0
    assert await units(event_log, project_id) is None


async def test_repeated_command_is_not_taken_for_a_new_one(event_log: log.EventLog) -> None:
    """Two at once under one key: what the second decided was not recorded."""
    project_id = await new_project(event_log)
    gate = asyncio.Event()

    async def change(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        found.subscribe(units={"postgres": 7}, at=work.now)
        await gate.wait()

    twins = [asyncio.create_task(carry_out(event_log, change, key="once")) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    first, second = await asyncio.gather(*twins)

    assert first == second
    assert await units(event_log, project_id) == 7
    assert (await event_log.load(project_id)).events[project_id][-1].originator_version == 2


@pytest.mark.parametrize(("position", "epoch"), [(1_000, 1), (1, 900)])
async def test_kept_aggregate_of_another_past_is_thrown_away(
    event_log: log.EventLog, position: int, epoch: int
) -> None:
    project_id = await new_project(event_log)
    imagined = unit_of_work.replay((await event_log.load(project_id)).events[project_id])
    assert isinstance(imagined, project.Project)
    imagined.subscribe(units={"postgres": 9}, at=MOMENT)
    event_log.keep.put(imagined, position=position, epoch=epoch)

    assert await units(event_log, project_id) is None


def test_the_one_that_lay_longest_goes_first() -> None:
    keep = kept.Keep(most=2)
    first, second, third = (
        project.Project.create(project_id=uuid4(), name=name, at=MOMENT) for name in "abc"
    )
    for one in (first, second, first, third):
        keep.put(one, position=1, epoch=0)

    assert keep.take(second.id) is None
    assert keep.take(first.id) == kept.Kept(first, 1, 0)
    assert keep.take(first.id) is None


async def test_long_stream_is_read_from_its_snapshot(
    event_log: log.EventLog, other_log: log.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY", 5)
    project_id = await new_project(event_log)
    for number in range(1, 8):
        await subscribe(event_log, project_id, number)
    await snapshot_of(event_log, project_id, 5)

    history = await other_log.load(project_id, folds=snapshots.KINDS)

    assert history.snapshots[project_id].originator_version == 5
    assert [event.originator_version for event in history.events[project_id]] == [6, 7, 8]
    assert await units(other_log, project_id) == 7
    as_of_a_position = await other_log.load(project_id, until=8, folds=snapshots.KINDS)
    assert as_of_a_position.snapshots == {}
    assert len(as_of_a_position.events[project_id]) == 8


async def test_snapshot_of_another_fold_is_ignored_and_replaced(
    event_log: log.EventLog, other_log: log.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot by an older fold, which counted otherwise, lies there at the same version."""
    monkeypatch.setattr(snapshots, "EVERY", 2)
    project_id = await new_project(event_log)
    await subscribe(event_log, project_id, 3)
    taken = await snapshot_of(event_log, project_id, 2)
    last = (await event_log.read(after=0, limit=2, originator_id=project_id))[-1]
    old = snapshot.Snapshot(
        originator_id=project_id,
        originator_version=2,
        fold="Project.0",
        state=taken.state.replace('"postgres":3', '"postgres":300'),
    )
    event_log.store(old, command_id=last.command_id)
    assert await snapshot_of(other_log, project_id, 2, fold=old.fold) == old

    assert await units(other_log, project_id) == 3
    await subscribe(other_log, project_id, 4)
    await subscribe(other_log, project_id, 5)

    new = await snapshot_of(other_log, project_id, 4, fold=taken.fold)
    assert (new.fold, new.originator_version) == (taken.fold, 4)
    assert '"postgres":5' in new.state


async def test_snapshot_of_what_is_not_in_the_log_is_not_stored(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    """The log was restored meanwhile, and holds another event in that place, or none."""
    project_id = await new_project(event_log)
    await subscribe(event_log, project_id, 1)
    recorded = await event_log.read(after=0, limit=2, originator_id=project_id)
    lost = unit_of_work.replay([event.event for event in recorded])
    assert isinstance(lost, project.Project)
    lost.subscribe(units={"postgres": 7}, at=MOMENT)
    lost.collect_events()

    event_log.store(snapshots.taken(lost), command_id=recorded[-1].command_id)
    await event_log.aclose()
    assert (await other_log.load(project_id, folds=snapshots.KINDS)).snapshots == {}
    await subscribe(other_log, project_id, 2)
    other_log.store(snapshots.taken(lost), command_id=uuid4())
    await other_log.aclose()

    history = await other_log.load(project_id, folds=snapshots.KINDS)
    assert (history.snapshots, len(history.events[project_id])) == ({}, 3)


async def test_snapshot_brings_back_the_same_project(event_log: log.EventLog) -> None:
    project_id = await new_project(event_log)

    async def fill(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        found.add_member(subject="grace", role=values.MemberRole.VIEWER, at=work.now)
        found.subscribe(units={"postgres": 2}, at=work.now)
        found.list_environment(environment_id=uuid4(), name="live", granted=("s3",), at=work.now)
        found.take_unit(offering="s3", service_instance_id=uuid4(), at=work.now)

    await carry_out(event_log, fill)
    history = await event_log.load(project_id)

    same: Aggregate = unit_of_work.replay(history.events[project_id])

    assert snapshots.restored(snapshots.taken(same)) == same
    assert all(isinstance(event, events.Event) for event in history.events[project_id])


async def test_kept_aggregate_is_decided_on_without_a_look_at_the_log(
    event_log: log.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id = await new_project(event_log)
    with monkeypatch.context() as patched:
        patched.setattr(event_log, "load", None)
        for number in (1, 2, 3):
            await subscribe(event_log, project_id, number)

    assert await units(event_log, project_id) == 3


async def test_decision_on_what_another_process_changed_is_made_again(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    project_id = await new_project(event_log)
    await subscribe(other_log, project_id, 3)
    tried: list[int | None] = []

    async def add_one(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        tried.append(found.units.get("postgres"))
        found.subscribe(units={"postgres": found.units.get("postgres", 0) + 1}, at=work.now)

    await carry_out(event_log, add_one)

    assert tried == [None, 3]
    assert await units(event_log, project_id) == 4


async def test_nothing_to_do_is_said_only_of_what_is_so_now(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    project_id = await new_project(event_log)
    await subscribe(event_log, project_id, 3)
    await subscribe(other_log, project_id, 5)

    position = await subscribe(event_log, project_id, 3)

    assert position == 4
    assert await units(other_log, project_id) == 3
    assert await subscribe(event_log, project_id, 3) == 4


async def test_refusal_is_about_what_is_so_now(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    project_id = await new_project(event_log)
    await subscribe(other_log, project_id, 3)

    async def use(work: unit_of_work.UnitOfWork) -> None:
        found = await work.project(project_id)
        if not found.units.get("postgres"):
            raise errors.StateRefusedError(code=RefusalCode.NOT_READY, message="no units")
        found.subscribe(units={"postgres": 0}, at=work.now)

    await carry_out(event_log, use)
    with pytest.raises(errors.StateRefusedError):
        await carry_out(event_log, use)

    assert await units(other_log, project_id) == 0


async def test_aggregate_that_was_only_looked_at_must_be_so_too(
    event_log: log.EventLog, other_log: log.EventLog
) -> None:
    looked_at, changed = await new_project(event_log), await new_project(event_log)
    await subscribe(other_log, looked_at, 3)

    async def copy(work: unit_of_work.UnitOfWork) -> None:
        wanted = (await work.project(looked_at)).units.get("postgres", 0)
        (await work.project(changed)).subscribe(units={"postgres": wanted}, at=work.now)

    await carry_out(event_log, copy)

    assert await units(event_log, changed) == 3
