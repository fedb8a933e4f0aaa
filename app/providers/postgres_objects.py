"""The databases and roles of a PostgreSQL server, each brought to what is wanted of it."""

from collections.abc import Collection

from psycopg.sql import SQL, Composed, Identifier, Literal

from app.providers import contract
from app.providers.postgres_admin import Connection


async def has_database(admin: Connection, name: str) -> bool:
    """Tell whether the server has the database."""
    cursor = await admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
    return await cursor.fetchone() is not None


async def require_database(admin: Connection, name: str) -> None:
    """Raise RESOURCE_MISSING unless the server has the database."""
    if not await has_database(admin, name):
        raise contract.ProviderError(
            code=contract.ProviderErrorCode.RESOURCE_MISSING,
            message=f"the server has no database {name}",
            is_transient=False,
        )


async def logins(admin: Connection, name: str) -> list[str]:
    """List the logins of a database, of every version."""
    cursor = await admin.execute(
        "SELECT rolname FROM pg_roles WHERE rolname ~ %s ORDER BY rolname", (f"^{name}_v[0-9]+$",)
    )
    return [str(row[0]) for row in await cursor.fetchall()]


async def _has_role(admin: Connection, name: str) -> bool:
    cursor = await admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
    return await cursor.fetchone() is not None


async def ensure_owner(admin: Connection, name: str) -> None:
    """Make the role that owns what the application creates."""
    if not await _has_role(admin, name):
        await admin.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(name)))
    # The maker of a role may administer it, but not act as it, end its sessions or give things
    # to it.
    await admin.execute(
        SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(Identifier(name))
    )


async def ensure_database(admin: Connection, name: str) -> None:
    """Make the database, open to its owner's logins alone."""
    database = Identifier(name)
    if not await has_database(admin, name):
        # A new database is open to every role: it stays shut until that is taken back.
        await admin.execute(
            SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false"
            ).format(database)
        )
    await admin.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    await admin.execute(
        SQL("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}").format(database, database)
    )


def connection_limit(role: str, connections: int) -> Composed:
    """Return what limits the sessions of a role."""
    return SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(Identifier(role), Literal(connections))


async def ensure_contents(inside: Connection, name: str, extensions: Collection[str]) -> None:
    """Give the owner its schema and the extensions."""
    owner = Identifier(name)
    await inside.execute("CREATE SCHEMA IF NOT EXISTS public")
    await inside.execute(SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
    if not extensions:
        return
    await inside.execute(SQL("SET ROLE {}").format(owner))
    for extension in extensions:
        await inside.execute(
            SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public").format(Identifier(extension))
        )


async def ensure_login(admin: Connection, name: str, login: str, password: str) -> None:
    """Make the login valid with this password, acting as the owner."""
    role, owner = Identifier(login), Identifier(name)
    # The server gets a verifier only, so that no log of statements can hold the password.
    verifier = admin.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
    async with admin.transaction():
        cursor = await admin.execute(
            "SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", (name,)
        )
        row = await cursor.fetchone()
        connections = int(str(row[0])) if row else -1
        if not await _has_role(admin, login):
            await admin.execute(SQL("CREATE ROLE {} IN ROLE {}").format(role, owner))
        await admin.execute(
            SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, Literal(verifier.decode()))
        )
        await admin.execute(connection_limit(login, connections))
        await admin.execute(SQL("ALTER ROLE {} SET role = {}").format(role, Literal(name)))
        await admin.execute(SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE").format(role))


async def shut_out(admin: Connection, login: str) -> None:
    """Refuse new sessions of the login and end those it has."""
    await admin.execute(SQL("ALTER ROLE {} NOLOGIN").format(Identifier(login)))
    await end_sessions(admin, login)


async def end_sessions(admin: Connection, login: str) -> None:
    """End the login's sessions and wait until they are gone."""
    # A login of which only the first statement was executed is not yet ours to end.
    await admin.execute(SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE").format(Identifier(login)))
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE usesysid = (SELECT oid FROM pg_roles WHERE rolname = %s)",
        (login,),
    )
