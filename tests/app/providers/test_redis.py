import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
import redis as client_of
from redis import exceptions

from app.providers import contract, redis, redis_admin
from tests import brokers
from tests.app.providers import provider_contract
from tests.app.providers.provider_contract import (
    HOSTILE,
    NOTHING,
    Credentials,
    credentials_of,
    request_for,
    tenant,
)

pytestmark = pytest.mark.anyio

T = TypeVar("T")
DEADLINE = 15.0


@contextlib.contextmanager
def opened(credentials: Credentials) -> Iterator[client_of.Redis]:
    """Connect with what the address alone says."""
    with client_of.Redis.from_url(credentials["uri"], decode_responses=True) as client:
        yield client


def refusing(call: Callable[[], T]) -> T:
    try:
        return call()
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        raise provider_contract.RefusedError from error


class RedisAdapter(provider_contract.Adapter):
    senseless = (
        ({HOSTILE: HOSTILE}, NOTHING),
        ({"memory": "1gb"}, NOTHING),
        (NOTHING, {HOSTILE: HOSTILE}),
    )

    def __init__(self, broker: brokers.Broker) -> None:
        self.broker = broker

    def provider(self) -> redis.RedisProvider:
        return redis.RedisProvider(url=self.broker.redis_url)

    def provider_at(self, port: int, *, secret: str, deadline: float) -> redis.RedisProvider:
        return redis.RedisProvider(
            url=f"redis://admin:{secret}@127.0.0.1:{port}", deadline=deadline
        )

    def port(self) -> int:
        return self.broker.port

    def root(self, database: int = 0) -> client_of.Redis:
        return client_of.Redis.from_url(
            self.broker.redis_url.removesuffix("0") + str(database),
            decode_responses=True,
            encoding_errors="replace",
        )

    async def traces(self, service_instance_id: uuid.UUID) -> Mapping[str, int]:
        found = service_instance_id.hex
        keys = 0
        for database in (0, 1):
            with self.root(database) as root:
                keys += len(list(root.scan_iter(f"*{found}*", count=1000)))
                users = sum(found in user for user in root.acl_users())
        # What an application keeps is no trace while it is there.
        return {"users": users, "keys left behind": 0 if users else keys}

    async def write(self, credentials: Credentials, text: str) -> None:
        with opened(credentials) as client:
            refusing(lambda: client.set(f"{credentials['key_prefix']}note", text))

    async def read(self, credentials: Credentials) -> str:
        with opened(credentials) as client:
            return str(refusing(lambda: client.get(f"{credentials['key_prefix']}note")))

    async def trespass(self, mine: Credentials, theirs: Credentials) -> None:
        with opened(mine) as client:
            refusing(lambda: client.get(f"{theirs['key_prefix']}note"))


@pytest.fixture(scope="module")
def adapter(redis_server: brokers.Broker) -> RedisAdapter:
    return RedisAdapter(redis_server)


@pytest.fixture
async def provider(adapter: RedisAdapter) -> AsyncIterator[redis.RedisProvider]:
    provider = adapter.provider()
    yield provider
    await provider.aclose()


class TestContract(provider_contract.ProviderContract):
    @pytest.fixture
    def adapter(self, adapter: RedisAdapter) -> RedisAdapter:
        return adapter


async def test_the_credentials_say_where_who_and_how_to_begin_a_key(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=NOTHING)

    assert set(credentials) == {"uri", "host", "port", "username", "password", "key_prefix"}
    assert credentials["key_prefix"] == f"{service_instance_id.hex}:"
    assert credentials["username"] == f"svc_{service_instance_id.hex}_v1"
    assert credentials["uri"].endswith(f"@127.0.0.1:{adapter.port()}/0")


async def test_applications_are_told_the_address_that_is_theirs(adapter: RedisAdapter) -> None:
    for address, shown in (
        ("cache.example:7000", "redis://{}@cache.example:7000/0"),
        ("rediss://[::1]:7000", "rediss://{}@[::1]:7000/0"),
    ):
        provider = redis.RedisProvider(url=adapter.broker.redis_url, address=address)
        _, credentials = await tenant(provider, plan=NOTHING)
        await provider.aclose()

        who = f"{credentials['username']}:{credentials['password']}"
        assert credentials["uri"] == shown.format(who)


