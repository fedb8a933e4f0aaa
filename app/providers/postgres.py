"""Provides PostgreSQL databases on a server that several tenants share.

The provider is a role with CREATEDB and CREATEROLE on PostgreSQL 16 or newer, and needs no
superuser. For each instance it makes

- a role `svc_<id>` without login, which owns whatever the application creates;
- a database of the same name, owned by the provider itself, so that a tenant cannot change its
  limits;
- for each version of the credentials a login `svc_<id>_v<version>` that acts as the owning
  role, so that tables outlive the login that made them.

Plan settings: `connections` (for each login), `statement_timeout` (a default, which a session
may change), `extensions` (what the parameter `extensions` may ask for). The provider makes them
as the owning role, so they must be trusted ones; an application may also create any trusted
extension itself. An extension that is no longer asked for stays, since dropping it would drop
the data that uses it. PostgreSQL has no disk quota.
"""

import secrets
from collections.abc import Collection, Mapping
from urllib.parse import quote
from uuid import UUID

from psycopg.sql import SQL, Identifier

from app.providers import contract, postgres_objects
from app.providers.postgres_admin import Connection, PostgresAdmin
from app.providers.postgres_limits import Limits

_TENANT = "^svc_[0-9a-f]{32}$"
_SESSIONS = 8


class PostgresProvider:
    """Makes one database per service instance; see the module for how."""

    def __init__(
        self,
        *,
        address: str,
        host: str,
        port: int,
        tolerated_databases: Collection[str] = (),
        deadline: float = 60.0,
    ) -> None:
        """Serve from the server at `address`; applications reach it by `host` and `port`.

        `tolerated_databases` are those that tenants may connect to by the operator's decision;
        any other that is open to them makes `ensure_credentials` fail.
        """
        self._admin = PostgresAdmin(address=address, deadline=deadline, sessions=_SESSIONS)
        self._host = host
        self._port = port
        self._tolerated_databases = frozenset(tolerated_databases)

    async def ensure_present(self, request: contract.ResourceRequest) -> None:
        """Make the database, if it is not there, and bring it to the request."""
        limits = Limits.of(request)
        name = _name(request.service_instance_id)

        async def work(admin: Connection) -> None:
            await postgres_objects.ensure_owner(admin, name)
            await postgres_objects.ensure_database(admin, name)
            await self._configure(admin, name, limits)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def ensure_configured(self, request: contract.ResourceRequest) -> None:
        """Bring an existing database to a changed plan or parameters."""
        limits = Limits.of(request)
        name = _name(request.service_instance_id)

        async def work(admin: Connection) -> None:
            await postgres_objects.require_database(admin, name)
            await self._configure(admin, name, limits)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def new_secret(
        self,
        *,
        service_instance_id: UUID,  # noqa: ARG002  a password can be made for anyone
        version: int,  # noqa: ARG002  likewise
    ) -> Mapping[str, str]:
        """Return a new password."""
        return {"password": secrets.token_urlsafe(32)}

    async def ensure_credentials(
        self, *, service_instance_id: UUID, version: int, secret: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Make the login of this version valid and return how to connect with it."""
        name, login = _name(service_instance_id), _login(service_instance_id, version)
        password = secret["password"]

        async def work(admin: Connection) -> None:
            await postgres_objects.require_database(admin, name)
            await self._require_isolation(admin, name)
            await postgres_objects.ensure_login(admin, name, login, password)
            others = set(await postgres_objects.logins(admin, name)) - {login}
            await self._hand_over(name, others)

        await self._admin.run(
            service_instance_id=service_instance_id, work=work, secrets=(password,)
        )
        return self._credentials(name, login, password)

    async def ensure_revoked(self, *, service_instance_id: UUID, version: int) -> None:
        """Remove the login of this version and end its sessions; its tables stay with the owner."""
        name, login = _name(service_instance_id), _login(service_instance_id, version)

        async def work(admin: Connection) -> None:
            if login not in await postgres_objects.logins(admin, name):
                return
            await postgres_objects.shut_out(admin, login)
            if await postgres_objects.has_database(admin, name):
                await self._hand_over(name, [login])
                # Once more, for whoever was logging in while the door closed.
                await postgres_objects.end_sessions(admin, login)
                await self._forget(name, login)
            await admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(login)))

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def ensure_absent(self, service_instance_id: UUID) -> None:
        """Remove the database under its open connections, and all its roles."""
        name = _name(service_instance_id)

        async def work(admin: Connection) -> None:
            logins = await postgres_objects.logins(admin, name)
            for login in logins:
                await postgres_objects.shut_out(admin, login)
            await admin.execute(
                SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))
            )
            for role in (*logins, name):
                await admin.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(role)))

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def aclose(self) -> None:
        """Do nothing: between calls the provider holds no connection."""

    async def _configure(self, admin: Connection, name: str, limits: Limits) -> None:
        for role in (name, *await postgres_objects.logins(admin, name)):
            await admin.execute(postgres_objects.connection_limit(role, limits.connections))
        for statement in limits.statements(name):
            await admin.execute(statement)
        async with self._admin.inside(name) as inside:
            await postgres_objects.ensure_contents(inside, name, limits.extensions)

    async def _hand_over(self, name: str, logins: Collection[str]) -> None:
        """Give the owner what these logins made while they did not act as the owner."""
        if not logins:
            return
        async with self._admin.inside(name) as inside:
            for login in logins:
                await inside.execute(
                    SQL("REASSIGN OWNED BY {} TO {}").format(Identifier(login), Identifier(name))
                )

    async def _forget(self, name: str, login: str) -> None:
        """Take back what was granted to the login by name, or it could not be removed."""
        async with self._admin.inside(name) as inside:
            await inside.execute(SQL("DROP OWNED BY {}").format(Identifier(login)))

    async def _require_isolation(self, admin: Connection, name: str) -> None:
        """Fail if the tenant could connect to a database that is nobody's service."""
        cursor = await admin.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND datname <> %s"
            " AND datname !~ %s AND NOT datname = ANY(%s)"
            " AND has_database_privilege(%s, oid, 'CONNECT') ORDER BY datname",
            (name, _TENANT, list(self._tolerated_databases), name),
        )
        names = [str(row[0]) for row in await cursor.fetchall()]
        if names:
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.NOT_ISOLATED,
                message="every role may connect to these databases of the server: "
                f"{', '.join(names)}. Run REVOKE CONNECT ON DATABASE ... FROM PUBLIC for each.",
                is_transient=False,
            )

    def _credentials(self, name: str, login: str, password: str) -> Mapping[str, str]:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return {
            "uri": f"postgresql://{login}:{quote(password, safe='')}@{host}:{self._port}/{name}",
            "host": self._host,
            "port": str(self._port),
            "database": name,
            "username": login,
            "password": password,
        }


def _name(service_instance_id: UUID) -> str:
    return f"svc_{service_instance_id.hex}"


def _login(service_instance_id: UUID, version: int) -> str:
    return f"{_name(service_instance_id)}_v{int(version)}"
