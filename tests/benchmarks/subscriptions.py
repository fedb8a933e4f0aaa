"""1,000 open subscriptions on one process, and changes at a steady rate.

    python -m tests.benchmarks.subscriptions

Prints a table; fails if a subscriber misses a change, hears one twice or out of order. Whether
the process kept up with the rate is a figure: `reached` beside `wanted`, and how late the last
message came. The listeners need the same processors as the server: what a message costs each is in
the table.
"""

import asyncio
import contextlib
import os
import re
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from app import embedded, migrations
from tests.benchmarks import listeners
from tests.journeys import client, product

_LISTENERS = 1000
_SECONDS = 10
_CASES = ((100, 50), (1, 10), (1, 50))  # environments that are listened to, changes a second
_HEAD = (
    "environments", "wanted/s", "reached/s", "messages", "messages/s", "us/message",
    "us/listener", "late s", "MiB before", "open", "halfway", "after",
)  # fmt: skip
_POSITION = re.compile(rb'"position":"(\d+)"')
_MUTATION = "mutation ($id: ID!) {{ {}Service(input: {{id: $id}}) {{ __typename }} }}"
_PATIENCE = 120.0  # seconds for a change to be accepted


@contextlib.contextmanager
def _serving() -> Iterator[client.Api]:
    with tempfile.TemporaryDirectory(prefix="servicebook-bench-") as place:
        Path(place).chmod(0o711)
        with (
            embedded.running(data=Path(place, "postgres")) as server,
            _prepared(server, Path(place)) as served,
        ):
            served.start()
            api = client.Api(served)
            try:
                yield api
            finally:
                api.close()
                served.stop(within=10)


@contextlib.contextmanager
def _prepared(server: embedded.Address, place: Path) -> Iterator[product.Product]:
    import psycopg  # noqa: PLC0415

    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    asyncio.run(migrations.migrate(conninfo=server.dsn("migrated")))
    directory = place / "data"
    directory.mkdir(mode=0o711)
    with product.prepared(
        server=server, template="migrated", directory=directory, settings={}
    ) as served:
        yield served


def _memory(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _processor(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _document(environment: str, *, is_only: bool) -> str:
    """Return what a listener asks: for its environment, or for all changes."""
    if is_only:
        wanted = '{events: ["ServiceDetachmentRequested", "ServiceAttachmentRequested"]}'
        return f"subscription {{ auditEvents(filter: {wanted}) {{ position event }} }}"
    return (
        f'subscription {{ serviceInstanceChanges(environment: "{environment}") {{ id wanted }} }}'
    )


async def _change(api: client.Api, services: Sequence[str], *, changes: int, rate: int) -> None:
    """Detach and attach services in turn, at the rate; each one's changes follow one another."""
    begin = time.monotonic()

    async def change(http: httpx.AsyncClient, first: int) -> None:
        for number in range(first, changes, len(services)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            verb = "detach" if number // len(services) % 2 == 0 else "attach"
            answer = await http.post(
                f"{api.product.url}/graphql",
                json={"query": _MUTATION.format(verb), "variables": {"id": services[first]}},
                timeout=_PATIENCE,
            )
            assert "Success" in answer.text, answer.text

    headers = {"Authorization": f"Bearer {api.product.token}"}
    async with httpx.AsyncClient(headers=headers) as http:
        await asyncio.gather(*(change(http, first) for first in range(len(services))))


async def _measure(api: client.Api, *, places: int, rate: int) -> tuple[float, ...]:
    environments = [api.project().test for _ in range(places)]
    services = [api.default(place, "DATABASE") for place in environments]
    if places == 1:
        services += [api.add(environments[0], prefix=f"MORE{number}") for number in range(9)]
    documents = [
        _document(environments[n % places], is_only=places == 1) for n in range(_LISTENERS)
    ]
    pid = api.product.pid
    before = _memory(pid)
    open_ = listeners.Listeners(url=api.product.url, token=api.product.token, documents=documents)
    at_rest, used = _memory(pid), _processor(pid)
    begin = time.monotonic()
    # Each change is of one environment; so many are told to each listener.
    changes = rate * _SECONDS
    changing = asyncio.create_task(_change(api, services, changes=changes, rate=rate))
    halfway = asyncio.create_task(asyncio.sleep(_SECONDS / 2))
    await halfway
    middle = _memory(pid)
    await changing
    changed = time.monotonic() - begin
    heard = await asyncio.to_thread(open_.heard, changes // places)
    told = heard.at - begin
    used = _processor(pid) - used
    after = _memory(pid)
    assert len(heard.messages) == places
    for each in heard.messages:
        assert len(each) == changes // places
        positions = [int(position) for position in _POSITION.findall(b"".join(each))]
        assert len(positions) == (changes if places == 1 else 0)
        assert positions == sorted(set(positions))
    messages = changes // places * _LISTENERS
    return (
        places, rate, changes / changed, messages, messages / told, used / messages * 1e6,
        heard.processor_seconds / messages * 1e6, max(0.0, told - changed),
        before, at_rest, middle, after,
    )  # fmt: skip


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else soft, hard))
    print(f"{_LISTENERS} subscriptions, {_SECONDS} s of changes")
    print(*(f"{name:>12}" for name in _HEAD))
    for places, rate in _CASES:
        with _serving() as api:
            figures = asyncio.run(_measure(api, places=places, rate=rate))
        print(*(f"{figure:12.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