async def test_an_application_can_do_what_applications_do(provider: redis.RedisProvider) -> None:
    _, credentials = await tenant(provider, plan=NOTHING)
    prefix = credentials["key_prefix"]

    with opened(credentials) as client:
        client.set(f"{prefix}text", "x", ex=60, nx=True)
        client.hset(f"{prefix}hash", mapping={"a": "1"})
        client.rpush(f"{prefix}list", "1")
        client.sadd(f"{prefix}set", "1")
        client.zadd(f"{prefix}sorted", {"1": 1})
        client.xadd(f"{prefix}stream", {"a": "1"})
        client.pfadd(f"{prefix}count", "1")
        client.geoadd(f"{prefix}place", (1, 1, "here"))
        with client.pipeline(transaction=True) as together:
            together.watch(f"{prefix}text")
            together.multi()
            together.incr(f"{prefix}number")
            assert together.execute() == [1]
        script = client.register_script("return redis.call('GET', KEYS[1])")
        assert script(keys=[f"{prefix}text"]) == "x"
        assert client.blpop([f"{prefix}list"], timeout=1) == (f"{prefix}list", "1")
        assert f"{prefix}hash" in set(client.scan_iter(f"{prefix}*"))
        with client.lock(f"{prefix}lock", timeout=5):
            assert client.exists(f"{prefix}lock")
        with client.pubsub() as news:
            news.subscribe(f"{prefix}news")
            news.psubscribe(f"{prefix}*")
            for _ in range(2):
                assert news.get_message(timeout=5) is not None
            client.publish(f"{prefix}news", "hear")
            heard = news.get_message(timeout=5)
    assert heard is not None
    assert heard["data"] == "hear"


@pytest.mark.parametrize(
    "command",
    [
        "ACL LIST",
        "ACL SETUSER {user} ~*",
        "BGREWRITEAOF",
        "BGSAVE",
        "CLIENT KILL USER admin",
        "CLIENT LIST",
        "CLIENT PAUSE 1",
        "CLIENT TRACKING ON BCAST",
        "CLIENT UNBLOCK 1",
        "CLUSTER NODES",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "DBSIZE",
        "FAILOVER",
        "FCALL f 0",
        "FLUSHALL",
        "FLUSHDB",
        "FUNCTION FLUSH",
        "FUNCTION LIST",
        "INFO",
        "KEYS *",
        "LATENCY RESET",
        "MEMORY STATS",
        "MIGRATE 127.0.0.1 1 k 0 1",
        "MODULE LIST",
        "MONITOR",
        "MOVE {prefix}k 1",
        "PSUBSCRIBE *",
        "PUBSUB CHANNELS",
        "RANDOMKEY",
        "REPLICAOF NO ONE",
        "RESTORE {prefix}k 0 x",
        "SAVE",
        "SCRIPT FLUSH",
        "SCRIPT KILL",
        "SELECT 1",
        "SHUTDOWN",
        "SLOWLOG GET",
        "SORT {prefix}k BY {theirs}*",
        "SWAPDB 0 1",
        # What is allowed on one's own keys, on those of others:
        "BITOP AND {prefix}k {theirs}note",
        "COPY {theirs}note {prefix}k",
        "DEL {theirs}note",
        "DUMP {theirs}note",
        "EVAL return(redis.call('GET',KEYS[1])) 1 {theirs}note",
        "EVAL return(redis.call('GET','{theirs}note')) 0",
        "EXISTS {theirs}note",
        "GET servicebook:{name}",
        "MEMORY USAGE {theirs}note",
        "OBJECT ENCODING {theirs}note",
        "PUBLISH {theirs}news x",
        "RENAME {prefix}k {theirs}note",
        "SSUBSCRIBE {theirs}news",
        "SUBSCRIBE __keyevent@0__:set",
        "SUBSCRIBE {theirs}news",
        "TYPE {theirs}note",
        "WATCH {theirs}note",
        "XREAD STREAMS {theirs}note 0",
    ],
)
async def test_a_tenant_cannot(
    adapter: RedisAdapter, provider: redis.RedisProvider, command: str
) -> None:
    _, mine = await tenant(provider, plan=NOTHING)
    _, theirs = await tenant(provider, plan=NOTHING)
    await adapter.write(theirs, "theirs")
    words = command.format(
        prefix=mine["key_prefix"],
        theirs=theirs["key_prefix"],
        user=mine["username"],
        name=mine["username"].removesuffix("_v1"),
    ).split()

    with (
        opened(mine) as client,
        pytest.raises(exceptions.ResponseError, match=r"permission|can't access"),
    ):
        client.execute_command(*words)

    assert await adapter.read(theirs) == "theirs"


