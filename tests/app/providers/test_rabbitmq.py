import asyncio
import contextlib
import http.server
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pika
import pytest
from pika import exceptions

from app.providers import contract, rabbitmq, rabbitmq_api
from tests import brokers
from tests.app.providers import provider_contract
from tests.app.providers.provider_contract import (
    HOSTILE,
    NOTHING,
    Credentials,
    Values,
    credentials_of,
    request_for,
    tenant,
)

pytestmark = pytest.mark.anyio

PLAN: Values = {"connections": 20, "queues": 10}
OTHER_PLAN: Values = {"connections": 21, "queues": 11}
DEADLINE = 15.0
LOST = (exceptions.AMQPConnectionError, exceptions.AMQPChannelError)
_REFUSED = (exceptions.ProbableAuthenticationError, exceptions.ProbableAccessDeniedError)
_NOT_ALLOWED = 530


@contextlib.contextmanager
def opened(credentials: Credentials, *, vhost: str | None = None) -> Iterator[Any]:
    """Connect with what the address alone says; return a channel."""
    parameters = pika.URLParameters(credentials["uri"])
    if vhost is not None:
        parameters.virtual_host = vhost
    try:
        connection = pika.BlockingConnection(parameters)
    except exceptions.ConnectionClosedByBroker as error:
        if error.reply_code == _NOT_ALLOWED:
            raise provider_contract.RefusedError from error
        raise
    except _REFUSED as error:
        raise provider_contract.RefusedError from error
    try:
        yield connection.channel()
    finally:
        with contextlib.suppress(*LOST):  # where the server was faster
            connection.close()


