"""The composition root: every part of the program is made and joined here, and nowhere else."""

import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import procrastinate
import psycopg_pool

import projections
from app import (
    application,
    cancellation,
    database,
    deployers,
    exchange,
    keys_in_use,
    migrations,
    object_storage,
    offered,
    personal_texts,
    secrets,
)
from app import brokers as broker_parts
from app import catalogue as catalogues
from app import settings as configuration
from app.access import issuer_keys, oidc, sign_in
from app.audit import feed, lines, proofs, sealer, signing, witnesses
from app.eventlog import connections, log, rebuild
from app.graphql import reading
from app.providers import contract, postgres, rabbitmq, s3
from app.work import clock, deployment_tasks, policies, queue, service_tasks
from app.work import orders as order_parts

_CONNECTIONS = 8  # beside those of queries: the writer, loads, feeds, credentials
_AUDIT_SECONDS = 5.0
_OPEN_WITHIN = 10.0  # seconds
_RECONNECT = 1.0  # seconds

Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Audit:
    """What makes the log checkable from outside."""

    sealer: sealer.Sealer
    proofs: proofs.Proofs
    feed: feed.Feed
    log_id: uuid.UUID
    verifier_key: str


@dataclasses.dataclass(frozen=True)
class Parts:
    """The program, put together."""

    settings: configuration.Settings
    catalogue: catalogues.Catalogue
    pool: psycopg_pool.AsyncConnectionPool[Any]
    read_pool: psycopg_pool.AsyncConnectionPool[Any]
    event_log: log.EventLog
    vault: secrets.Vault
    texts: personal_texts.PersonalTexts
    application: application.Application
    queue: procrastinate.App
    clock: clock.Clock
    sign_in: sign_in.SignIn
    audit: Audit


@contextlib.asynccontextmanager
async def assembled(
    *,
    settings: configuration.Settings,
    found: database.Database,
    storage: object_storage.ObjectStorage | None = None,
    progress: Progress,
) -> AsyncIterator[Parts]:
    """Put the program together over a database and an object store, and take it apart again.

    Brings the schema and the read models up to date first.
    """
    own_catalogue = catalogues.load(settings.catalogue)
    brokers = broker_parts.of(settings)
    await prepare(conninfo=found.ledger_dsn, progress=progress, at_pace=pace(settings))
    conninfo = database.mortal(found.ledger_dsn)
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(_pool(conninfo))
        keys = await keys_in_use.open_ring(pool=pool, file=settings.keyring_file)
        read_pool = await stack.enter_async_context(
            reading.pool(conninfo, size=settings.read_pool_size)
        )
        event_log = await stack.enter_async_context(_event_log(pool))
        audit = await _audit(settings, pool, event_log)
        await event_log.begin()
        stack.push_async_callback(brokers.aclose)
        catalogue = await offered.with_brokers(pool, own_catalogue, brokers)
        orders = order_parts.orders(event_log=event_log, catalogue=catalogue, pool=pool)
        providers = _providers(settings, found, storage)
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        providers |= brokers.providers(orders)
        await offered.publish(pool, catalogue, providers)
        vault = secrets.Vault(pool=pool, keys=keys)
        texts = personal_texts.PersonalTexts(pool=pool, keys=keys)
        agreements = exchange.VaultExchange(vault=vault, public_url=settings.own_url)
        use_cases = application.create(
            pool=pool,
            event_log=event_log,
            catalogue=catalogue,
            providers=providers,
            vault=vault,
            texts=texts,
            exchange=agreements,
            terms=_terms(settings),
        )
        work_clock = clock.Clock()
        tasks = queue.create(
            connector=procrastinate.PsycopgConnector(conninfo=conninfo),
            pool=pool,
            clock=work_clock,
            service_tasks=service_tasks.ServiceTasks(
                event_log=event_log,
                use_cases=use_cases,
                catalogue=catalogue,
                providers=providers,
                vault=vault,
            ),
            deployment_tasks=deployment_tasks.DeploymentTasks(
                use_cases=use_cases,
                conninfo=conninfo,
                surroundings=deployers.Surroundings(
                    data_directory=settings.data_directory, exchange=agreements
                ),
                exchange=agreements,
            ),
        )
        await stack.enter_async_context(tasks.open_async())

        async def take_in_more() -> None:
            providers.update(brokers.providers(orders))
            await offered.publish(pool, catalogue, providers)

        asking = brokers.ask_until_all_answered(take_in_more)
        await stack.enter_async_context(cancellation.beside(asking))
        yield Parts(
            settings=settings,
            catalogue=catalogue,
            pool=pool,
            read_pool=read_pool,
            event_log=event_log,
            vault=vault,
            texts=texts,
            application=use_cases,
            queue=tasks,
            clock=work_clock,
            sign_in=await stack.enter_async_context(_sign_in(settings, pool)),
            audit=audit,
        )