async def test_the_server_gets_no_password(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, _ = await tenant(provider, plan=NOTHING)
    with adapter.root() as root, adapter.root() as changing:
        changing.config_set("slowlog-log-slower-than", 0)
        with root.monitor() as monitor:
            credentials = await credentials_of(provider, service_instance_id, version=2)
            changing.echo("the end")
            seen: list[str] = []
            while not seen or "the end" not in seen[-1]:
                seen.append(str(monitor.next_command()))
        slow = str(changing.slowlog_get(128))
        changing.config_set("slowlog-log-slower-than", 10_000)

    assert any("WATCH" in command for command in seen)
    assert credentials["password"] not in "".join(seen) + slow


async def test_revoking_ends_sessions_also_those_that_wait(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, old = await tenant(provider, plan=NOTHING)
    new = await credentials_of(provider, service_instance_id, version=2)
    key = f"{old['key_prefix']}queue"
    with opened(old) as idle, opened(old) as waiting, opened(new) as staying:
        assert idle.ping()
        assert staying.ping()
        with waiting.pubsub() as news:
            news.subscribe(f"{old['key_prefix']}news")
            assert news.get_message(timeout=5) is not None
            blocked = asyncio.create_task(asyncio.to_thread(_outcome, old, key))
            await _until(lambda: _blocked(adapter, old["username"]))

            await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

            assert isinstance(await blocked, exceptions.ConnectionError)
            with pytest.raises(exceptions.RedisError):
                news.get_message(timeout=5)
        with pytest.raises(exceptions.RedisError):
            idle.ping()
        assert staying.ping()


def _outcome(credentials: Credentials, key: str) -> Exception | None:
    with opened(credentials) as client:
        try:
            client.blpop([key], timeout=DEADLINE)
        except exceptions.RedisError as error:
            return error
    return None


def _blocked(adapter: RedisAdapter, user: str) -> bool:
    with adapter.root() as root:
        return any(c["user"] == user and "b" in c["flags"] for c in root.client_list())


async def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_removal_under_writing_sessions_takes_every_key(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=NOTHING)
    prefix = credentials["key_prefix"]
    written = threading.Event()

    def write() -> None:
        with opened(credentials) as client:
            for number in range(1_000_000):
                client.set(f"{prefix}{number}", "x")
                if number == 1500:
                    written.set()

    with opened(credentials) as client:
        for odd in (b"\xff\x00\n", b"*[a]?", b"{tag}", b""):
            client.set(prefix.encode() + odd, "x")
        client.copy(f"{prefix}*[a]?", f"{prefix}elsewhere", destination_db=1)
    writer = asyncio.create_task(asyncio.to_thread(write))
    await asyncio.to_thread(written.wait, DEADLINE)

    await provider.ensure_absent(service_instance_id)

    with pytest.raises(exceptions.RedisError):
        await writer
    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_keys_of_nearly_the_same_name_stay(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=NOTHING)
    near = credentials["key_prefix"].removesuffix(":") + "0"
    with adapter.root() as root:
        root.set(near, "kept")

        await provider.ensure_absent(service_instance_id)

        assert root.get(near) == "kept"
        root.delete(near)


async def test_credentials_that_a_removal_overtakes_are_called_off(
    adapter: RedisAdapter, provider: redis.RedisProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_instance_id, _ = await tenant(provider, plan=NOTHING)
    remover = adapter.provider()
    ask = redis_admin.Api.ask

    async def overtaken(self: redis_admin.Api, *words: str) -> object:
        if words[0] == "EXEC":
            monkeypatch.setattr(redis_admin.Api, "ask", ask)
            await remover.ensure_absent(service_instance_id)
        return await ask(self, *words)

    monkeypatch.setattr(redis_admin.Api, "ask", overtaken)
    with pytest.raises(contract.ProviderError) as caught:
        await credentials_of(provider, service_instance_id, version=2)
    await remover.aclose()

    assert caught.value.code == contract.ProviderErrorCode.RESOURCE_MISSING
    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_credentials_are_made_after_the_server_lost_its_keys(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, _ = await tenant(provider, plan=NOTHING)
    with adapter.root() as root:
        assert root.delete(f"servicebook:svc_{service_instance_id.hex}") == 1

    renewed = await credentials_of(provider, service_instance_id, version=2)

    await adapter.write(renewed, "kept")
    assert await adapter.traces(service_instance_id) == {"users": 3, "keys left behind": 0}


async def test_a_change_brings_old_logins_to_the_rules_of_today(
    adapter: RedisAdapter, provider: redis.RedisProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=NOTHING)
    with adapter.root() as root:
        root.execute_command("ACL", "SETUSER", credentials["username"], "+info", "~*", "&*")
    with opened(credentials) as client:
        assert client.info()

        await provider.ensure_configured(request_for(service_instance_id, plan=NOTHING))

        for call in (client.info, lambda: client.get("other"), lambda: client.publish("o", "x")):
            with pytest.raises(exceptions.NoPermissionError):
                call()
        assert client.get(f"{credentials['key_prefix']}note") is None


async def test_logins_and_their_end_outlive_the_server(directory: Path) -> None:
    with brokers.running_redis(directory) as broker:
        adapter = RedisAdapter(broker)
        provider = adapter.provider()
        service_instance_id, first = await tenant(provider, plan=NOTHING)
        second = await credentials_of(provider, service_instance_id, version=2)
        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)
    with brokers.running_redis(directory) as broker:
        adapter = RedisAdapter(broker)
        moved = {
            name: {**one, "uri": one["uri"].rpartition("@")[0] + f"@{broker.address}/0"}
            for name, one in (("first", first), ("second", second))
        }

        await adapter.write(moved["second"], "kept")
        assert await provider_contract.is_refused(adapter, moved["first"])


async def test_a_server_that_forgets_its_users_is_refused(directory: Path) -> None:
    with brokers.running_redis(directory, keeps_users=False) as broker:
        adapter = RedisAdapter(broker)
        provider, service_instance_id = adapter.provider(), uuid.uuid4()

        with pytest.raises(contract.ProviderError, match="aclfile") as caught:
            await provider.ensure_present(request_for(service_instance_id, plan=NOTHING))

        assert not caught.value.is_transient
        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)
        await provider.ensure_absent(service_instance_id)
        assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_a_cluster_is_refused(directory: Path) -> None:
    with brokers.running_redis(directory, "--cluster-enabled", "yes") as broker:
        with pytest.raises(contract.ProviderError, match="cluster") as caught:
            await (
                RedisAdapter(broker)
                .provider()
                .ensure_present(request_for(uuid.uuid4(), plan=NOTHING))
            )

        assert not caught.value.is_transient


async def test_a_full_server_takes_nobody_in_and_lets_everybody_go(directory: Path) -> None:
    with brokers.running_redis(directory) as broker:
        adapter = RedisAdapter(broker)
        provider = adapter.provider()
        service_instance_id, _ = await tenant(provider, plan=NOTHING)
        with adapter.root() as root:
            root.config_set("maxmemory", 1)

        for call in (
            provider.ensure_present(request_for(uuid.uuid4(), plan=NOTHING)),
            credentials_of(provider, service_instance_id, version=2),
        ):
            with pytest.raises(contract.ProviderError) as caught:
                await call
            assert caught.value.code == contract.ProviderErrorCode.UNAVAILABLE
            assert caught.value.is_transient
        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)
        await provider.ensure_absent(service_instance_id)
        assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_a_wrong_password_is_a_lack_of_permission(adapter: RedisAdapter) -> None:
    provider = adapter.provider_at(adapter.port(), secret="wrong", deadline=DEADLINE)

    with pytest.raises(contract.ProviderError) as caught:
        await provider.ensure_absent(uuid.uuid4())

    assert caught.value.code == contract.ProviderErrorCode.PERMISSION_DENIED
    assert not caught.value.is_transient


async def test_an_administrator_without_rights_is_told(
    provider: redis.RedisProvider,
) -> None:
    _, credentials = await tenant(provider, plan=NOTHING)
    lacking = redis.RedisProvider(url=credentials["uri"])

    with pytest.raises(contract.ProviderError, match="permission") as caught:
        await lacking.ensure_present(request_for(uuid.uuid4(), plan=NOTHING))

    assert caught.value.code == contract.ProviderErrorCode.PERMISSION_DENIED
