"""`servicebook audit …` and `servicebook events …`."""

import asyncio
import contextlib
import gzip
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import click
import psycopg

from app import database, migrations
from app import settings as configuration
from app.audit import exporting, lines, sealer, signing
from app.audit.verification import exports, notes
from app.eventlog import connections

_GZIP = b"\x1f\x8b"
_Read: TypeAlias = Callable[[connections.Connection], AsyncIterator[exporting.Chunk]]


@click.group()
def audit() -> None:
    """Check the log from outside."""


@click.group()
def events() -> None:
    """Take the log elsewhere."""


@events.command()
@click.option("--after", type=click.IntRange(0), default=0, help="Begin after this position.")
def export(after: int) -> None:
    """Write the log to standard output, an event a line, each a CloudEvent in JSON."""

    async def read(connection: connections.Connection) -> AsyncIterator[exporting.Chunk]:
        until = await exporting.head(connection)
        async for chunk in exporting.events(connection, after=after, until=until):
            yield chunk

    asyncio.run(_write(read))


@audit.command()
def hashes() -> None:
    """Write the leaf hashes of the log to standard output: `verify` names a bad event by them."""
    asyncio.run(_write(exporting.leaf_hashes))


@audit.command()
def key() -> None:
    """Print the public key that checkpoints are verified with; give it to whoever verifies."""
    found = configuration.load()
    private = signing.open_key(found.audit_key_file)

    async def ask() -> None:
        async with _connected() as connection:
            origin = lines.origin(await sealer.log_id(connection))
        click.echo(signing.Signer(origin=origin, key=private).verifier_key)

    asyncio.run(ask())


@audit.command()
@click.argument("export", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--checkpoints",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="A file with signed checkpoints; best a copy that the log's owner cannot reach.",
)
@click.option("--key", "keys", multiple=True, required=True, help="What `audit key` printed.")
@click.option(
    "--hashes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `audit hashes` wrote; names the bad event rather than a range that holds it.",
)
def verify(
    export: Path, files: tuple[Path, ...], keys: tuple[str, ...], hashes: Path | None
) -> None:
    """Verify an exported log, offline: each event is what was recorded when it was signed."""
    try:
        trusted = [notes.VerifierKey.parse(text) for text in keys]
        checkpoints = [
            notes.opened(note, keys=trusted)
            for file in files
            for note in notes.split(file.read_text("utf-8"))
        ]
        leaves = None if hashes is None else _leaves(hashes)
    except (notes.NoteError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
    if not checkpoints:
        raise click.ClickException("There is no checkpoint in the files: nothing to compare with.")
    with _opened(export) as text:
        report = exports.verify(text, checkpoints=checkpoints, hashes=leaves)
    _tell(report)


def _tell(report: exports.Report) -> None:
    if report.problem is not None:
        first, last = report.problem.first, report.problem.last
        where = f"Position {first}" if first == last else f"Positions {first} to {last}"
        raise click.ClickException(
            f"{where}: {report.problem.reason}. Signed and unchanged up to {report.confirmed}."
        )
    rest = report.events - report.confirmed
    click.echo(
        f"{report.confirmed} events are as they were signed"
        + (f"; no checkpoint covers the {rest} after them" if rest else "")
    )


async def _write(read: _Read) -> None:
    out = sys.stdout.buffer
    async with _connected() as connection:
        async for chunk in read(connection):
            out.write(chunk.text)
    out.flush()


@contextlib.asynccontextmanager
async def _connected() -> AsyncIterator[connections.Connection]:
    with database.available(settings=configuration.load(), progress=_say) as found:
        await migrations.migrate(conninfo=found.ledger_dsn)
        async with await psycopg.AsyncConnection.connect(
            found.ledger_dsn, autocommit=True
        ) as connection:
            yield connection


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    with file.open("rb") as raw:
        if raw.read(len(_GZIP)) != _GZIP:
            raw.seek(0)
            yield raw
            return
    with gzip.open(file) as text:
        yield cast("BinaryIO", text)


def _leaves(file: Path) -> list[bytes]:
    try:
        return [bytes.fromhex(line) for line in file.read_text("ascii").split()]
    except ValueError as error:
        raise click.ClickException(f"{file} holds something else than leaf hashes.") from error


def _say(message: str) -> None:
    click.echo(message, err=True)
