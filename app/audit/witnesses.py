"""Where checkpoints go, so that copies lie outside the database owner's reach.

A later checkpoint covers an earlier one: each witness gets the newest, and one that fails gets
the newest of then. Nobody waits for them.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpx

from app import cancellation

Witness = Callable[[str], Awaitable[None]]
"""Keeps a note; raises OSError or httpx.HTTPError when it cannot."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_SECONDS = 10.0
_logger = logging.getLogger(__name__)


class Witnesses:
    """All of them, each at its own pace."""

    def __init__(self, witnesses: Sequence[Witness], *, pause: float = _FIRST_PAUSE) -> None:
        self._slots = [_Slot(witness, pause) for witness in witnesses]

    def offer(self, note: str) -> None:
        """Let them have a checkpoint newer than all before."""
        for slot in self._slots:
            slot.offer(note)

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell them, as long as the block runs."""
        tasks = [asyncio.create_task(slot.run()) for slot in self._slots]
        try:
            yield
        finally:
            for task in tasks:
                await cancellation.end(task)


class _Slot:
    """The newest checkpoint that a witness does not have yet."""

    def __init__(self, witness: Witness, pause: float) -> None:
        self._pause = pause
        self._witness = witness
        self._note: str | None = None
        self._filled = asyncio.Event()

    def offer(self, note: str) -> None:
        """Put a newer one in the place of the last one."""
        self._note = note
        self._filled.set()

    async def run(self) -> None:
        """Hand over what comes, and try again with the newest where that fails."""
        pause = self._pause
        while True:
            await self._filled.wait()
            self._filled.clear()
            note = self._note
            if note is None:
                continue
            try:
                await self._witness(note)
            except (OSError, httpx.HTTPError) as error:
                _logger.warning("a checkpoint could not be handed over: %s", type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._filled.set()
            else:
                pause = self._pause


def file_witness(file: Path) -> Witness:
    """Return the witness that appends to a file."""

    def append(note: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8", newline="\n") as notes:
            notes.write(note)
            notes.flush()
            os.fsync(notes.fileno())

    async def keep(note: str) -> None:
        await asyncio.to_thread(append, note)

    return keep


def webhook_witness(url: str) -> Witness:
    """Return the witness that posts to an address; the note carries its own signature."""

    async def keep(note: str) -> None:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            headers = {"Content-Type": "text/plain; charset=utf-8"}
            answer = await client.post(url, content=note.encode(), headers=headers)
            answer.raise_for_status()

    return keep
