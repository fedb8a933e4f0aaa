"""A secret that is recorded stays what it was, whatever others try at the same time."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import psycopg_pool
import pytest

from app import application, catalogue, exchange, key_ring, personal_texts, secrets
from app.application.request import Request
from app.application.sealed_parameters import UNRECORDED_STAYS, SealedParameters
from app.application.unit_of_work import UnitOfWork
from app.eventlog import command, log
from app.work import cause, later, service_tasks
from domain import errors, service_facts
from domain.errors import RefusalCode

pytestmark = pytest.mark.anyio

SHIPPED = Path(catalogue.__file__).with_name("catalogue.toml")
MARK = "\n[offerings.plans.parameters.properties.extensions]"
SECRETS = "".join(
    f'\n[offerings.plans.parameters.properties.{name}]\ntype = "string"\nwriteOnly = true\n'
    for name in ("login", "token")
)
HOUR = timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Process:
    """One of the processes that serve, with what it is asked."""

    event_log: log.EventLog
    use_cases: application.Application
    parameters: SealedParameters
    tasks: service_tasks.ServiceTasks

    async def configure(self, service: UUID, parameters: dict[str, Any]) -> int:
        """Configure an instance that was just added, as it is known to everybody."""
        return await self.use_cases.services.configure(
            request=by("configureService"),
            service_instance_id=service,
            plan=None,
            parameters=parameters,
            expected_version=1,
        )

    async def add(
        self, environment: UUID, parameters: dict[str, Any], *, key: str | None = None
    ) -> UUID:
        service, _ = await self.use_cases.services.add(
            request=by("addService", content=parameters, idempotency_key=key),
            environment_id=environment,
            offering="postgres",
            plan=None,
            prefix="SECOND",
            parameters=parameters,
        )
        return service

    async def facts(self, service: UUID) -> service_facts.ServiceFacts:
        return (await UnitOfWork(event_log=self.event_log).service(service)).facts

    async def opened(self, service: UUID, parameters: dict[str, Any]) -> dict[str, Any]:
        return await self.parameters.open(service_instance_id=service, parameters=parameters)


def by(name: str, **given: Any) -> Request:  # noqa: ANN401  fields of a request
    return Request(actor="ada", name=name, **given)


def process(
    event_log: log.EventLog,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    directory: Path,
) -> Process:
    keys = key_ring.KeyRing.open(directory / "keyring.json")
    vault = secrets.Vault(pool=pool, keys=keys)
    text = SHIPPED.read_text().replace(MARK, SECRETS + MARK, 1)
    (directory / "catalogue.toml").write_text(text)
    offers = catalogue.load(directory / "catalogue.toml")
    use_cases = application.create(
        pool=pool,
        event_log=event_log,
        catalogue=offers,
        providers={},
        vault=vault,
        texts=personal_texts.PersonalTexts(pool=pool, keys=keys),
        exchange=exchange.VaultExchange(vault=vault, public_url="http://servicebook"),
        terms=application.Terms(
            operation_timeout=HOUR, deployment_timeout=HOUR, removal_grace=HOUR
        ),
    )
    tasks = service_tasks.ServiceTasks(
        event_log=event_log, use_cases=use_cases, catalogue=offers, providers={}, vault=vault
    )
    return Process(event_log, use_cases, SealedParameters(vault=vault), tasks)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[psycopg_pool.AsyncConnectionPool[Any]]:
    async with psycopg_pool.AsyncConnectionPool(
        database, min_size=1, kwargs={"autocommit": True}, open=False
    ) as opened:
        yield opened


@pytest.fixture
def one(
    event_log: log.EventLog, pool: psycopg_pool.AsyncConnectionPool[Any], directory: Path
) -> Process:
    return process(event_log, pool, directory)


@pytest.fixture
def other(
    other_log: log.EventLog, pool: psycopg_pool.AsyncConnectionPool[Any], directory: Path
) -> Process:
    return process(other_log, pool, directory)


@pytest.fixture
async def environment(one: Process) -> UUID:
    """An environment of a project that may have one database more."""
    projects = one.use_cases.projects
    project, _ = await projects.create_project(request=by("createProject"), name="shop")
    await projects.set_subscription(
        request=by("setSubscription"), project_id=project, units={"postgres": 3}
    )
    opened, _ = await projects.create_environment(
        request=by("createEnvironment"), project_id=project, name="preview", protected=False
    )
    return opened


async def race(
    accepted: tuple[Process, Coroutine[Any, Any, Any]],
    refused: tuple[Process, Coroutine[Any, Any, Any]],
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> errors.ConflictRefusedError:
    """Let both decide before either records; return why the one that decides last is refused."""
    (first, ask_first), (last, ask_last) = accepted, refused
    record_first, record_last = first.event_log.append, last.event_log.append
    decided, may_record = asyncio.Event(), asyncio.Event()

    async def hold(**given: Any) -> command.Receipt:  # noqa: ANN401  passed on
        decided.set()
        await may_record.wait()
        return await record_first(**given)

    async def follow(**given: Any) -> command.Receipt:  # noqa: ANN401  passed on
        may_record.set()
        await faster
        return await record_last(**given)

    with monkeypatch.context() as patched:
        patched.setattr(first.event_log, "append", hold)
        patched.setattr(last.event_log, "append", follow)
        faster = asyncio.create_task(ask_first)
        await decided.wait()
        with pytest.raises(errors.ConflictRefusedError) as caught:
            await ask_last
    return caught.value


@pytest.mark.parametrize(
    "refused",
    [{"login": "refused"}, {"token": "refused"}],
    ids=["of the same name", "of another name"],
)
async def test_a_refused_configuration_does_not_touch_the_secret_of_an_accepted_one(
    one: Process,
    other: Process,
    environment: UUID,
    refused: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = await one.add(environment, {})

    refusal = await race(
        (one, one.configure(service, {"login": "accepted"})),
        (other, other.configure(service, refused)),
        monkeypatch=monkeypatch,
    )

    recorded = (await other.facts(service)).parameters
    assert refusal.code is RefusalCode.VERSION_CONFLICT
    assert await other.opened(service, recorded) == {"login": "accepted"}


async def test_a_key_used_again_does_not_touch_the_secret_of_the_first_use(
    one: Process, other: Process, environment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = uuid4().hex
    refusal = await race(
        (one, one.add(environment, {"login": "accepted"}, key=key)),
        (other, other.add(environment, {"login": "refused"}, key=key)),
        monkeypatch=monkeypatch,
    )

    service = await one.add(environment, {"login": "accepted"}, key=key)
    recorded = (await other.facts(service)).parameters
    assert refusal.code is RefusalCode.IDEMPOTENCY_KEY_REUSED
    assert await other.opened(service, recorded) == {"login": "accepted"}


async def test_what_was_sealed_for_a_refused_command_is_forgotten_after_a_while(
    one: Process,
    other: Process,
    environment: UUID,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = await one.add(environment, {"login": "first"})
    added = (await one.facts(service)).parameters
    await race(
        (one, one.configure(service, {"login": "accepted"})),
        (other, other.configure(service, {"login": "refused"})),
        monkeypatch=monkeypatch,
    )
    configured = (await one.facts(service)).parameters

    with pytest.raises(later.AgainLater):
        await forget(one, service)
    young = await one.parameters.stored_at(service)
    grow_old(database)
    await forget(one, service)
    old = await one.parameters.stored_at(service)

    assert (len(young), len(old)) == (3, 2)
    assert await one.opened(service, added) == {"login": "first"}
    assert await one.opened(service, configured) == {"login": "accepted"}


async def test_what_was_sealed_for_a_service_that_never_came_to_be_is_forgotten(
    one: Process, environment: UUID, database: str
) -> None:
    await one.add(environment, {})
    with pytest.raises(errors.RefusedError):
        await one.add(environment, {"login": "refused"})

    with psycopg.connect(database) as connection:
        [(task, service, wait)] = connection.execute(
            "SELECT task_name, args ->> 'service_instance_id', scheduled_at - now()"
            " FROM procrastinate_jobs"
        ).fetchall()
    before = await one.parameters.stored_at(UUID(service))
    grow_old(database)
    await forget(one, UUID(service))

    assert task == "forget_unrecorded"
    assert timedelta(minutes=59) < wait <= UNRECORDED_STAYS
    assert len(before) == 1
    assert await one.parameters.stored_at(UUID(service)) == {}


def grow_old(database: str) -> None:
    """Let what is sealed have been there for as long as what is not recorded may stay."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE vault.credentials SET created_at = created_at - %s", [UNRECORDED_STAYS]
        )


async def forget(asked: Process, service: UUID) -> None:
    why = cause.Cause(event_id=uuid4(), correlation_id=uuid4())
    await asked.tasks.forget_unrecorded(why=why, service_instance_id=service)
