"""What every provider is held to, whatever it makes.

A provider joins with an `Adapter` and a class of its own:

    class TestContract(provider_contract.ProviderContract):
        @pytest.fixture
        def adapter(self, server: Server) -> RedisAdapter:
            return RedisAdapter(server)

The module says `pytestmark = pytest.mark.anyio`, and asks for `adapter.provider()` in its other
tests too; `tenant`, `credentials_of` and `request_for` are for them as well.
"""

import abc
import asyncio
import contextlib
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from app.providers import contract

Values = Mapping[str, object]
Credentials = Mapping[str, str]

NOTHING: Values = {}
HOSTILE = "x'; DROP DATABASE postgres; --\"\\\n* ../{}$()"
PLANTED = "planted-secret"
PATIENCE = 10.0


class RefusedError(Exception):
    """The server let nobody in, or forbade what was asked."""


class Adapter(abc.ABC):
    """How the contract's tests make one provider, and look at its server.

    Methods that use credentials raise RefusedError where the server refuses, and only there.
    """

    plan: Values = NOTHING
    other_plan: Values = NOTHING
    """What `ensure_configured` changes to: where the two are equal, that test only repeats."""
    senseless: tuple[tuple[Values, Values], ...]
    """Pairs of plan and parameters that must be PARAMETERS_INVALID, hostile ones among them."""
    takes_effect_within = 0.0
    """Seconds that the server may take to make a change of access rights felt."""
    moments = 0.25
    """Work is broken off at random moments within so many seconds."""

    @abc.abstractmethod
    def provider(self) -> contract.Provider:
        """Return a new provider for the server, as another process would have it."""

    @abc.abstractmethod
    def provider_at(self, port: int, *, secret: str, deadline: float) -> contract.Provider:
        """Return one that finds its server at this port of 127.0.0.1, and logs in with `secret`."""

    @abc.abstractmethod
    def port(self) -> int:
        """Return the port of the server that the provider administers."""

    @abc.abstractmethod
    async def traces(self, service_instance_id: uuid.UUID) -> Mapping[str, int]:
        """Count what the server holds of an instance, by what it is; for example
        {"databases": 1, "logins": 2}. What is not there counts 0.
        """

    @abc.abstractmethod
    async def write(self, credentials: Credentials, text: str) -> None:
        """Keep a text in the resource, as its application would."""

    @abc.abstractmethod
    async def read(self, credentials: Credentials) -> str:
        """Return the text that was kept."""

    @abc.abstractmethod
    async def trespass(self, mine: Credentials, theirs: Credentials) -> None:
        """Read, or at least enter, their resource with my credentials; raises RefusedError."""

    async def allowance(self, credentials: Credentials) -> object:  # noqa: ARG002  for those that have some
        """Return what the plan allows, as the application or the server sees it."""
        return None


def request_for(
    service_instance_id: uuid.UUID, *, plan: Values, parameters: Values = NOTHING
) -> contract.ResourceRequest:
    return contract.ResourceRequest(
        service_instance_id=service_instance_id, plan=plan, parameters=parameters
    )


async def credentials_of(
    provider: contract.Provider, service_instance_id: uuid.UUID, *, version: int = 1
) -> Credentials:
    secret = await provider.new_secret(service_instance_id=service_instance_id, version=version)
    return await provider.ensure_credentials(
        service_instance_id=service_instance_id, version=version, secret=secret
    )


async def tenant(
    provider: contract.Provider, *, plan: Values, parameters: Values = NOTHING
) -> tuple[uuid.UUID, Credentials]:
    service_instance_id = uuid.uuid4()
    await provider.ensure_present(
        request_for(service_instance_id, plan=plan, parameters=parameters)
    )
    return service_instance_id, await credentials_of(provider, service_instance_id)


async def written(adapter: Adapter, credentials: Credentials, text: str) -> None:
    """Write as soon as the server knows the credentials."""
    deadline = time.monotonic() + adapter.takes_effect_within
    while True:
        try:
            return await adapter.write(credentials, text)
        except RefusedError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


async def text_in(adapter: Adapter, credentials: Credentials) -> str:
    """Read as soon as the server knows the credentials."""
    deadline = time.monotonic() + adapter.takes_effect_within
    while True:
        try:
            return await adapter.read(credentials)
        except RefusedError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


