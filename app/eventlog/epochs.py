"""Positions as text, which tell a restored log from the one that was lost.

Each restore to an older point begins an epoch. A position of the first epoch is written as its
digits, one of a later epoch with the epoch's number before it: `217512005123.1000`. That number no
other log of the same origin has, also if one backup is restored twice.
"""

import re
from typing import NamedTuple, Self

import psycopg

from app.eventlog import connections

DIVERGED = "SB001"
"""The SQL state of `ledger.common_position`."""

_BEGINNINGS = "SELECT number, began_after FROM ledger.epochs WHERE number > 1 ORDER BY number"
_PLACE = re.compile(r"(?:[1-9][0-9]{0,17}\.)?[0-9]{1,19}", re.ASCII)
_LARGEST = 2**63 - 1


class LogDivergedError(Exception):
    """The log is not the one that the position was read from: it was restored since.

    `last_common` is the last position that both have, as text, if it is known.
    """

    code = "LOG_DIVERGED"

    def __init__(self, *, last_common: str | None) -> None:
        advice = (
            "How far both are the same is not known any more: drop what you know, and begin anew."
            if last_common is None
            else f"Both are the same up to {last_common}. "
            "Drop what you know of later positions, and go on from there."
        )
        super().__init__(
            f"The log was restored to an older point: what you read last is not in it. {advice}"
        )
        self.last_common = last_common

    @classmethod
    def of(cls, error: psycopg.Error) -> Self:
        """Return it for the error of a statement."""
        return cls(last_common=error.diag.message_detail)


class Place(int):
    """A position, with the text that a client sent."""

    text: str

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the position that a text tells. Raises ValueError."""
        if not _PLACE.fullmatch(text):
            raise ValueError("no position")
        place = cls(text.rpartition(".")[2])
        if place > _LARGEST:
            raise ValueError("no position")
        place.text = text
        return place


class Beginning(NamedTuple):
    """After which position an epoch began."""

    number: int
    after: int


Beginnings = tuple[Beginning, ...]
"""Those of each epoch but the first."""


class Epochs:
    """Where each epoch after the first began, as this process has seen it last."""

    def __init__(self) -> None:
        self.beginnings: Beginnings = ()

    async def begin(self, connection: connections.Connection) -> None:
        """Begin an epoch if the log was restored; to be done before anything is appended."""
        cursor = await connection.execute("SELECT number, began_after FROM ledger.begin_epoch()")
        every = [Beginning(*row) for row in await cursor.fetchall()]
        self.beginnings = tuple(each for each in every if each.number > 1)

    async def look(self, connection: connections.Connection) -> None:
        """Find out which epochs others began; to be done after what was read of the log."""
        cursor = await connection.execute(_BEGINNINGS)
        self.beginnings = tuple(Beginning(*row) for row in await cursor.fetchall())

    def require(self, position: int, *, since: Beginnings) -> None:
        """Raise LogDivergedError if the log is another one there than when it was seen last."""
        begun_or_lost = set(self.beginnings) ^ set(since)
        common = min((each.after for each in begun_or_lost), default=position)
        if common < position:
            raise LogDivergedError(last_common=self.text(common))

    def text(self, position: int) -> str:
        """Return the text of a position that the log holds."""
        later = [each.number for each in self.beginnings if each.after < position]
        return f"{later[-1]}.{position}" if later else str(position)


async def common_position(connection: connections.Connection, place: Place) -> int:
    """Return a position that was read from this log. Raises LogDivergedError."""
    try:
        cursor = await connection.execute("SELECT ledger.common_position(%s)", [place.text])
    except psycopg.DatabaseError as error:
        if error.sqlstate == DIVERGED:
            raise LogDivergedError.of(error) from error
        raise
    [(position,)] = await cursor.fetchall()
    return int(position)
