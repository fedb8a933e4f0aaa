import asyncio
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import psycopg
import pytest

from app import catalogue, embedded
from app.providers import contract, postgres
from tests.app.providers import provider_contract
from tests.app.providers.provider_contract import HOSTILE, NOTHING, credentials_of, request_for

pytestmark = pytest.mark.anyio

PLAN = {"connections": 3, "statement_timeout": "60s", "extensions": ["citext", "pg_trgm"]}


@dataclasses.dataclass(frozen=True)
class Server:
    """The server under test, seen by its owner (`root`) and by the provider (`address`)."""

    root: str
    address: str
    sockets: Path
    host: str
    port: int

    def ask(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.root, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def provider(self, **changes: object) -> postgres.PostgresProvider:
        given = {"address": self.address, "host": self.host, "port": self.port} | changes
        return postgres.PostgresProvider(**given)


@pytest.fixture(scope="session")
def server(server: embedded.Address) -> Server:
    return Server(
        root=server.dsn("postgres"),
        address=server.dsn("postgres", user=embedded.PROVIDER_ROLE),
        sockets=server.sockets,
        host=server.host,
        port=server.port,
    )


@pytest.fixture
async def provider(server: Server) -> AsyncIterator[postgres.PostgresProvider]:
    provider = server.provider()
    yield provider
    await provider.aclose()


async def tenant(
    provider: postgres.PostgresProvider, *, parameters: Mapping[str, object] = NOTHING
) -> tuple[uuid.UUID, Mapping[str, str]]:
    return await provider_contract.tenant(provider, plan=PLAN, parameters=parameters)


def ask(uri: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(uri, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def traces(server: Server, service_instance_id: uuid.UUID) -> tuple[int, int]:
    """Count the databases and roles of an instance."""
    pattern = f"svc\\_{service_instance_id.hex}%"
    databases = server.ask("SELECT count(*) FROM pg_database WHERE datname LIKE %s", pattern)
    roles = server.ask("SELECT count(*) FROM pg_roles WHERE rolname LIKE %s", pattern)
    return databases[0][0], roles[0][0]


class PostgresAdapter(provider_contract.Adapter):
    plan = PLAN
    other_plan = PLAN | {"statement_timeout": "123s"}
    senseless = (
        (PLAN, {"extensions": [HOSTILE]}),
        (PLAN, {"extensions": HOSTILE}),
        (PLAN | {"statement_timeout": HOSTILE}, {}),
        (PLAN | {"statement_timeout": 0}, {}),
        (PLAN | {"connections": HOSTILE}, {}),
        (PLAN | {"connections": True}, {}),
        (PLAN | {"connections": 0}, {}),
        (PLAN | {"extensions": [HOSTILE]}, {"extensions": [HOSTILE]}),
        (PLAN | {"extensions": ["none_such"]}, {"extensions": ["none_such"]}),
    )

    def __init__(self, server: Server) -> None:
        self._server = server

    def provider(self) -> postgres.PostgresProvider:
        return self._server.provider()

    def provider_at(self, port: int, *, secret: str, deadline: float) -> postgres.PostgresProvider:
        user = embedded.PROVIDER_ROLE
        address = f"postgresql://{user}:{secret}@127.0.0.1:{port}/postgres"
        return self._server.provider(address=address, deadline=deadline)

    def port(self) -> int:
        return self._server.port

    async def traces(self, service_instance_id: uuid.UUID) -> Mapping[str, int]:
        databases, roles = traces(self._server, service_instance_id)
        return {"databases": databases, "roles": roles}

    async def write(self, credentials: Mapping[str, str], text: str) -> None:
        _ask_or_be_refused(credentials, "CREATE TABLE IF NOT EXISTS note (text text)")
        _ask_or_be_refused(credentials, "INSERT INTO note VALUES (%s)", text)

    async def read(self, credentials: Mapping[str, str]) -> str:
        return str(_ask_or_be_refused(credentials, "SELECT text FROM note")[0][0])

    async def trespass(self, mine: Mapping[str, str], theirs: Mapping[str, str]) -> None:
        _ask_or_be_refused(mine, "SELECT text FROM note", database=theirs["database"])

    async def allowance(self, credentials: Mapping[str, str]) -> object:
        return ask(credentials["uri"], "SHOW statement_timeout")


def _ask_or_be_refused(
    credentials: Mapping[str, str], statement: str, *parameters: str, database: str | None = None
) -> list[tuple[object, ...]]:
    try:
        with psycopg.connect(
            credentials["uri"], autocommit=True, dbname=database or credentials["database"]
        ) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
    except psycopg.OperationalError as error:
        if "failed for user" in str(error) or "permission denied" in str(error):
            raise provider_contract.RefusedError from error
        raise


class TestContract(provider_contract.ProviderContract):
    @pytest.fixture
    def adapter(self, server: Server) -> PostgresAdapter:
        return PostgresAdapter(server)


async def test_a_database_can_be_used_with_its_credentials(
    provider: postgres.PostgresProvider,
) -> None:
    _, credentials = await tenant(provider)

    ask(credentials["uri"], "CREATE TABLE note (text text)")
    ask(credentials["uri"], "INSERT INTO note VALUES ('kept')")
    ask(credentials["uri"], "CREATE SCHEMA more")

    assert ask(credentials["uri"], "SELECT text FROM note") == [("kept",)]
    assert set(credentials) == {"uri", "host", "port", "database", "username", "password"}


async def test_credentials_refuse_another_password(provider: postgres.PostgresProvider) -> None:
    _, credentials = await tenant(provider)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(credentials["uri"].replace(credentials["password"], "guess"))


@pytest.mark.parametrize("database", ["postgres", "template1", "servicebook"])
async def test_a_tenant_cannot_connect_to_other_databases(
    provider: postgres.PostgresProvider, database: str
) -> None:
    _, credentials = await tenant(provider)

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(credentials["uri"], dbname=database)


async def test_a_tenant_cannot_reach_another_tenant(provider: postgres.PostgresProvider) -> None:
    _, mine = await tenant(provider)
    _, theirs = await tenant(provider)
    ask(theirs["uri"], "CREATE TABLE note AS SELECT 'theirs' AS text")

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(mine["uri"], dbname=theirs["database"])
    for role in (theirs["database"], theirs["username"], "servicebook_provider", "postgres"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(mine["uri"], f"SET ROLE {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(mine["uri"], f"GRANT {theirs['database']} TO {mine['database']}")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE more LOGIN",
        "CREATE DATABASE more",
        "ALTER DATABASE {database} CONNECTION LIMIT 1000",
        "ALTER DATABASE {database} IS_TEMPLATE true",
        "ALTER DATABASE {database} RENAME TO mine",
        "GRANT CONNECT ON DATABASE {database} TO PUBLIC",
        "ALTER ROLE {username} CONNECTION LIMIT 1000",
        "COPY pg_class TO '/tmp/copy'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE EXTENSION dblink",
    ],
)
async def test_a_tenant_cannot_change_its_limits_or_leave_its_database(
    provider: postgres.PostgresProvider, statement: str
) -> None:
    _, credentials = await tenant(provider)

    try:
        ask(credentials["uri"], statement.format(**credentials))
    except psycopg.errors.InsufficientPrivilege:
        return
    assert statement.startswith("GRANT")  # ignored with a warning
    grants = "SELECT has_database_privilege('public', current_database(), 'CONNECT')"
    assert ask(credentials["uri"], grants) == [(False,)]


async def test_a_database_that_all_may_enter_stops_new_credentials(
    server: Server, provider: postgres.PostgresProvider
) -> None:
    service_instance_id = uuid.uuid4()
    await provider.ensure_present(request_for(service_instance_id, plan=PLAN))
    name = f"open_{service_instance_id.hex}"
    with psycopg.connect(server.root, autocommit=True) as root:
        root.execute(f"CREATE DATABASE {name}")
    try:
        with pytest.raises(contract.ProviderError, match=name) as caught:
            await credentials_of(provider, service_instance_id)
        tolerant = server.provider(tolerated_databases=[name])
        roles = traces(server, service_instance_id)[1]
        await credentials_of(tolerant, service_instance_id)
    finally:
        with psycopg.connect(server.root, autocommit=True) as root:
            root.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert caught.value.code == contract.ProviderErrorCode.NOT_ISOLATED
    assert not caught.value.is_transient
    assert roles == 1


async def test_rotation_keeps_data_and_ends_the_old_sessions(
    provider: postgres.PostgresProvider,
) -> None:
    service_instance_id, old = await tenant(provider)
    ask(old["uri"], "CREATE TABLE note AS SELECT 'kept' AS text")
    new = await credentials_of(provider, service_instance_id, version=2)
    with psycopg.connect(old["uri"], autocommit=True) as session:
        assert session.execute("SELECT text FROM note").fetchall() == [("kept",)]

        await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old["uri"])
    ask(new["uri"], "ALTER TABLE note ADD COLUMN more text")
    assert ask(new["uri"], "SELECT text FROM note") == [("kept",)]


async def test_what_a_login_made_for_itself_outlives_it(
    provider: postgres.PostgresProvider,
) -> None:
    service_instance_id, old = await tenant(provider)
    with psycopg.connect(old["uri"], autocommit=True) as session:
        session.execute("SET ROLE NONE")
        session.execute("CREATE SCHEMA own")
        session.execute("CREATE TABLE own.note AS SELECT 'kept' AS text")
        session.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {old['username']}")

    new = await credentials_of(provider, service_instance_id, version=2)
    before = ask(new["uri"], "SELECT text FROM own.note")
    await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

    assert before == ask(new["uri"], "SELECT text FROM own.note") == [("kept",)]


async def test_a_tenants_search_path_does_not_mislead_the_provider(
    server: Server, provider: postgres.PostgresProvider
) -> None:
    service_instance_id, old = await tenant(provider)
    for statement in (
        "CREATE TABLE public.pg_roles AS SELECT 'postgres'::name AS rolname",
        f"ALTER ROLE {old['username']} SET search_path = public, pg_catalog",
    ):
        with psycopg.connect(old["uri"], autocommit=True) as session:
            session.execute("SET ROLE NONE")
            session.execute(statement)

    await provider.ensure_present(request_for(service_instance_id, plan=PLAN))
    await credentials_of(provider, service_instance_id, version=2)
    await provider.ensure_revoked(service_instance_id=service_instance_id, version=1)

    assert traces(server, service_instance_id) == (1, 2)


async def test_removal_ends_open_sessions_and_leaves_nothing(
    server: Server, provider: postgres.PostgresProvider
) -> None:
    service_instance_id, credentials = await tenant(provider)
    await credentials_of(provider, service_instance_id, version=2)
    with psycopg.connect(credentials["uri"]) as session:
        session.execute("CREATE TABLE note (text text)")

        await provider.ensure_absent(service_instance_id)

        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert traces(server, service_instance_id) == (0, 0)


async def test_credentials_asked_for_during_a_removal_leave_no_role(server: Server) -> None:
    for _ in range(5):
        service_instance_id, _ = await tenant(server.provider())

        await asyncio.gather(
            server.provider().ensure_absent(service_instance_id),
            credentials_of(server.provider(), service_instance_id, version=2),
            credentials_of(server.provider(), service_instance_id, version=3),
            return_exceptions=True,
        )

        assert traces(server, service_instance_id) == (0, 0)


async def test_a_login_may_open_as_many_sessions_as_the_plan_says(
    provider: postgres.PostgresProvider,
) -> None:
    service_instance_id, credentials = await tenant(provider)

    def most_sessions() -> int:
        sessions = []
        try:
            while len(sessions) < 10:
                sessions.append(psycopg.connect(credentials["uri"]))
        except psycopg.OperationalError:
            pass
        for session in sessions:
            session.close()
        return len(sessions)

    assert most_sessions() == 3
    larger = {"connections": 5, "statement_timeout": "123s", "extensions": []}
    await provider.ensure_configured(request_for(service_instance_id, plan=larger))

    assert eventually_equal(most_sessions, 5)
    assert ask(credentials["uri"], "SHOW statement_timeout") == [("123s",)]


def eventually_equal(look: Callable[[], object], expected: object) -> bool:
    """A closed session still counts for a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if look() == expected:
            return True
    return False


async def test_extensions_of_the_plan_are_made_when_asked_for(
    provider: postgres.PostgresProvider,
) -> None:
    service_instance_id, credentials = await tenant(provider, parameters={"extensions": ["citext"]})
    await provider.ensure_configured(
        request_for(service_instance_id, plan=PLAN, parameters={"extensions": ["pg_trgm"]})
    )

    names = ask(credentials["uri"], "SELECT extname FROM pg_extension ORDER BY 1")
    assert names == [("citext",), ("pg_trgm",), ("plpgsql",)]


@pytest.mark.parametrize("plan", ["small", "large"])
async def test_whatever_extension_is_shipped_can_be_had(
    provider: postgres.PostgresProvider, plan: str
) -> None:
    shipped = catalogue.load()
    offering = shipped.offering("postgres")
    chosen = shipped.plan(offering, plan)
    wanted = {"extensions": chosen.settings["extensions"]}

    problems = shipped.check_parameters(offering, chosen, wanted)
    _, credentials = await provider_contract.tenant(
        provider, plan=chosen.settings, parameters=wanted
    )

    names = ask(credentials["uri"], "SELECT extname FROM pg_extension")
    assert problems == []
    assert {name for (name,) in names} == {*wanted["extensions"], "plpgsql"}


async def test_an_extension_that_needs_a_superuser_is_a_lack_of_permission(
    provider: postgres.PostgresProvider,
) -> None:
    plan = PLAN | {"extensions": ["file_fdw"]}
    request = request_for(uuid.uuid4(), plan=plan, parameters={"extensions": ["file_fdw"]})

    with pytest.raises(contract.ProviderError) as caught:
        await provider.ensure_present(request)

    assert caught.value.code == contract.ProviderErrorCode.PERMISSION_DENIED
    assert not caught.value.is_transient


async def test_passwords_with_odd_characters_work(provider: postgres.PostgresProvider) -> None:
    service_instance_id, _ = await tenant(provider)
    password = "a'b\"c\\d@e/f:g?h#i%j k"

    credentials = await provider.ensure_credentials(
        service_instance_id=service_instance_id, version=1, secret={"password": password}
    )

    assert ask(credentials["uri"], "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://someone:planted-secret@127.0.0.1:1/postgres",
        "postgresql://servicebook_provider:planted-secret@{host}:{port}/postgres",
        "host={host} port={port} user=servicebook_provider password='planted-secret' dbname=none",
        "postgresql://someone:planted-secret@no-such-host.invalid/postgres",
    ],
)
async def test_a_server_that_cannot_be_reached_is_a_passing_failure(
    server: Server, address: str
) -> None:
    provider = server.provider(address=address.format(host=server.host, port=server.port))

    with pytest.raises(contract.ProviderError) as caught:
        await provider.ensure_present(request_for(uuid.uuid4(), plan=PLAN))

    assert caught.value.is_transient
    assert "planted-secret" not in caught.value.message
    assert caught.value.__context__ is None


@pytest.mark.parametrize("address", ["host=x planted-secret", "planted-secret"])
async def test_an_address_that_cannot_be_read_is_not_shown(server: Server, address: str) -> None:
    with pytest.raises(contract.ProviderError) as caught:
        server.provider(address=address)

    assert "planted-secret" not in caught.value.message
    assert caught.value.__context__ is None


async def test_work_that_waits_for_another_is_given_up_at_the_deadline(server: Server) -> None:
    service_instance_id = uuid.uuid4()
    key = int.from_bytes(service_instance_id.bytes[:8], signed=True)
    with psycopg.connect(server.address, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (key,))

        with pytest.raises(contract.ProviderError) as caught:
            await server.provider(deadline=0.3).ensure_present(
                request_for(service_instance_id, plan=PLAN)
            )

    assert caught.value.is_transient
    await server.provider().ensure_present(request_for(service_instance_id, plan=PLAN))
    assert traces(server, service_instance_id) == (1, 1)


READY = b"Z\0\0\0\5I"  # the message that ends a login and every answer


async def test_a_server_that_falls_silent_in_the_middle_is_given_up(server: Server) -> None:
    """A proxy lets the login pass and then holds every answer back."""
    is_silent = asyncio.Event()
    sockets = f"{server.sockets}/.s.PGSQL.{server.port}"

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, may_stall: bool
    ) -> None:
        while data := await reader.read(65536):
            if may_stall and is_silent.is_set():
                await asyncio.Event().wait()
            if may_stall and data.endswith(READY):
                is_silent.set()
            writer.write(data)

    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_unix_connection(sockets)
        tasks.add(asyncio.create_task(pump(reader, downstream, may_stall=False)))
        tasks.add(asyncio.create_task(pump(upstream, writer, may_stall=True)))
        writers.extend((writer, downstream))

    front = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = front.sockets[0].getsockname()[1]
    address = f"host=127.0.0.1 port={port} user=servicebook_provider dbname=postgres"
    started = time.monotonic()
    try:
        with pytest.raises(contract.ProviderError) as caught:
            await server.provider(address=address, deadline=0.5).ensure_present(
                request_for(uuid.uuid4(), plan=PLAN)
            )
    finally:
        front.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for writer in writers:
            writer.close()

    assert is_silent.is_set()
    assert caught.value.code == contract.ProviderErrorCode.TIMEOUT
    assert time.monotonic() - started < 5
