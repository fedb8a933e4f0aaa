import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import MappingProxyType

import psycopg
import psycopg_pool
import pytest
from psycopg import sql

from app import embedded, key_ring, personal_texts, secrets
from app.eventlog import command, log
from domain import person
from tests import dumps

pytestmark = pytest.mark.anyio

ALL = personal_texts.Seen(sql.SQL("true"), MappingProxyType({}))
NONE = personal_texts.Seen(sql.SQL("false"), MappingProxyType({}))
PLACE = uuid.UUID(int=7)
TEXT = 'Dr. "Hara" rang:\n\\o/ grâce à lui.'


@pytest.fixture
async def pool(database: str) -> AsyncIterator[secrets.Pool]:
    async with psycopg_pool.AsyncConnectionPool(database, min_size=1, max_size=4) as pool:
        yield pool


@pytest.fixture
def ring(tmp_path: Path) -> key_ring.KeyRing:
    return key_ring.KeyRing.open(tmp_path / "keyring.json")


@pytest.fixture
def texts(pool: secrets.Pool, ring: key_ring.KeyRing) -> personal_texts.PersonalTexts:
    return personal_texts.PersonalTexts(pool=pool, keys=ring)


@pytest.fixture
async def event_log(pool: secrets.Pool) -> AsyncIterator[log.EventLog]:
    async with log.EventLog(
        pool=pool, projections=[], journals=[], policies=lambda _: []
    ) as event_log:
        yield event_log


async def erase(event_log: log.EventLog, subject: str) -> None:
    found = person.Person.appear(
        person_id=person.identify(subject), subject=subject, at=(await event_log.load()).now
    )
    found.erase(at=found.created_on)
    await event_log.append(
        command=command.Command(
            id=uuid.uuid4(), fingerprint="", actor="ada", correlation_id=uuid.uuid4()
        ),
        events=list(found.collect_events()),
    )


async def shown(texts: personal_texts.PersonalTexts, text: str) -> str:
    document = await texts.opened(json.dumps({"text": text}), seen=ALL)
    return str(json.loads(document)["text"])


async def test_a_text_comes_back_as_it_was(texts: personal_texts.PersonalTexts) -> None:
    sealed = await texts.seal(TEXT, subject="jane", place=PLACE)
    again = await texts.seal(TEXT, subject="jane", place=PLACE)

    assert sealed != again
    assert await shown(texts, sealed) == TEXT
    assert await shown(texts, f"RELEASE: {again}") == f"RELEASE: {TEXT}"
    assert await shown(texts, "plain, as before there was sealing") == (
        "plain, as before there was sealing"
    )


async def test_a_sentence_goes_on_from_a_text(texts: personal_texts.PersonalTexts) -> None:
    first = await texts.seal("It rained.", subject="jane", place=PLACE)
    second = await texts.seal("It poured", subject="joan", place=PLACE)

    for end in (".", "; and so on."):
        told = await shown(texts, f"Revealed: {first}{end} Revealed: {second}{end}")
        assert told == f"Revealed: It rained{end} Revealed: It poured{end}"


async def test_what_only_looks_sealed_stays(texts: personal_texts.PersonalTexts) -> None:
    for text in (
        personal_texts.MARK,
        f"{personal_texts.MARK}{'0' * 32}.{'0' * 32}.short",
        f"{personal_texts.MARK}{'0' * 32}.{'x' * 32}.{'A' * 40}",
    ):
        assert await shown(texts, text) == text