async def prepare(
    *, conninfo: str, progress: Progress, at_pace: rebuild.Pace = rebuild.UNHURRIED
) -> None:
    """Bring the schema and the read models of a database up to date."""
    applied = await migrations.migrate(conninfo=conninfo)
    if applied:
        progress(f"Brought the schema up to date: {len(applied)} steps")
    async with psycopg_pool.AsyncConnectionPool(conninfo, min_size=1, open=False) as pool:
        rebuilt = await rebuild.ensure_tables(
            pool=pool,
            projections=projections.PROJECTIONS,
            journals=projections.JOURNALS,
            at_pace=at_pace,
        )
    if rebuilt:
        progress(f"Built the read models: {len(rebuilt)} tables")


@contextlib.asynccontextmanager
async def token_commands(*, conninfo: str) -> AsyncIterator[application.Tokens]:
    """Put together what makes and ends API tokens, without the rest of the program."""
    async with (
        psycopg_pool.AsyncConnectionPool(
            conninfo, min_size=1, kwargs={"autocommit": True}, open=False
        ) as pool,
        _event_log(pool) as event_log,
    ):
        yield application.Tokens(
            event_log=event_log,
            admission=application.Admission(pool=pool, is_beta_over=False),
            pool=pool,
        )


async def rebuild_read_models(
    *, conninfo: str, settings: configuration.Settings, progress: rebuild.Progress
) -> list[rebuild.Difference]:
    """Make all read models anew from the log, beside the live ones, and take their place.

    Return what was different.
    """
    return await _made_anew(rebuild.rebuild, conninfo, settings, progress)


async def check_read_models(
    *, conninfo: str, settings: configuration.Settings, progress: rebuild.Progress
) -> list[rebuild.Difference]:
    """Make all read models anew, and return what is different; the live ones stay."""
    return await _made_anew(rebuild.check, conninfo, settings, progress)


async def _made_anew(
    how: Callable[..., Awaitable[list[rebuild.Difference]]],
    conninfo: str,
    settings: configuration.Settings,
    progress: rebuild.Progress,
) -> list[rebuild.Difference]:
    async with psycopg_pool.AsyncConnectionPool(conninfo, min_size=1, open=False) as pool:
        return await how(
            pool=pool,
            projections=projections.PROJECTIONS,
            journals=projections.JOURNALS,
            progress=progress,
            at_pace=pace(settings),
        )


def pace(settings: configuration.Settings) -> rebuild.Pace:
    """Return what a rebuild may take of the machine."""
    return rebuild.Pace(
        processes=settings.rebuild_processes, events_per_second=settings.rebuild_rate
    )


async def rotate_keys(
    *, settings: configuration.Settings, found: database.Database, progress: Progress
) -> int:
    """Make a new primary key, seal all credentials and people's keys with it; return how many.

    Raises SecretsError, and makes none, if something cannot be opened.
    """
    await prepare(conninfo=found.ledger_dsn, progress=progress)
    async with _pool(found.ledger_dsn) as pool:
        ring = await keys_in_use.open_ring(pool=pool, file=settings.keyring_file)
        texts = personal_texts.PersonalTexts(pool=pool, keys=ring)
        vault = secrets.Vault(pool=pool, keys=ring)
        await texts.check()
        await vault.check()
        await keys_in_use.rotate(pool=pool, ring=ring)
        return await texts.rewrap() + await vault.rewrap()


