"""Runs the command of a release: its own process group, a bounded output, a deadline."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from app import redaction

OUTPUT_LIMIT = 65_536

_GRACE = 5.0  # between asking a process group to end and ending it
_LAST_WORDS = 1.0  # for output that is still in the pipe when the command has ended
_LONGEST_FORM = 3  # bytes that one byte of a secret becomes at most, as %40
_START_FIELD = 19  # of /proc/<pid>/stat, counted behind the program's name


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process group that can be told from a later one with the same number."""

    group: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Describe the group that this process leads."""
        return cls(group=pid, started=_start_of(pid))


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a command ended; `exit_code` is None if its time was up."""

    exit_code: int | None
    output: str


async def run(
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    seconds: float,
    secrets: Sequence[str],
    started: Callable[[Process], Awaitable[None]],
) -> Result:
    """Run the command to its end; OSError if it cannot be started.

    Its whole process group is ended when the time is up and when the caller is cancelled.
    """
    # A secret that the limit cuts in two would not be recognised: read that much more.
    margin = _LONGEST_FORM * max((len(secret.encode()) for secret in secrets), default=0)
    async with _reading(OUTPUT_LIMIT + margin) as (tail, pipe):
        process = await _begun(
            asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        )
        pipe.close()
        try:
            await started(Process.of(process.pid))
            exit_code = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            exit_code = None
        finally:
            if process.returncode is None:
                await _end(process)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(tail.ended.wait(), _LAST_WORDS)
        return Result(exit_code=exit_code, output=tail.text(margin=margin, secrets=secrets))


def end_leftover(process: Process) -> None:
    """End a group whose server was killed; nothing if the number means another process now."""
    if process.started and _start_of(process.group) == process.started:
        _signal(process.group, signal.SIGKILL)


class _Tail(asyncio.Protocol):
    """Keeps the end of what is written to a pipe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self._is_cut = False
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit:
            self._is_cut = True
            del self._data[: -self._limit]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  ended either way
        self.ended.set()

    def text(self, *, margin: int, secrets: Sequence[str]) -> str:
        """Return the text without the secrets; what may be the rest of one goes too."""
        text = redaction.redact(self._data.decode(errors="replace"), secrets=secrets)
        if self._is_cut:
            text = text[margin:]
        return text[-OUTPUT_LIMIT:]


@contextlib.asynccontextmanager
async def _reading(limit: int) -> AsyncIterator[tuple[_Tail, BinaryIO]]:
    """Give out a pipe's end for writing; what a daemon writes after the block is not read."""
    read_end, write_end = os.pipe()
    tail = _Tail(limit)
    with os.fdopen(write_end, "wb", buffering=0) as pipe:
        loop = asyncio.get_running_loop()
        reader = os.fdopen(read_end, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: tail, reader)
        try:
            yield tail, pipe
        finally:
            transport.close()
            await tail.ended.wait()


async def _begun(
    starting: Coroutine[Any, Any, asyncio.subprocess.Process],
) -> asyncio.subprocess.Process:
    """Return the process; asyncio, cancelled meanwhile, would end it and not what it started."""
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if task.exception() is None:
            await _end(task.result())
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the group to end, then end it: a second cancellation comes too late to spare it."""
    try:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE)
    finally:
        _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _start_of(pid: int) -> str:
    """Return when the process started, as the system counts it; empty where it does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[_START_FIELD]
