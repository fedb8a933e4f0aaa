"""`servicebook audit …` and `servicebook events …`."""

import asyncio
import contextlib
import gzip
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import click
import nats.aio.client
import psycopg
import psycopg_pool

from app import database, migrations
from app import settings as configuration
from app.audit import asked, event_page, exporting, feed, lines, outlet, sealer, signing
from app.audit.verification import exports, notes
from app.eventlog import command, connections, epochs, hints

_GZIP = b"\x1f\x8b"
_SECONDS = 60.0  # for one statement
_FILTERS = {
    "after": "Begin after this position.",
    "event": "Of this name; more than one may be given.",
    "subject": "About this project, environment, service instance or deployment.",
    "project": "About this project or anything in it.",
    "environment": "About this environment or anything in it.",
    "actor": "Caused by this person or process.",
    "correlation-id": "That belong together under this id.",
    "recorded-from": "Recorded at this time or later.",
    "recorded-before": "Recorded before this time.",
}
_Read: TypeAlias = Callable[[connections.Connection], AsyncIterator[exporting.Chunk]]


@click.group()
def audit() -> None:
    """Check the log from outside."""


@click.group()
def events() -> None:
    """Take the log elsewhere."""


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose events, as the parameters of /audit/events do."""
    for name, meaning in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", multiple=name == "event", help=meaning)(command)
    return command


@events.command()
@click.option("--until", help="End with this position.")
@_filtered
def export(until: str | None, **given: str | tuple[str, ...] | None) -> None:
    """Write the log to standard output, an event a line, each a CloudEvent in JSON."""
    wanted = _asked(given | {"until": until})
    asyncio.run(_export(wanted, is_followed=False))


@events.command()
@_filtered
def follow(**given: str | tuple[str, ...] | None) -> None:
    """Do likewise, and stay for what comes, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_export(_asked(given), is_followed=True))


@events.command()
@click.option(
    "--stream", default="servicebook", show_default=True, help="Made if it is not there yet."
)
@click.option(
    "--prefix", default="servicebook", show_default=True, help="What each subject begins with."
)
@click.option("--once", is_flag=True, help="End when all that there is has been published.")
@_filtered
def publish(stream: str, prefix: str, *, once: bool, **given: str | tuple[str, ...] | None) -> None:
    """Publish the log to a stream of NATS JetStream, each event once, until Ctrl-C.

    It goes on where the stream ends, whatever was restarted; --after is where an empty one begins.
    The server is that of SERVICEBOOK_NATS_URL.
    """
    place = outlet.Stream(name=stream, prefix=prefix)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_publish(place, _asked(given), follows=not once))


@events.command()
def describe() -> None:
    """Print what each event means, in Markdown."""
    click.echo(event_page.text(), nl=False)


@audit.command()
def hashes() -> None:
    """Write the leaf hashes of the log to standard output: `verify` names a bad event by them."""
    asyncio.run(_write(exporting.leaf_hashes))


@audit.command()
def key() -> None:
    """Print the public key that checkpoints are verified with; give it to whoever verifies."""
    found = configuration.load()

    async def ask() -> None:
        async with _connected() as connection:
            origin = lines.origin(await sealer.log_id(connection))
            last_note = await sealer.last_note(connection)
        private = signing.open_key(found.audit_key_file, last_note=last_note)
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


def _asked(given: Mapping[str, str | tuple[str, ...] | None]) -> asked.Asked:
    pairs = []
    for name, value in given.items():
        first, *others = name.split("_")
        parameter = first + "".join(map(str.capitalize, others))
        values = value if isinstance(value, tuple) else (value,)
        pairs += [(parameter, each) for each in values if each is not None]
    try:
        return asked.read(pairs)
    except asked.BadRequestError as error:
        raise click.ClickException(str(error)) from error


async def _export(wanted: asked.Asked, *, is_followed: bool) -> None:
    try:
        async with _pooled() as pool:
            await _copy(pool, wanted, is_followed=is_followed)
    except (epochs.LogDivergedError, command.LogUnavailableError) as error:
        raise click.ClickException(str(error)) from error


async def _copy(pool: connections.Connections, wanted: asked.Asked, *, is_followed: bool) -> None:
    condition, values = wanted.selection.conditions()
    lines_ = exporting.Export(condition=condition, values=values)
    source, after = feed.Feed(pool=pool, hints=hints.Hints(pool=pool)), wanted.after or 0
    head = await source.start(after=wanted.after)
    until = head if wanted.until is None else min(head, wanted.until)
    with _progress(until - after, is_hidden=is_followed) as bar:
        chunks = (
            source.follow(lines_, after=after)
            if is_followed
            else source.read(lines_, after=after, until=until)
        )
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk.text)
                sys.stdout.buffer.flush()
                bar.update(chunk.position - after - bar.pos)


async def _publish(stream: outlet.Stream, wanted: asked.Asked, *, follows: bool) -> None:
    condition, values = wanted.selection.conditions()
    try:
        async with _pooled() as pool, _nats() as client:
            source = outlet.Outlet(
                client=client,
                stream=stream,
                feed=feed.Feed(pool=pool, hints=hints.Hints(pool=pool)),
                export=exporting.Export(condition=condition, values=values),
                source=lines.source(await pool.run(sealer.log_id)),
            )
            await source.prepare()
            _say(f"Publishing to the stream {stream.name}")
            await source.run(begin_after=wanted.after, follows=follows)
    except (
        epochs.LogDivergedError,
        command.LogUnavailableError,
        outlet.ForeignStreamError,
    ) as error:
        raise click.ClickException(str(error)) from error


@contextlib.asynccontextmanager
async def _nats() -> AsyncIterator[nats.aio.client.Client]:
    found = configuration.load()
    if found.nats_url is None:
        raise click.ClickException("SERVICEBOOK_NATS_URL does not say where to publish.")
    try:
        client = await outlet.connect(found.nats_url)
    except outlet.UnreachableError as error:
        raise click.ClickException(str(error)) from error
    try:
        yield client
    finally:
        await client.close()


def _progress(length: int, *, is_hidden: bool) -> Any:  # noqa: ANN401  click does not name its type
    """Return a bar on standard error, which shows itself on a terminal alone."""
    return click.progressbar(
        length=max(length, 0),
        label="Events",
        file=sys.stderr,
        hidden=is_hidden or not sys.stderr.isatty(),
    )


@contextlib.asynccontextmanager
async def _pooled() -> AsyncIterator[connections.Connections]:
    with database.available(settings=configuration.load(), progress=_say) as found:
        await migrations.migrate(conninfo=found.ledger_dsn)
        async with psycopg_pool.AsyncConnectionPool(
            found.ledger_dsn, min_size=1, max_size=2, kwargs={"autocommit": True}, open=False
        ) as pool:
            yield connections.Connections(pool=pool, seconds=_SECONDS)


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