def _pool(conninfo: str) -> psycopg_pool.AsyncConnectionPool[Any]:
    return connections.Pool(
        conninfo,
        min_size=2,
        max_size=_CONNECTIONS,
        timeout=_OPEN_WITHIN,
        reconnect_timeout=_RECONNECT,  # then whoever asks next tries anew: no long back-off
        kwargs={"autocommit": True},  # a query is one statement: BEGIN and COMMIT would be two more
        open=False,
    )


def _event_log(pool: psycopg_pool.AsyncConnectionPool[Any]) -> log.EventLog:
    return log.EventLog(
        pool=pool,
        projections=projections.PROJECTIONS,
        journals=projections.JOURNALS,
        policies=policies.tasks_for,
    )


async def _audit(
    settings: configuration.Settings,
    pool: psycopg_pool.AsyncConnectionPool[Any],
    event_log: log.EventLog,
) -> Audit:
    ledger = connections.Connections(pool=pool, seconds=_AUDIT_SECONDS)
    log_id = await ledger.run(sealer.log_id)
    last_note = await ledger.run(sealer.last_note)
    key = signing.open_key(settings.audit_key_file, last_note=last_note)
    signer = signing.Signer(origin=lines.origin(log_id), key=key)
    told = [witnesses.file_witness(settings.audit_checkpoints_file)]
    if settings.audit_webhook is not None:
        told.append(witnesses.webhook_witness(settings.audit_webhook))
    return Audit(
        sealer=sealer.Sealer(pool=ledger, key=key, told=witnesses.Witnesses(told)),
        proofs=proofs.Proofs(pool=ledger, common_position=event_log.common_position),
        feed=feed.Feed(pool=ledger, hints=event_log.hints),
        log_id=log_id,
        verifier_key=signer.verifier_key,
    )


def _providers(
    settings: configuration.Settings,
    found: database.Database,
    storage: object_storage.ObjectStorage | None,
) -> dict[str, contract.Provider]:
    """Return the providers that are configured here, by the name that the catalogue uses."""
    providers: dict[str, contract.Provider] = {}
    if found.provider_dsn is not None and found.provider_address is not None:
        host, _, port = found.provider_address.rpartition(":")
        providers["postgres"] = postgres.PostgresProvider(
            address=found.provider_dsn, host=host.strip("[]"), port=int(port)
        )
    if storage is not None:
        providers["s3"] = s3.S3Provider(server=storage.server, address=storage.address)
    if settings.redis_provider_url is not None:
        from app.providers import redis  # noqa: PLC0415  heavy: those who have none do not wait

        providers["redis"] = redis.RedisProvider(
            url=settings.redis_provider_url, address=settings.redis_provider_address
        )
    if settings.rabbitmq_provider_url is not None:
        providers["rabbitmq"] = rabbitmq.RabbitmqProvider(
            url=settings.rabbitmq_provider_url, address=settings.rabbitmq_provider_address
        )
    return providers


@contextlib.asynccontextmanager
async def _sign_in(
    settings: configuration.Settings, pool: psycopg_pool.AsyncConnectionPool[Any]
) -> AsyncIterator[sign_in.SignIn]:
    provider = None
    if settings.oidc_issuer is not None and settings.oidc_audience is not None:
        provider = oidc.Provider(
            terms=oidc.Terms(
                issuer=settings.oidc_issuer,
                audience=settings.oidc_audience,
                roles_claim=settings.oidc_roles_claim,
            ),
            keys=issuer_keys.IssuerKeys(issuer=settings.oidc_issuer),
        )
    made = sign_in.SignIn(pool=pool, provider=provider, is_beta_over=settings.beta_ended)
    try:
        yield made
    finally:
        await made.aclose()


def _terms(settings: configuration.Settings) -> application.Terms:
    return application.Terms(
        operation_timeout=timedelta(seconds=settings.operation_timeout),
        deployment_timeout=timedelta(seconds=settings.deployment_timeout),
        removal_grace=timedelta(seconds=settings.removal_grace),
        is_beta_over=settings.beta_ended,
    )