def message(channel: Any) -> str:  # noqa: ANN401  the client has no types
    """Look at the first message; one that somebody has just looked at comes back in a moment."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        _, _, body = channel.basic_get("notes")
        if body is not None:
            return str(body.decode())
    raise AssertionError("the queue is empty")


class RabbitmqAdapter(provider_contract.Adapter):
    plan = PLAN
    other_plan = OTHER_PLAN
    senseless = (
        (PLAN | {"connections": HOSTILE}, NOTHING),
        (PLAN | {"connections": 0}, NOTHING),
        (PLAN | {"queues": True}, NOTHING),
        (PLAN | {"queues": -1}, NOTHING),
        (PLAN, {HOSTILE: HOSTILE}),
    )

    def __init__(self, broker: brokers.Broker) -> None:
        self.broker = broker
        self.root = httpx.Client(base_url=f"{broker.management_url}/api/", trust_env=False)

    def provider(self) -> rabbitmq.RabbitmqProvider:
        return rabbitmq.RabbitmqProvider(
            url=self.broker.management_url, address=self.broker.address
        )

    def provider_at(self, port: int, *, secret: str, deadline: float) -> rabbitmq.RabbitmqProvider:
        return rabbitmq.RabbitmqProvider(
            url=f"http://admin:{secret}@127.0.0.1:{port}", deadline=deadline
        )

    def port(self) -> int:
        return self.broker.management_port

    async def traces(self, service_instance_id: uuid.UUID) -> Mapping[str, int]:
        return {
            what: sum(service_instance_id.hex in each["name"] for each in self.ask(what))
            for what in ("vhosts", "users")
        }

    def ask(self, place: str) -> Any:  # noqa: ANN401  what the server tells
        return self.root.get(place).raise_for_status().json()

    async def write(self, credentials: Credentials, text: str) -> None:
        with opened(credentials) as channel:
            channel.confirm_delivery()
            channel.queue_declare("notes", durable=True)
            channel.basic_publish("", "notes", text.encode())

    async def read(self, credentials: Credentials) -> str:
        with opened(credentials) as channel:
            return message(channel)

    async def trespass(self, mine: Credentials, theirs: Credentials) -> None:
        with opened(mine, vhost=theirs["vhost"]):
            pass

    async def allowance(self, credentials: Credentials) -> object:
        return self.ask(f"vhost-limits/{credentials['vhost']}")[0]["value"]


@pytest.fixture(scope="module")
def adapter(rabbitmq_server: brokers.Broker) -> Iterator[RabbitmqAdapter]:
    made = RabbitmqAdapter(rabbitmq_server)
    yield made
    made.root.close()


@pytest.fixture
async def provider(adapter: RabbitmqAdapter) -> AsyncIterator[rabbitmq.RabbitmqProvider]:
    provider = adapter.provider()
    yield provider
    await provider.aclose()


class TestContract(provider_contract.ProviderContract):
    @pytest.fixture
    def adapter(self, adapter: RabbitmqAdapter) -> RabbitmqAdapter:
        return adapter


async def test_the_credentials_say_where_and_who(
    adapter: RabbitmqAdapter, provider: rabbitmq.RabbitmqProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    name = f"svc_{service_instance_id.hex}"

    assert set(credentials) == {"uri", "host", "port", "vhost", "username", "password"}
    assert (credentials["vhost"], credentials["username"]) == (name, f"{name}_v1")
    assert credentials["uri"].endswith(f"@{adapter.broker.address}/{name}")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("queue.example:7000", "amqp://{}@queue.example:7000/"),
        ("amqps://[::1]:7000", "amqps://{}@[::1]:7000/"),
        (None, "amqp://{}@127.0.0.1:5672/"),
    ],
)
async def test_applications_are_told_the_address_that_is_theirs(
    adapter: RabbitmqAdapter, address: str | None, shown: str
) -> None:
    provider = rabbitmq.RabbitmqProvider(url=adapter.broker.management_url, address=address)
    _, credentials = await tenant(provider, plan=PLAN)
    await provider.aclose()

    who = f"{credentials['username']}:{credentials['password']}"
    assert credentials["uri"].startswith(shown.format(who))


async def test_an_application_publishes_and_consumes(provider: rabbitmq.RabbitmqProvider) -> None:
    _, credentials = await tenant(provider, plan=PLAN)

    with opened(credentials) as channel:
        channel.confirm_delivery()
        channel.exchange_declare("events", "topic", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "events", "order.*")
        channel.basic_publish("events", "order.made", b"1", mandatory=True)
        method, _, body = next(channel.consume(queue, inactivity_timeout=DEADLINE))
        channel.basic_ack(method.delivery_tag)

    assert body == b"1"


async def test_a_tenant_reaches_neither_the_default_virtual_host_nor_the_management(
    adapter: RabbitmqAdapter, provider: rabbitmq.RabbitmqProvider
) -> None:
    _, mine = await tenant(provider, plan=PLAN)

    with pytest.raises(provider_contract.RefusedError), opened(mine, vhost="/"):
        pass
    answer = adapter.root.get("vhosts", auth=(mine["username"], mine["password"]))
    assert answer.status_code == httpx.codes.UNAUTHORIZED


async def test_limits_are_kept(provider: rabbitmq.RabbitmqProvider) -> None:
    _, credentials = await tenant(provider, plan={"connections": 1, "queues": 1})

    # Twice as many, for the two versions of a rotation.
    with opened(credentials) as channel, opened(credentials):
        with pytest.raises(provider_contract.RefusedError), opened(credentials):
            pass
        channel.queue_declare("first")
        with pytest.raises(exceptions.ChannelClosedByBroker, match="queue limit"):
            channel.queue_declare("second")


async def test_revoking_ends_a_consumer_and_leaves_the_new_one(
    provider: rabbitmq.RabbitmqProvider,
) -> None:
    service_instance_id, old = await tenant(provider, plan=PLAN)
    new = await credentials_of(provider, service_instance_id, version=2)
    with opened(old) as ending, opened(new) as staying:
        staying.queue_declare("notes")
        ending.basic_consume("notes", lambda *_: None)

        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

        with pytest.raises(LOST):
            await asyncio.to_thread(_consume, ending)
        staying.confirm_delivery()
        staying.basic_publish("", "notes", b"kept")
        assert message(staying) == "kept"


def _consume(channel: Any) -> None:  # noqa: ANN401  the client has no types
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        channel.connection.process_data_events(time_limit=0.1)


async def test_removal_under_use_ends_sessions_and_leaves_nothing(
    adapter: RabbitmqAdapter, provider: rabbitmq.RabbitmqProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    begun = threading.Event()

    def publish() -> None:
        with opened(credentials) as channel:
            channel.confirm_delivery()
            channel.queue_declare("notes", durable=True)
            while True:
                channel.basic_publish("", "notes", b"x")
                begun.set()

    publishers = [asyncio.create_task(asyncio.to_thread(publish)) for _ in range(4)]
    await asyncio.to_thread(begun.wait, DEADLINE)
    with opened(credentials) as consumer:
        consumer.basic_consume("notes", lambda *_: None)

        await provider.ensure_absent(service_instance_id)

        with pytest.raises(LOST):
            await asyncio.to_thread(_consume, consumer)
    for publisher in publishers:
        with pytest.raises((*LOST, provider_contract.RefusedError)):
            await publisher
    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_a_login_that_a_removal_overtakes_is_taken_back(
    adapter: RabbitmqAdapter, provider: rabbitmq.RabbitmqProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_instance_id, _ = await tenant(provider, plan=PLAN)
    remover = adapter.provider()
    put = rabbitmq_api.Api.put

    async def overtaken(self: rabbitmq_api.Api, *place: str, **more: object) -> object:
        if place[0] == "users":  # and then is made, after the removal looked for users
            await remover.ensure_absent(service_instance_id)
        return await put(self, *place, **more)

    monkeypatch.setattr(rabbitmq_api.Api, "put", overtaken)
    with pytest.raises(contract.ProviderError) as caught:
        await credentials_of(provider, service_instance_id, version=2)
    until = time.monotonic() + DEADLINE
    # The server may tell of the virtual host, or stumble over it, a moment longer.
    while caught.value.is_transient and time.monotonic() < until:
        with pytest.raises(contract.ProviderError) as caught:
            await credentials_of(provider, service_instance_id, version=2)
    await remover.aclose()

    assert caught.value.code == contract.ProviderErrorCode.RESOURCE_MISSING
    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_a_login_left_by_a_crash_opens_nothing_and_goes_with_the_next_removal(
    adapter: RabbitmqAdapter, provider: rabbitmq.RabbitmqProvider
) -> None:
    service_instance_id, credentials = await tenant(provider, plan=PLAN)
    left = {"username": f"svc_{service_instance_id.hex}_v2", "password": "known"}
    body = {"password": left["password"], "tags": ""}
    adapter.root.put(f"users/{left['username']}", json=body).raise_for_status()
    uri = credentials["uri"].replace(credentials["username"], left["username"])
    uri = uri.replace(credentials["password"], left["password"])

    with pytest.raises(provider_contract.RefusedError), opened({"uri": uri}):
        pass
    await provider.ensure_absent(service_instance_id)

    assert provider_contract.is_empty(await adapter.traces(service_instance_id))


async def test_the_server_gets_no_password(provider: rabbitmq.RabbitmqProvider) -> None:
    service_instance_id, _ = await tenant(provider, plan=PLAN)
    sent: list[str] = []

    async def see(request: httpx.Request) -> None:
        sent.append(f"{request.url} {request.content.decode()}")

    provider._admin._connected().event_hooks["request"].append(see)
    credentials = await credentials_of(provider, service_instance_id, version=2)

    assert any("password_hash" in one for one in sent)
    assert credentials["password"] not in "".join(sent)


async def test_a_wrong_password_is_a_lack_of_permission(adapter: RabbitmqAdapter) -> None:
    provider = adapter.provider_at(adapter.port(), secret="wrong", deadline=DEADLINE)

    with pytest.raises(contract.ProviderError, match=r"RabbitMQ: not_authori[sz]ed") as caught:
        await provider.ensure_absent(uuid.uuid4())
    await provider.aclose()

    assert caught.value.code == contract.ProviderErrorCode.PERMISSION_DENIED
    assert not caught.value.is_transient


@pytest.mark.parametrize(
    ("status", "code", "is_transient"),
    [
        (503, "PROVIDER_UNAVAILABLE", True),
        (429, "PROVIDER_UNAVAILABLE", True),
        (200, "PROVIDER_UNAVAILABLE", True),  # no JSON: something between answers for it
        (403, "PERMISSION_DENIED", False),
        (302, "PROVIDER_FAILED", False),
        (400, "PROVIDER_FAILED", False),
    ],
)
async def test_answers_that_are_not_as_expected(
    adapter: RabbitmqAdapter, *, status: int, code: str, is_transient: bool
) -> None:
    with _answering(status, "<html>secret words of a proxy, password=hunter2") as port:
        provider = adapter.provider_at(port, secret="hunter2", deadline=DEADLINE)
        with pytest.raises(contract.ProviderError) as caught:
            await provider.ensure_configured(request_for(uuid.uuid4(), plan=PLAN))
        await provider.aclose()

    assert (caught.value.code, caught.value.is_transient) == (code, is_transient)
    assert "hunter2" not in caught.value.message
    assert "proxy" not in caught.value.message


@contextlib.contextmanager
def _answering(status: int, text: str) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
