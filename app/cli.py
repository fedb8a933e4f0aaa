"""The commands of `servicebook`."""

import asyncio
from typing import Any

import click
import psycopg

from app import database, embedded, migrations
from app import settings as configuration
from app.access import tokens

_ANTICIPATED = (
    configuration.SettingsError,
    database.DatabaseError,
    embedded.EmbeddedError,
    migrations.MigrationError,
)


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        try:
            return super().invoke(ctx)
        except _ANTICIPATED as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands)
@click.version_option(package_name="servicebook")
def main() -> None:
    """Keep the services of applications: provision, attach, deploy, remove."""


@main.command()
def settings() -> None:
    """Explain every setting, its value and its default."""
    try:
        found = configuration.load()
    except configuration.SettingsError:
        click.echo(configuration.describe(configuration.Settings()))
        raise
    click.echo(configuration.describe(found))


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    with database.available(settings=configuration.load(), progress=_say) as found:
        asyncio.run(migrations.migrate(conninfo=found.ledger_dsn))
    _say("The schema is up to date")


@main.group()
def token() -> None:
    """Manage API tokens."""


@token.command()
@click.option("--name", required=True, help="What the token is for.")
@click.option("--subject", required=True, help="Whom it speaks for, as the history shall say.")
def create(name: str, subject: str) -> None:
    """Make an administrator's token and print it; it is shown only this once."""
    with database.available(settings=configuration.load(), progress=_say) as found:
        asyncio.run(migrations.migrate(conninfo=found.ledger_dsn))
        made = asyncio.run(_create_token(found.ledger_dsn, name, subject))
    click.echo(made)


async def _create_token(dsn: str, name: str, subject: str) -> str:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return await tokens.create(connection=connection, subject=subject, name=name)


def _say(message: str) -> None:
    click.echo(message, err=True)  # what a command answers goes to standard output alone
