"""Copies of a story as lines for COPY: the same text with other ids, places, times and names."""

import collections
import dataclasses
import random
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

import projections
from app.eventlog import draft, mapper, projecting
from tests.benchmarks import stories

LOG_TABLES = {
    "events": {
        "position": "int8",
        "originator_id": "uuid",
        "originator_version": "int8",
        "topic": "text",
        "state": "text",
        "event_id": "uuid",
        "command_id": "uuid",
        "metadata": "jsonb",
        "recorded_at": "timestamptz",
    },
    "commands": {
        "command_id": "uuid",
        "fingerprint": "text",
        "first_position": "int8",
        "last_position": "int8",
        "recorded_at": "timestamptz",
    },
}
"""The columns of the log and how their values are written; a state is written as it is."""

READ_TABLES = {
    model.table.name: {column.name: column.type for column in model.table.columns}
    for model in (*projections.PROJECTIONS, *projections.JOURNALS)
}

_POSITIONS = ("position", "first_position", "last_position")
_TOKEN = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<told>2001-\d\d-\d\dT\d\d:\d\d:\d\d)(?=\.(?P<command>\d{6}))"
    r"|(?P<recorded>2002-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})"
    r"|(?P<name>(?:project|person)-\d{7})"
    r"|\x01(?P<position>\d+)\x01"
    r"|\x02(?P<clock>\d+ \d+)\x02"
)
_CLOCK = re.compile(r"(\d\d):(\d\d) UTC")  # in a sentence, of the day on which a story is told
_AFTER = 100_000  # microseconds from a decision to its record
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  only written out, always as UTC
_MICROSECOND = timedelta(microseconds=1)

Row = Mapping[str, Any]
_FRIENDS = 3  # a person is a member of about three projects
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@dataclasses.dataclass(frozen=True)
class Copy:
    """Lines by table, each with the position of the event that it is about; ids by the old ones."""

    lines: Mapping[str, Sequence[tuple[int, str]]]
    ids: Mapping[str, str]


class Template:
    """A story as text with blanks; the same value goes into each blank of one number."""

    def __init__(self, story: stories.Story) -> None:
        drafted = _fold(story)
        receipts = [known.receipt for known in drafted.commands.values()]
        self.lengths = [each.last_position - each.first_position + 1 for each in receipts]
        # For each event its command, and which one of it it is.
        self._places = [(c, i) for c, count in enumerate(self.lengths) for i in range(count)]
        self._event_ids = {
            str(event.event_id): (str(event.command_id), index)
            for event, (_, index) in zip(drafted.events, self._places, strict=True)
        }
        self._blanks: dict[tuple[str, str], int] = {}
        self._tables = {}
        for name, rows in (_log_rows(drafted) | _read_rows(drafted)).items():
            columns = (LOG_TABLES | READ_TABLES)[name]
            text = "\n".join(_line(columns, row) for row in rows)
            about = [row.get("first_position") or row["position"] for row in rows]
            self._tables[name] = (about, *self._opened(text))

    def copy(
        self, *, number: int, chance: random.Random, firsts: Sequence[int], seconds: Sequence[int]
    ) -> Copy:
        """Return the story once more: `firsts` are the positions of its commands in the log,
        `seconds` their times.
        """
        filling = _Filling(
            places=self._places,
            event_ids=self._event_ids,
            number=number,
            chance=chance,
            firsts=firsts,
            seconds=seconds,
        )
        filled = [filling.value(kind, blank) for kind, blank in self._blanks]
        positions = [firsts[command] + index for command, index in self._places]
        lines = {}
        for name, (about, pieces, blanks) in self._tables.items():
            if about:
                pieces[1::2] = [filled[blank] for blank in blanks]
                places = (positions[place - 1] for place in about)
                lines[name] = list(zip(places, "".join(pieces).split("\n"), strict=True))
        return Copy(lines=lines, ids=filling.ids)

    def _opened(self, text: str) -> tuple[list[str], list[int]]:
        """Return the pieces of the text with a gap between each two, and the gaps' blanks."""
        pieces: list[str] = []
        blanks: list[int] = []
        end = 0
        for found in _TOKEN.finditer(text):
            kind = str(found.lastgroup)
            kind = "told" if kind == "command" else kind
            key = (kind, found[0] + (found["command"] or ""))
            pieces += [text[end : found.start()], ""]
            blanks.append(self._blanks.setdefault(key, len(self._blanks)))
            end = found.end()
        pieces.append(text[end:])
        return pieces, blanks


