"""Those who ask the same are told together, each event once and in order."""

import asyncio
import contextlib
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from app.application import request
from app.graphql import context, groups
from tests.app.graphql.asking import OPERATOR, Api, Shop

pytestmark = pytest.mark.anyio

LOG = "subscription { auditEvents { position } }"
LOG_AFTER = "subscription ($after: Position) { auditEvents(after: $after) { position } }"


class Client:
    """A listener; notes what it is told by its group, and what it is told alone."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.alone: list[int] = []
        self.errors: list[str] = []
        self._keeps_up = asyncio.Event()
        self._keeps_up.set()

    def take(self, payloads: Sequence[bytes]) -> bool:
        self.told += [position(json.loads(each)["data"]) for each in payloads]
        return self._keeps_up.is_set()

    async def drained(self) -> None:
        await self._keeps_up.wait()

    def be_slow(self) -> None:
        self._keeps_up.clear()

    def catch_up(self) -> None:
        self._keeps_up.set()

    async def listen(self, all_: groups.Groups, asked: groups.Asked, who: context.Context) -> None:
        async with contextlib.aclosing(all_.results(asked, who=who, listener=self)) as results:
            async for result in results:
                await self.drained()
                self.errors += [error.extensions["code"] for error in result.errors or ()]
                if result.data is not None:
                    self.told.append(position(result.data))
                    self.alone.append(self.told[-1])


def position(data: dict[str, dict[str, str]]) -> int:
    return int(data["auditEvents"]["position"].rpartition(".")[2])


class Hall:
    """Where clients come and go."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.groups = groups.Groups(api.schema)
        self.tasks: dict[Client, asyncio.Task[None]] = {}

    def listen(self, query: str = LOG, **variables: object) -> Client:
        client = Client()
        asked = groups.Asked(query, variables, None)
        who = self.api.context(OPERATOR)
        self.tasks[client] = asyncio.create_task(client.listen(self.groups, asked, who))
        return client

    async def come(self, query: str = LOG, **variables: object) -> Client:
        """Return a client that is told by a group."""
        before = len(self.groups)
        client = self.listen(query, **variables)
        await until(lambda: len(self.groups) == before + 1)
        return client

    async def see_off(self, client: Client) -> None:
        self.tasks[client].cancel()
        await asyncio.wait([self.tasks[client]])


@pytest.fixture
async def hall(api: Api) -> AsyncIterator[Hall]:
    made = Hall(api)
    yield made
    for task in made.tasks.values():
        task.cancel()
    if made.tasks:
        await asyncio.wait(made.tasks.values())
    assert len(made.groups) == 0


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  none of these tells by itself
            await asyncio.sleep(0.005)


async def change(api: Api, service: uuid.UUID, *, times: int) -> int:
    """Record some events, at least so many; return the position of the last one."""
    for _ in range(times):
        await api.parts.application.services.rename_prefix(
            request=request.Request(actor="grace", name="renamePrefix"),
            service_instance_id=service,
            prefix=f"N{uuid.uuid4().hex[:12].upper()}",
        )
    return await api.parts.event_log.head()


async def test_clients_come_and_go_and_fall_behind(api: Api, shop: Shop, hall: Hall) -> None:
    begin = await api.parts.event_log.head()
    steady, slow, leaving = await hall.come(), await hall.come(), await hall.come()

    middle = await change(api, shop.database, times=5)
    await until(lambda: slow.told[-1:] == leaving.told[-1:] == [middle])
    await hall.see_off(leaving)
    slow.be_slow()
    last = await change(api, shop.database, times=1)
    await until(lambda: steady.told[-1] == last and slow.told[-1] > middle)
    behind = slow.told[-1]
    changing = asyncio.create_task(change(api, shop.database, times=60))
    await until(lambda: steady.told[-1] > middle + 20)
    joining = hall.listen()
    resuming = hall.listen(LOG_AFTER, after=str(begin + 2))
    await until(lambda: steady.told[-1] > middle + 40)
    assert slow.told[-1] == behind  # and the others do not wait for it
    slow.catch_up()
    await changing
    end = await change(api, shop.database, times=5)
    await until(lambda: all(each.told[-1:] == [end] for each in hall.tasks if each is not leaving))

    everything = list(range(begin + 1, end + 1))
    assert steady.told == everything
    assert steady.alone == []
    assert slow.told == everything
    assert slow.alone != []
    assert leaving.told == everything[: middle - begin]
    assert resuming.told == everything[2:]
    assert joining.told == everything[-len(joining.told) :]
    assert middle < joining.told[0] < end


async def test_event_is_read_once_for_all(api: Api, shop: Shop, hall: Hall) -> None:
    clients = [await hall.come() for _ in range(20)]
    api.statements.clear()

    end = await change(api, shop.database, times=3)
    await until(lambda: all(each.told[-1:] == [end] for each in clients))

    assert len(api.statements) == len(clients[0].told)


async def test_who_may_less_is_told_so(api: Api, shop: Shop, hall: Hall) -> None:
    """An operator becomes somebody without a project."""
    asked = groups.Asked(LOG, {}, None)
    who = api.context(OPERATOR)
    client = Client()
    hall.tasks[client] = asyncio.create_task(client.listen(hall.groups, asked, who))
    await until(lambda: len(hall.groups) == 1)
    other = await hall.come()
    before = await change(api, shop.database, times=1)
    await until(lambda: client.told[-1:] == other.told[-1:] == [before])

    who.caller = dataclasses.replace(OPERATOR, subject="eve", roles=frozenset())
    hall.groups.renew(who.caller)
    await until(lambda: len(hall.groups) == 2)
    after = await change(api, shop.database, times=3)
    await until(lambda: other.told[-1] == after)

    assert client.told[-1] == before


async def test_whoever_was_told_of_a_lost_log_is_told_so(api: Api, shop: Shop, hall: Hall) -> None:
    common = await change(api, shop.database, times=1)
    client = await hall.come()
    last = await change(api, shop.database, times=2)
    await until(lambda: client.told[-1:] == [last])

    await api.execute("UPDATE ledger.epochs SET birthmark = 'of the lost one'")
    await api.parts.event_log.begin()
    await api.execute("UPDATE ledger.epochs SET began_after = %s WHERE number > 1", [common])
    await api.parts.event_log.begin()
    await change(api, shop.database, times=1)
    await until(hall.tasks[client].done)

    assert client.told == list(range(common + 1, last + 1))
    assert client.errors == ["LOG_DIVERGED"]
