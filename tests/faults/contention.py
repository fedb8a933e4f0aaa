"""Many tasks write to one aggregate: each wins in turn, and none waits for ever."""

import asyncio
import random
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

from app.eventlog import command, log
from domain import events, values
from tests.faults import ground

_LONGEST_PAUSE = 0.05  # seconds
_WITHIN = 600  # seconds


async def run(dsn: str, *, tasks: int, commands: int) -> dict[str, object]:
    """Record so many commands on one aggregate, and count the conflicts on the way."""
    account, aggregate_id = ground.Account(), uuid4()
    left = iter(range(commands))
    started = time.monotonic()

    async def work(event_log: log.EventLog) -> None:
        version = 0
        for _ in left:
            version = await _record(event_log, account, aggregate_id, version)

    async with ground.event_log(dsn) as event_log, asyncio.timeout(_WITHIN):
        await asyncio.gather(*(work(event_log) for _ in range(tasks)))
        history = (await event_log.load(aggregate_id)).events[aggregate_id]
    versions = [event.originator_version for event in history]
    conflicts, account.conflicts = account.conflicts, 0  # these are true ones
    figures = await ground.in_the_log(dsn, account)
    return figures | {
        "tasks": tasks,
        "commands": commands,
        "final_version": versions[-1],
        "conflicts": conflicts,
        "commands_per_second": round(commands / (time.monotonic() - started)),
        "passed": ground.is_whole(figures) and versions == list(range(1, commands + 1)),
    }


async def _record(
    event_log: log.EventLog, account: ground.Account, aggregate_id: UUID, version: int
) -> int:
    """Record one command after whatever others did; return the version that it made."""
    asked = ground.new_command()
    while True:
        try:
            receipt = await event_log.append(
                command=asked, events=[_event(aggregate_id, version + 1)]
            )
        except command.VersionConflictError as error:
            account.conflicts += 1
            version = error.current_version
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311  no secret
        else:
            account.acknowledged[asked.id] = receipt.last_position
            return version + 1


def _event(aggregate_id: UUID, version: int) -> events.Event:
    moment = datetime.now(UTC)
    if version == 1:
        return events.ProjectCreated(
            originator_id=aggregate_id,
            originator_version=1,
            originator_topic="Project",
            timestamp=moment,
            name=aggregate_id.hex,
        )
    return events.MemberAdded(
        originator_id=aggregate_id,
        originator_version=version,
        timestamp=moment,
        subject="grace",
        role=values.MemberRole.DEVELOPER,
    )


def main() -> None:
    """Run it at full size."""
    with ground.prepared() as place:
        ground.report(asyncio.run(run(place.dsn, tasks=64, commands=5_000)))


if __name__ == "__main__":
    main()