async def is_refused(adapter: Adapter, credentials: Credentials) -> bool:
    """Tell whether the server comes to refuse the credentials."""
    deadline = time.monotonic() + adapter.takes_effect_within
    while True:
        try:
            await adapter.read(credentials)
        except RefusedError:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)


def is_empty(traces: Mapping[str, int]) -> bool:
    return not any(traces.values())


async def break_off(work: Coroutine[Any, Any, object], *, after: float) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=after)
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accept connections and never answer."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


class ProviderContract:
    """The tests; see the module for how a provider joins."""

    @pytest.fixture
    async def provider(self, adapter: Adapter) -> AsyncIterator[contract.Provider]:
        provider = adapter.provider()
        yield provider
        await provider.aclose()

    async def test_a_resource_can_be_used_with_its_credentials(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        _, credentials = await tenant(provider, plan=adapter.plan)

        await written(adapter, credentials, "kept")

        assert await adapter.read(credentials) == "kept"
        assert "://" in credentials["uri"]
        assert all(isinstance(value, str) for value in credentials.values())

    async def test_a_repeat_changes_neither_data_nor_credentials(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, first = await tenant(provider, plan=adapter.plan)
        await written(adapter, first, "kept")
        traces = await adapter.traces(service_instance_id)

        # The caller keeps what was returned, and hands it in with the next call.
        await provider.ensure_present(request_for(service_instance_id, plan=adapter.plan))
        again = await provider.ensure_credentials(
            service_instance_id=service_instance_id, version=1, secret=first
        )

        assert again == first
        assert await adapter.read(again) == "kept"
        assert await adapter.traces(service_instance_id) == traces

    async def test_a_repeat_after_lost_credentials_returns_the_same(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id = uuid.uuid4()
        await provider.ensure_present(request_for(service_instance_id, plan=adapter.plan))
        secret = await provider.new_secret(service_instance_id=service_instance_id, version=1)
        lost = await provider.ensure_credentials(
            service_instance_id=service_instance_id, version=1, secret=secret
        )
        traces = await adapter.traces(service_instance_id)

        found = await provider.ensure_credentials(
            service_instance_id=service_instance_id, version=1, secret=secret
        )

        await written(adapter, found, "kept")
        assert found == lost
        assert await adapter.traces(service_instance_id) == traces

    async def test_eight_requests_at_once_make_one_resource(self, adapter: Adapter) -> None:
        service_instance_id = uuid.uuid4()
        providers = [adapter.provider() for _ in range(8)]
        request = request_for(service_instance_id, plan=adapter.plan)

        results = await asyncio.gather(
            *(provider.ensure_present(request) for provider in providers), return_exceptions=True
        )

        for result in results:
            assert result is None or (
                isinstance(result, contract.ProviderError) and result.is_transient
            )
        assert None in results
        before = await adapter.traces(service_instance_id)
        assert not is_empty(before)
        await providers[0].ensure_present(request)
        assert await adapter.traces(service_instance_id) == before
        for provider in providers:
            await provider.aclose()

    async def test_a_secret_that_was_never_stored_leaves_nothing(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, _ = await tenant(provider, plan=adapter.plan)
        traces = await adapter.traces(service_instance_id)
        for version in (1, 2):
            await provider.new_secret(service_instance_id=service_instance_id, version=version)

        stored = await credentials_of(provider, service_instance_id, version=2)
        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

        await written(adapter, stored, "kept")
        assert await adapter.traces(service_instance_id) == traces

    async def test_eight_times_the_same_credentials_at_once_work_after_a_repeat(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id = uuid.uuid4()
        await provider.ensure_present(request_for(service_instance_id, plan=adapter.plan))
        secret = await provider.new_secret(service_instance_id=service_instance_id, version=1)

        async def ask() -> Credentials:
            return await provider.ensure_credentials(
                service_instance_id=service_instance_id, version=1, secret=secret
            )

        await asyncio.gather(*(ask() for _ in range(8)), return_exceptions=True)

        await written(adapter, await ask(), "kept")

    async def test_different_resources_are_made_side_by_side(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        ids = [uuid.uuid4() for _ in range(8)]

        await asyncio.gather(
            *(provider.ensure_present(request_for(one, plan=adapter.plan)) for one in ids)
        )

        traces = [await adapter.traces(one) for one in ids]
        assert not is_empty(traces[0])
        assert all(one == traces[0] for one in traces)

    async def test_a_tenant_cannot_enter_what_another_has(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        _, mine = await tenant(provider, plan=adapter.plan)
        _, theirs = await tenant(provider, plan=adapter.plan)
        await written(adapter, mine, "mine")
        await written(adapter, theirs, "theirs")

        with pytest.raises(RefusedError):
            await adapter.trespass(mine, theirs)

        assert await adapter.read(mine) == "mine"
        assert await adapter.read(theirs) == "theirs"

    async def test_another_plan_takes_effect_and_keeps_the_data(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, credentials = await tenant(provider, plan=adapter.plan)
        await written(adapter, credentials, "kept")
        before = await adapter.allowance(credentials)

        for _ in range(2):
            await provider.ensure_configured(
                request_for(service_instance_id, plan=adapter.other_plan)
            )

        assert await adapter.read(credentials) == "kept"
        after = await adapter.allowance(credentials)
        assert (after == before) == (adapter.plan == adapter.other_plan)

    async def test_rotation_keeps_the_data_and_ends_the_old_credentials(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, old = await tenant(provider, plan=adapter.plan)
        await written(adapter, old, "kept")
        traces = await adapter.traces(service_instance_id)

        new = await credentials_of(provider, service_instance_id, version=2)
        assert await text_in(adapter, new) == "kept"
        assert await adapter.read(old) == "kept"
        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

        assert await is_refused(adapter, old)
        assert await adapter.read(new) == "kept"
        assert await adapter.traces(service_instance_id) == traces

    async def test_revoking_again_or_what_never_was_succeeds(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, _ = await tenant(provider, plan=adapter.plan)

        for version in (1, 1, 7):
            await provider.ensure_revoked(service_instance_id=service_instance_id, version=version)
        await provider.ensure_revoked(service_instance_id=uuid.uuid4(), version=1)

    async def test_removal_leaves_nothing(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, credentials = await tenant(provider, plan=adapter.plan)
        second = await credentials_of(provider, service_instance_id, version=2)
        await written(adapter, credentials, "lost")

        await provider.ensure_absent(service_instance_id)

        assert is_empty(await adapter.traces(service_instance_id))
        assert await is_refused(adapter, credentials)
        assert await is_refused(adapter, second)

    async def test_removing_again_or_what_never_was_succeeds(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, _ = await tenant(provider, plan=adapter.plan)

        for _ in range(2):
            await provider.ensure_absent(service_instance_id)
        await provider.ensure_absent(uuid.uuid4())

        assert is_empty(await adapter.traces(service_instance_id))

    async def test_removal_leaves_other_tenants_alone(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        removed, _ = await tenant(provider, plan=adapter.plan)
        _, credentials = await tenant(provider, plan=adapter.plan)
        await written(adapter, credentials, "kept")

        await provider.ensure_absent(removed)

        assert await adapter.read(credentials) == "kept"

    async def test_what_was_removed_can_be_made_again_and_is_empty(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, old = await tenant(provider, plan=adapter.plan)
        await written(adapter, old, "lost")
        await provider.ensure_absent(service_instance_id)

        await provider.ensure_present(request_for(service_instance_id, plan=adapter.plan))
        new = await credentials_of(provider, service_instance_id)
        await written(adapter, new, "new")

        assert await adapter.read(new) == "new"
        assert await is_refused(adapter, old)

    async def test_credentials_and_changes_need_a_resource(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id = uuid.uuid4()

        for call in (
            credentials_of(provider, service_instance_id),
            provider.ensure_configured(request_for(service_instance_id, plan=adapter.plan)),
        ):
            with pytest.raises(contract.ProviderError) as caught:
                await call
            assert caught.value.code == contract.ProviderErrorCode.RESOURCE_MISSING
            assert not caught.value.is_transient
        assert is_empty(await adapter.traces(service_instance_id))

    async def test_credentials_asked_for_during_a_removal_do_not_outlive_its_repeat(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        service_instance_id, _ = await tenant(provider, plan=adapter.plan)
        another = adapter.provider()

        await asyncio.gather(
            provider.ensure_absent(service_instance_id),
            credentials_of(another, service_instance_id, version=2),
            return_exceptions=True,
        )
        await another.aclose()
        await provider.ensure_absent(service_instance_id)

        assert is_empty(await adapter.traces(service_instance_id))

    async def test_values_that_make_no_sense_are_refused_for_good(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        assert any(repr(HOSTILE) in repr(pair) for pair in adapter.senseless)
        for plan, parameters in adapter.senseless:
            service_instance_id = uuid.uuid4()

            with pytest.raises(contract.ProviderError) as caught:
                await provider.ensure_present(
                    request_for(service_instance_id, plan=plan, parameters=parameters)
                )

            assert caught.value.code == contract.ProviderErrorCode.PARAMETERS_INVALID
            assert not caught.value.is_transient

    async def test_hostile_text_is_data_and_nothing_else(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        _, bystander = await tenant(provider, plan=adapter.plan)
        await written(adapter, bystander, "kept")
        _, credentials = await tenant(provider, plan=adapter.plan)

        await written(adapter, credentials, HOSTILE)
        with pytest.raises(RefusedError):
            await adapter.read({**bystander, "uri": _with_password(bystander["uri"], HOSTILE)})

        assert await adapter.read(credentials) == HOSTILE
        assert await adapter.read(bystander) == "kept"

    async def test_a_server_that_never_answers_is_given_up(self, adapter: Adapter) -> None:
        request = request_for(uuid.uuid4(), plan=adapter.plan)
        started = time.monotonic()

        async with silent_server() as port:
            provider = adapter.provider_at(port, secret=PLANTED, deadline=0.3)
            for call in (
                provider.ensure_present(request),
                provider.ensure_absent(request.service_instance_id),
            ):
                with pytest.raises(contract.ProviderError) as caught:
                    await call
                assert caught.value.code == contract.ProviderErrorCode.TIMEOUT
                assert caught.value.is_transient
            await provider.aclose()

        assert time.monotonic() - started < PATIENCE

    async def test_a_server_that_is_not_there_is_a_passing_failure(self, adapter: Adapter) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        provider = adapter.provider_at(port, secret=PLANTED, deadline=PATIENCE)

        with pytest.raises(contract.ProviderError) as caught:
            await provider.ensure_present(request_for(uuid.uuid4(), plan=adapter.plan))

        assert caught.value.is_transient
        _require_redacted(caught.value)
        await provider.aclose()

    async def test_a_server_that_refuses_the_provider_is_told_without_the_secret(
        self, adapter: Adapter
    ) -> None:
        provider = adapter.provider_at(adapter.port(), secret=PLANTED, deadline=PATIENCE)

        with pytest.raises(contract.ProviderError) as caught:
            await provider.ensure_present(request_for(uuid.uuid4(), plan=adapter.plan))

        _require_redacted(caught.value)
        await provider.aclose()

    async def test_work_that_is_broken_off_anywhere_is_completed_by_a_repeat(
        self, adapter: Adapter, provider: contract.Provider
    ) -> None:
        chance = random.Random(7)  # noqa: S311  a repeatable choice of moments
        for _ in range(6):
            service_instance_id = uuid.uuid4()

            await break_off(
                _whole_life(adapter, provider, service_instance_id),
                after=chance.uniform(0.0, adapter.moments),
            )
            credentials = await _whole_life(adapter, provider, service_instance_id)

            await written(adapter, credentials, "kept")
            await break_off(
                provider.ensure_absent(service_instance_id),
                after=chance.uniform(0.0, adapter.moments / 2),
            )
            await provider.ensure_absent(service_instance_id)
            assert is_empty(await adapter.traces(service_instance_id))


async def _whole_life(
    adapter: Adapter, provider: contract.Provider, service_instance_id: uuid.UUID
) -> Credentials:
    await provider.ensure_present(request_for(service_instance_id, plan=adapter.plan))
    await credentials_of(provider, service_instance_id)
    newest = await credentials_of(provider, service_instance_id, version=2)
    await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)
    return newest


def _with_password(uri: str, password: str) -> str:
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}:{quote(password, safe='')}@{host}").geturl()


def _require_redacted(error: contract.ProviderError) -> None:
    """Find the secret neither in the message nor in the chain of causes, which may be logged."""
    assert PLANTED not in error.message
    assert error.__context__ is None
    assert error.__cause__ is None
