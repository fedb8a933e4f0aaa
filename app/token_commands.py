"""The commands of `servicebook token`."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import click
import psycopg
from psycopg import rows

from app import bootstrap, database
from app import settings as configuration
from app.access import caller, tokens
from app.application.request import Request
from app.application.tokens import Tokens, Wanted
from app.graphql import identifiers
from domain import errors

_T = TypeVar("_T")
_MOST_DAYS = 36_525  # a century

_LIST = """
    SELECT t.id, t.subject, t.name, t.roles, t.projects, t.created_by, t.created_at, t.expires_at,
        t.revoked_at, a.last_used_at, t.expires_at <= now() AS is_expired
    FROM read.api_tokens AS t LEFT JOIN access.tokens AS a ON a.id = t.id
    WHERE %s OR t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
    ORDER BY t.created_at, t.id
"""


def _number(_: click.Context, __: click.Parameter, given: float | None) -> float | None:
    """Refuse what is no number: it compares with no limit, and so passes each."""
    if given is not None and math.isnan(given):
        raise click.BadParameter(f"{given} is no number.")
    return given


@click.group()
def token() -> None:
    """Manage API tokens."""


@token.command()
@click.option("--name", required=True, help="What the token is for.")
@click.option("--subject", required=True, help="Whom it speaks for, as the history shall say.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.name for role in caller.Role], case_sensitive=False),
    help="OPERATOR or AUDITOR, or a role in projects. Without it: the subject's memberships.",
)
@click.option(
    "--project", "projects", multiple=True, help="A project, prj_…; it is good nowhere else."
)
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True, max=_MOST_DAYS),
    callback=_number,
    help="When it ends; never if not given.",
)
def create(
    name: str,
    subject: str,
    roles: tuple[str, ...],
    projects: tuple[str, ...],
    days: float | None,
) -> None:
    """Make a token and print it; it is shown only this once."""
    wanted = Wanted(
        subject=subject,
        name=name,
        roles=frozenset(caller.Role[role.upper()] for role in roles),
        projects=frozenset(_project(each) for each in projects),
        lifetime=None if days is None else timedelta(days=days),
    )

    async def work(use_cases: Tokens) -> tuple[UUID, str | None, int]:
        request = Request(actor=caller.COMMAND_LINE, name="create_token")
        return await use_cases.create(request=request, wanted=wanted)

    token_id, secret, _ = _carried_out(work)
    try:
        click.echo(secret)
    except OSError as error:
        raise click.ClickException(
            f"The token was made but cannot be shown: {error.strerror}. End it with"
            f" `servicebook token revoke {tokens.shown_id(token_id)}`, and make another."
        ) from error


@token.command("list")
@click.option("--all", "is_all", is_flag=True, help="Also those that ended.")
def list_(*, is_all: bool) -> None:
    """Show the tokens: id, subject, name, roles, projects, last use."""
    with database.available(settings=configuration.load(), progress=_say) as found:
        for row in asyncio.run(_listed(found.ledger_dsn, is_all=is_all)):
            click.echo(_line(row))


@token.command()
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """End a token at once; its id is as `list` shows it."""
    found = tokens.parsed_id(token_id)
    if found is None:
        raise click.ClickException(f"{token_id} is no id of a token: tok_…, as `list` shows it.")

    async def work(use_cases: Tokens) -> None:
        request = Request(actor=caller.COMMAND_LINE, name="revoke_token")
        await use_cases.revoke(request=request, token_id=found)

    _carried_out(work)
    _say(f"{token_id} is void")


def _carried_out(work: Callable[[Tokens], Awaitable[_T]]) -> _T:
    """Carry a command out over the database; a refusal becomes one clear line."""
    with database.available(settings=configuration.load(), progress=_say) as found:
        try:
            return asyncio.run(_with_tokens(found.ledger_dsn, work))
        except errors.RefusedError as error:
            raise click.ClickException(error.message) from error


async def _with_tokens(dsn: str, work: Callable[[Tokens], Awaitable[_T]]) -> _T:
    await bootstrap.prepare(conninfo=dsn, progress=_say)
    async with bootstrap.token_commands(conninfo=dsn) as use_cases:
        return await work(use_cases)


async def _listed(dsn: str, *, is_all: bool) -> list[dict[str, Any]]:
    await bootstrap.prepare(conninfo=dsn, progress=_say)
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=rows.dict_row) as connection:
        return await (await connection.execute(_LIST, [is_all])).fetchall()


def _line(row: dict[str, Any]) -> str:
    reach = [*row["roles"], *(f"prj_{project.hex}" for project in row["projects"])]
    ends = f" until {_day(row['expires_at'])}" if row["expires_at"] else ""
    state = "revoked" if row["revoked_at"] else "expired" if row["is_expired"] else "valid"
    used = _day(row["last_used_at"]) if row["last_used_at"] else "never"
    return (
        f"{tokens.shown_id(row['id'])}  {state}{ends}  used {used}  {row['subject']}"
        f"  {row['name']!r}  {' '.join(reach) or 'as its subject'}"
    )


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _project(text: str) -> UUID:
    found = identifiers.uuid_of(text, type_name="Project")
    if found is None:
        raise click.ClickException(f"{text} is no id of a project: prj_…")
    return found


def _say(message: str) -> None:
    click.echo(message, err=True)
