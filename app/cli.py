"""The commands of `servicebook`."""

import asyncio
import dataclasses
import errno
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

import click
import psycopg

from app import (
    asgi,
    bootstrap,
    brokers,
    catalogue,
    database,
    embedded,
    first_token,
    key_ring,
    migrations,
    object_storage,
    processes,
    token_commands,
)
from app import settings as configuration
from app.audit import commands as auditing
from app.audit import signing
from app.eventlog import command
from app.eventlog import rebuild as rebuilding
from app.graphql import trusted
from app.work import overview

_ANTICIPATED = (
    brokers.ConfigurationError,
    catalogue.CatalogueError,
    command.LogUnavailableError,
    configuration.SettingsError,
    database.DatabaseError,
    embedded.EmbeddedError,
    first_token.TokenFileError,
    key_ring.SecretsError,
    migrations.MigrationError,
    object_storage.ObjectStorageError,
    processes.PortTakenError,
    signing.SigningKeyError,
    trusted.ManifestError,
)


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()  # when the interpreter ends it is too late to say that it failed
        except _ANTICIPATED as error:
            raise click.ClickException(str(error)) from error
        except click.ClickException:
            _let_go_of_output()
            raise
        except (OSError, psycopg.Error) as error:
            reason = _reason(error)
            if reason is None:
                raise
            _let_go_of_output()
            if _is_debugging():
                traceback.print_exception(error)
            raise click.ClickException(reason) from error
        return answer


def _reason(error: OSError | psycopg.Error) -> str | None:
    """Return what the system or the database said; None if it was neither, or is no trouble."""
    if isinstance(error, psycopg.Error):
        return f"The database says: {' '.join(str(error).split())}"
    if error.errno is None or error.errno == errno.EPIPE:
        return None  # a timeout of our own is a bug; who closes the pipe has read enough
    if error.filename is None and error.errno == errno.ENOSPC:
        return f"{error.strerror}: make room for standard output and the data directory."
    return str(error)


def _let_go_of_output() -> None:
    """Drop what cannot be written: the interpreter would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _is_debugging() -> bool:
    try:
        return configuration.load().log_level == "debug"
    except configuration.SettingsError:
        return False


@click.group(cls=_Commands)
@click.version_option(package_name="servicebook")
def main() -> None:
    """Keep the services of applications: provision, attach, deploy, remove."""


main.add_command(auditing.audit)
main.add_command(auditing.events)


@main.command()
@click.option("--host", help="The address to listen on, instead of SERVICEBOOK_HOST.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Likewise, instead of SERVICEBOOK_PORT."
)
@click.option("--no-worker", is_flag=True, help="Run no tasks here: `servicebook worker` does.")
def serve(host: str | None, port: int | None, *, no_worker: bool) -> None:
    """Serve the API, with a worker beside it, until Ctrl-C or SIGTERM."""
    found = configuration.load()
    chosen = dataclasses.replace(
        found,
        host=host or found.host,  # an empty one counts as not given, as among the settings
        port=found.port if port is None else port,
    )
    processes.serve(settings=chosen, has_worker=not no_worker, say=_say)


@main.command()
def worker() -> None:
    """Run the tasks that provision, deploy and remove, until Ctrl-C or SIGTERM."""
    processes.work(settings=configuration.load(), say=_say)


@main.command()
@click.option("--check", is_flag=True, help="Only compare: the live ones stay. 1 if they differ.")
def rebuild(*, check: bool) -> None:
    """Make the read models anew from the log, while everything goes on."""
    settings = configuration.load()
    with database.available(settings=settings, progress=_say) as found:
        make = bootstrap.check_read_models if check else bootstrap.rebuild_read_models
        differences = asyncio.run(_rebuild(found.ledger_dsn, settings, make))
    for difference in differences:
        _say(str(difference))
    if check and differences:
        raise click.ClickException("The read models are not what the log adds up to: rebuild them")
    _say("The read models are what the log adds up to" if check else "The read models are new")


async def _rebuild(
    dsn: str,
    settings: configuration.Settings,
    make: Callable[..., Awaitable[list[rebuilding.Difference]]],
) -> list[rebuilding.Difference]:
    await bootstrap.prepare(conninfo=dsn, progress=_say, at_pace=bootstrap.pace(settings))
    with click.progressbar(length=1, label="Reading events", file=sys.stderr) as bar:

        def show(position: int, head: int) -> None:
            bar.length = max(head, 1)
            bar.update(position - bar.pos)

        return await make(conninfo=dsn, settings=settings, progress=show)


@main.command()
def schema() -> None:
    """Print the GraphQL schema."""
    click.echo(asgi.sdl(), nl=False)


@main.command()
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
def tasks(limit: int) -> None:
    """Show the work that runs, waits or is put off, with attempt, next try and last error."""
    with database.available(settings=configuration.load(), progress=_say) as found:
        asyncio.run(bootstrap.prepare(conninfo=found.ledger_dsn, progress=_say))
        in_hand = asyncio.run(overview.tasks_in_hand(conninfo=found.ledger_dsn, limit=limit))
    for each in in_hand:
        next_try = ""
        if each.next_try_at is not None:
            next_try = f" next {each.next_try_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        error = f": {' '.join(each.last_error.split())}" if each.last_error else ""
        click.echo(
            f"{each.state:8}{each.name:24}{each.subject:37} attempt {each.attempt}{next_try}{error}"
        )
    _say(f"{len(in_hand)} tasks in hand")


@main.group()
def keys() -> None:
    """Manage the keys that seal credentials."""


@keys.command()
def rotate() -> None:
    """Make a new key, and seal with it all credentials and the keys of people.

    What was sealed before, in old dumps, opens as long as the old keys are in the ring.
    """
    found = configuration.load()
    with database.available(settings=found, progress=_say) as available:
        count = asyncio.run(bootstrap.rotate_keys(settings=found, found=available, progress=_say))
    _say(f"Sealed {count} credentials and keys with the new key; back up {found.keyring_file}")


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


main.add_command(token_commands.token)


def _say(message: str) -> None:
    click.echo(message, err=True)  # what a command answers goes to standard output alone
