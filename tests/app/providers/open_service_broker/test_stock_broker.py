import uuid
from collections.abc import Iterator, Mapping

import httpx
import pytest

from app.providers import contract
from app.providers.open_service_broker import client, order
from tests.app.providers import provider_contract
from tests.app.providers.open_service_broker import book as books
from tests.app.providers.open_service_broker import stock_broker

pytestmark = pytest.mark.anyio


def settings_of(plan_id: str) -> Mapping[str, object]:
    return {
        "service_id": "search-engine-id",
        "plan_id": plan_id,
        "credential": "uri",
        "can_change": True,
        "bindings_retrievable": True,
    }


@pytest.fixture(scope="module")
def at_once() -> Iterator[stock_broker.SearchBroker]:
    with stock_broker.running(polls=0) as broker:
        yield broker


@pytest.fixture(scope="module")
def in_a_while() -> Iterator[stock_broker.SearchBroker]:
    with stock_broker.running(polls=2) as broker:
        yield broker


class StockAdapter(provider_contract.Adapter):
    plan = settings_of(stock_broker.SMALL)
    other_plan = settings_of(stock_broker.LARGE)
    senseless = (
        ({}, {}),
        (settings_of(provider_contract.HOSTILE), {}),
        (settings_of(stock_broker.SMALL), {"shards": provider_contract.HOSTILE}),
        (settings_of(stock_broker.SMALL), {provider_contract.HOSTILE: 1}),
    )

    def __init__(self, broker: stock_broker.SearchBroker) -> None:
        self._broker = broker
        self._book = books.Book()

    def provider(self) -> books.BookedProvider:
        return self._made(self._broker.port, stock_broker.PASSWORD, 10.0)

    def provider_at(self, port: int, *, secret: str, deadline: float) -> books.BookedProvider:
        return self._made(port, secret, deadline)

    def port(self) -> int:
        return self._broker.port

    async def traces(self, service_instance_id: uuid.UUID) -> Mapping[str, int]:
        found = self._broker.instances.get(str(service_instance_id))
        return {"instances": int(bool(found)), "bindings": len(found.bindings) if found else 0}

    async def write(self, credentials: Mapping[str, str], text: str) -> None:
        await _visit("PUT", credentials["uri"], content=text)

    async def read(self, credentials: Mapping[str, str]) -> str:
        return (await _visit("GET", credentials["uri"])).text

    async def trespass(self, mine: Mapping[str, str], theirs: Mapping[str, str]) -> None:
        uri = httpx.URL(theirs["uri"]).copy_with(
            username=mine["username"], password=mine["password"]
        )
        await _visit("GET", str(uri))

    async def allowance(self, credentials: Mapping[str, str]) -> object:
        return self._broker.instances[credentials["uri"].rpartition("/")[2]].plan_id

    def _made(self, port: int, password: str, deadline: float) -> books.BookedProvider:
        asking = client.Client(
            url=f"http://127.0.0.1:{port}/",
            username=stock_broker.USERNAME,
            password=password,
            deadline=deadline,
        )
        return books.BookedProvider(book=self._book, client=asking, first_pause=0.02)


async def _visit(method: str, uri: str, *, content: str = "") -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as application:  # noqa: S501  slow to make, not used
        answer = await application.request(method, uri, content=content)
    if answer.status_code == 401:
        raise provider_contract.RefusedError
    return answer.raise_for_status()


class TestContractWithABrokerThatAnswersAtOnce(provider_contract.ProviderContract):
    @pytest.fixture
    def adapter(self, at_once: stock_broker.SearchBroker) -> StockAdapter:
        return StockAdapter(at_once)


class TestContractWithABrokerThatTakesItsTime(provider_contract.ProviderContract):
    @pytest.fixture
    def adapter(self, in_a_while: stock_broker.SearchBroker) -> StockAdapter:
        return StockAdapter(in_a_while)


async def test_what_is_there_with_other_parameters_is_a_conflict_for_good(
    at_once: stock_broker.SearchBroker,
) -> None:
    adapter = StockAdapter(at_once)
    provider = adapter.provider()
    service_instance_id, credentials = await provider_contract.tenant(provider, plan=adapter.plan)

    with pytest.raises(contract.ProviderError) as caught:
        await provider.ensure_present(
            provider_contract.request_for(
                service_instance_id, plan=adapter.plan, parameters={"shards": 2}
            )
        )

    assert not caught.value.is_transient
    assert "409" in caught.value.message
    assert await adapter.read(credentials) == ""
    await provider.aclose()


def test_settings_that_are_no_broker_s_are_told() -> None:
    with pytest.raises(contract.ProviderError):
        order.broker_plan({"connections": 20})