class _Filling:
    """What goes into the blanks of one copy."""

    def __init__(
        self,
        *,
        places: Sequence[tuple[int, int]],
        event_ids: Mapping[str, tuple[str, int]],
        number: int,
        chance: random.Random,
        firsts: Sequence[int],
        seconds: Sequence[int],
    ) -> None:
        self.ids: dict[str, str] = {}
        self._places = places
        self._event_ids = event_ids
        self._number = number
        self._chance = chance
        self._firsts = firsts
        self._seconds = seconds

    def value(self, kind: str, blank: str) -> str:
        """Return what goes into the blank."""
        match kind:
            case "id":
                return self._id(blank)
            case "position":
                command, index = self._places[int(blank[1:-1]) - 1]
                return str(self._firsts[command] + index)
            case "clock":
                place, minutes = map(int, blank[1:-1].split())
                second = self._seconds[self._places[place - 1][0]]
                return _clock(second + minutes * 60, seen_from=second)
            case "recorded":
                command, index = self._places[_micros(blank, since=stories.RECORDED) - 1]
                return f"{_moment(self._seconds[command])}.{_AFTER + index:06}"
            case "told":
                moment, command_number = blank[:-6], int(blank[-6:])
                later = _micros(moment, since=stories.TOLD) // 1_000_000
                return _moment(self._seconds[command_number - 1] + later)
            case _:
                word, _, friend = blank.partition("-")
                apart = _FRIENDS if word == "person" else 1
                return f"{word}-{(self._number + apart * int(friend)):07}"

    def _id(self, old: str) -> str:
        if old not in self.ids:
            if old in self._event_ids:
                command, index = self._event_ids[old]
                new = uuid.uuid5(UUID(self._id(command)), str(index))
            else:
                new = UUID(int=self._chance.getrandbits(128), version=4)
            self.ids[old] = str(new)
        return self.ids[old]


def _fold(story: stories.Story) -> draft.Draft:
    """Return what the log and the read models hold once the story has been told to them."""
    nothing: projecting.Rows = collections.defaultdict(lambda: None)
    drafted = draft.Draft(
        seen=draft.Seen(
            position=0,
            recorded_at=stories.RECORDED,
            now=stories.RECORDED,
            commands={},
            versions={},
            rows=collections.defaultdict(lambda: nothing),
            mark="1/0",
        ),
        models=projecting.ReadModels(
            projections=projections.PROJECTIONS, journals=projections.JOURNALS
        ),
        policies=lambda _: (),
        event_mapper=mapper.EventMapper(),
    )
    for asked, recorded in story.commands:
        drafted.accept(command=asked, new_events=recorded)
    return drafted


def _log_rows(drafted: draft.Draft) -> dict[str, list[Row]]:
    return {
        "events": [
            {**event._asdict(), "state": bytes(event.state).decode()} for event in drafted.events
        ],
        "commands": [
            {
                "command_id": key,
                "fingerprint": known.fingerprint,
                **msgspec.structs.asdict(known.receipt),
            }
            for key, known in drafted.commands.items()
        ],
    }


def _read_rows(drafted: draft.Draft) -> dict[str, list[Row]]:
    changes = drafted.folding.changes()
    return {
        name: [
            *(row for row in changes.rows.get(name, {}).values() if row is not None),
            *changes.entries.get(name, ()),
        ]
        for name in READ_TABLES
    }


def _line(columns: Mapping[str, str], row: Row) -> str:
    if "sentence" in row:
        row = {**row, "sentence": _CLOCK.sub(lambda found: _marked(row, found), row["sentence"])}
    return "\t".join(_written(name, kind, row[name]) for name, kind in columns.items())


def _marked(row: Row, found: re.Match[str]) -> str:
    return f"\x02{row['position']} {int(found[1]) * 60 + int(found[2])}\x02"


def _written(name: str, kind: str, value: Any) -> str:  # noqa: ANN401  as it is in the row
    if value is None:
        return r"\N"
    if name in _POSITIONS:
        return f"\x01{value}\x01"
    if kind == "jsonb":
        text = msgspec.json.encode(value).decode()
    elif isinstance(value, list):
        text = "{" + msgspec.json.encode(value).decode()[1:-1] + "}"
    elif isinstance(value, datetime):
        text = value.isoformat(timespec="microseconds")
    else:
        text = str(value)
    return text.translate(_ESCAPES)


def _micros(moment: str, *, since: datetime) -> int:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return (at - since) // _MICROSECOND


def _clock(second: int, *, seen_from: int) -> str:
    """Return a time as a sentence has it."""
    moment, day = _moment(second), _moment(seen_from)[:10]
    return f"{moment[11:16]} UTC" if moment[:10] == day else f"{moment[:10]} {moment[11:16]} UTC"


def _moment(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()