async def test_the_database_holds_neither_text_nor_key(
    texts: personal_texts.PersonalTexts, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bytes(range(32))
    monkeypatch.setattr(key_ring, "new_key", lambda: key)
    sealed = await texts.seal("planted", subject="jane", place=PLACE)

    dump = dumps.dumped(database)

    assert sealed.split(".")[2][:8].encode() in dump
    assert "planted" not in sealed
    assert not dumps.holds(dump, "planted")
    assert key.hex().encode() not in dump


async def test_racing_callers_seal_with_the_same_key(
    pool: secrets.Pool, ring: key_ring.KeyRing, texts: personal_texts.PersonalTexts, database: str
) -> None:
    other = personal_texts.PersonalTexts(pool=pool, keys=ring)

    sealed = await asyncio.gather(
        *(each.seal(TEXT, subject="jane", place=PLACE) for each in [texts, other] * 5)
    )

    assert len({text.split(".")[2] for text in sealed}) == 1
    assert {await shown(texts, text) for text in sealed} == {TEXT}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM vault.person_keys").fetchone() == (1,)


async def test_what_an_erased_person_wrote_is_gone_and_it_may_write_again(
    texts: personal_texts.PersonalTexts, event_log: log.EventLog
) -> None:
    old = await texts.seal(TEXT, subject="jane", place=PLACE)
    others = await texts.seal(TEXT, subject="joan", place=PLACE)

    await erase(event_log, "jane")

    new = await texts.seal(TEXT, subject="jane", place=PLACE)
    assert await shown(texts, old) == "erased"
    assert await shown(texts, f"Because: {old}.") == "Because: erased."
    assert await shown(texts, others) == await shown(texts, new) == TEXT


async def test_no_key_goes_when_the_erasure_is_not_recorded(
    texts: personal_texts.PersonalTexts, event_log: log.EventLog
) -> None:
    await erase(event_log, "jane")
    sealed = await texts.seal(TEXT, subject="jane", place=PLACE)

    with pytest.raises(command.VersionConflictError):
        await erase(event_log, "jane")

    assert await shown(texts, sealed) == TEXT


async def test_it_opens_for_those_who_see_its_place_and_there_only(
    texts: personal_texts.PersonalTexts,
) -> None:
    sealed = await texts.seal(TEXT, subject="jane", place=PLACE)
    elsewhere = sealed.replace(PLACE.hex, uuid.UUID(int=8).hex)
    document = json.dumps([sealed])

    assert json.loads(await texts.opened(document, seen=NONE)) == ["erased"]
    assert await shown(texts, elsewhere) == "unreadable"


async def test_without_its_keys_a_text_is_unreadable_and_the_log_says_so(
    texts: personal_texts.PersonalTexts,
    pool: secrets.Pool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sealed = await texts.seal(TEXT, subject="jane", place=PLACE)
    other = key_ring.KeyRing.open(tmp_path / "another.json")

    assert await shown(personal_texts.PersonalTexts(pool=pool, keys=other), sealed) == "unreadable"
    assert "put back the key ring" in caplog.text


async def test_a_key_of_somebody_else_is_no_use(
    texts: personal_texts.PersonalTexts, database: str
) -> None:
    sealed = await texts.seal(TEXT, subject="jane", place=PLACE)

    with psycopg.connect(database) as connection:
        joan = person.identify("joan")
        connection.execute("UPDATE vault.person_keys SET person_id = %s", [joan])

    assert await shown(texts, sealed) == "unreadable"


async def test_all_keys_are_sealed_anew_with_a_new_primary(
    texts: personal_texts.PersonalTexts, ring: key_ring.KeyRing, tmp_path: Path, pool: secrets.Pool
) -> None:
    sealed = [await texts.seal(TEXT, subject=str(one), place=PLACE) for one in range(3)]
    primary = ring.rotate()

    assert (await texts.rewrap(), await texts.rewrap()) == (3, 0)

    file = tmp_path / "keyring.json"
    document = json.loads(file.read_text())
    document["keys"] = {primary: document["keys"][primary]}
    file.write_text(json.dumps(document))
    alone = personal_texts.PersonalTexts(pool=pool, keys=key_ring.KeyRing.open(file))
    assert {await shown(alone, each) for each in sealed} == {TEXT}


@pytest.fixture
def second_database(server: embedded.Address) -> Iterator[str]:
    name = f"second_{uuid.uuid4().hex}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield server.dsn(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_an_old_dump_forgets_whom_the_newest_copy_of_the_keys_lacks(
    texts: personal_texts.PersonalTexts,
    event_log: log.EventLog,
    ring: key_ring.KeyRing,
    database: str,
    second_database: str,
) -> None:
    jane, joan = [
        await texts.seal(TEXT, subject=subject, place=PLACE) for subject in ("jane", "joan")
    ]
    dump = dumps.dumped(database, "--exclude-table-data=vault.person_keys")
    await erase(event_log, "jane")
    keys = dumps.dumped(database, "--data-only", "--table=vault.person_keys")

    dumps.restored(second_database, dump)
    dumps.restored(second_database, keys)

    async with psycopg_pool.AsyncConnectionPool(second_database, min_size=1) as pool:
        then = personal_texts.PersonalTexts(pool=pool, keys=ring)
        assert await shown(then, jane) == "erased"
        assert await shown(then, joan) == TEXT
