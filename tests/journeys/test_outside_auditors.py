"""An auditor trusts nobody: it keeps checkpoints, asks for proofs, and verifies an export."""

import base64
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from click import testing

from app import cli
from app.audit.verification import notes, trees
from tests.journeys import client, conftest
from tests.journeys.product import until

PROOF = """
query Proof($position: Position!, $size: Position) {
  inclusionProof(position: $position, size: $size) {
    position leaf hashes checkpoint { size note signedAt } } }
"""
CONSISTENCY = """
query Consistency($earlier: Position!) {
  consistencyProof(earlier: $earlier) {
    earlier { size note } hashes checkpoint { size note } } }
"""


def get(api: client.Api, path: str, **parameters: str) -> httpx.Response:
    return httpx.get(
        f"{api.product.url}{path}",
        params=parameters or None,
        headers={"Authorization": f"Bearer {api.product.token}"},
    )


def covered(api: client.Api, position: str) -> dict[str, Any]:
    """Return the proof that an event is in the log, as soon as it is covered."""
    return until(
        lambda: api.ask(PROOF, position=position)["inclusionProof"], f"{position} is covered"
    )


def decoded(hashes: list[str]) -> list[bytes]:
    return [base64.b64decode(each) for each in hashes]


def test_an_auditor_proves_that_an_event_is_in_the_log_and_stays_there(api: client.Api) -> None:
    key = notes.VerifierKey.parse(get(api, "/audit/key").text)
    position = api.do("createProject", name="kept")["position"]

    proof = covered(api, position)

    checkpoint = notes.opened(proof["checkpoint"]["note"], keys=[key])
    assert str(checkpoint.size) == proof["checkpoint"]["size"]
    assert trees.is_included(
        leaf=base64.b64decode(proof["leaf"]),
        index=int(position) - 1,
        size=checkpoint.size,
        path=decoded(proof["hashes"]),
        root=checkpoint.root,
    )
    size = str(checkpoint.size)
    same = get(api, "/audit/proofs/inclusion", position=position, size=size).json()
    assert (same["leaf"], same["hashes"]) == (proof["leaf"], proof["hashes"])
    assert get(api, "/audit/checkpoint", size=size).text == same["checkpoint"]

    covered(api, api.do("createProject", name="later")["position"])
    grown = api.ask(CONSISTENCY, earlier=size)["consistencyProof"]
    later = notes.opened(grown["checkpoint"]["note"], keys=[key])
    assert later.size > checkpoint.size
    assert trees.is_consistent(
        earlier=checkpoint.size,
        size=later.size,
        path=decoded(grown["hashes"]),
        earlier_root=checkpoint.root,
        root=later.root,
    )
    to = str(later.size)
    same = get(api, "/audit/proofs/consistency", **{"from": size, "to": to}).json()
    assert same["hashes"] == grown["hashes"]


def test_an_auditor_verifies_an_export_and_finds_what_the_owner_of_the_database_changed(
    launch: conftest.Launch,
) -> None:
    api = launch()
    position = api.do("createProject", name="books")["position"]
    covered(api, position)
    kept = api.product.directory
    key = run(api, "audit", "key").stdout.strip()
    (kept / "events").write_bytes(run(api, "events", "export").stdout_bytes)
    (kept / "hashes").write_bytes(run(api, "audit", "hashes").stdout_bytes)
    until(lambda: checked(api, "events", key).exit_code == 0, "the file has all checkpoints")
    assert checked(api, "events", key).stdout == f"{position} events are as they were signed\n"

    with psycopg.connect(api.product.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE ledger.events DISABLE TRIGGER events_stay")
        owner.execute(
            """UPDATE ledger.events SET metadata = metadata || '{"actor": "eve"}'
            WHERE position = 2"""
        )
    (kept / "changed").write_text(api.product.run("events", "export").stdout)

    found = checked(api, "changed", key, "--hashes", str(kept / "hashes"))
    assert found.exit_code == 1
    assert "Position 2: not the event that was recorded" in found.stderr
    assert checked(api, "changed", key).exit_code == 1


def run(api: client.Api, *arguments: str) -> testing.Result:
    """Run a command here: another process would only take longer to start."""
    return testing.CliRunner().invoke(cli.main, arguments, env=api.product.environment)


def checked(api: client.Api, file: str, key: str, *more: str) -> testing.Result:
    """Verify without the database: what is needed lies in files."""
    kept = api.product.directory
    arguments = ["audit", "verify", str(kept / file), "--key", key]
    arguments += ["--checkpoints", str(kept / "checkpoints"), *more]
    return testing.CliRunner().invoke(cli.main, arguments, env={"DATABASE_URL": "gone"})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/audit/proofs/inclusion", 400, "BAD_USER_INPUT"),
        ("/audit/proofs/inclusion?position=two", 400, "BAD_USER_INPUT"),
        ("/audit/proofs/inclusion?position=0", 404, "NOT_COVERED"),
        ("/audit/proofs/inclusion?position=9223372036854775807", 404, "NOT_COVERED"),
        ("/audit/proofs/inclusion?position=9223372036854775808", 400, "BAD_USER_INPUT"),
        ("/audit/proofs/consistency?from=9223372036854775807", 404, "NOT_COVERED"),
        ("/audit/checkpoint?size=-1", 400, "BAD_USER_INPUT"),
    ],
)
def test_what_cannot_be_proven_is_said(api: client.Api, path: str, status: int, code: str) -> None:
    answer = get(api, path)

    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "path", ["/audit/key", "/audit/checkpoint", "/audit/proofs/inclusion?position=1"]
)
def test_nobody_without_a_token_gets_an_answer(api: client.Api, path: str) -> None:
    answer = httpx.get(f"{api.product.url}{path}", headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_checkpoints_are_beside_the_data_and_the_key_is_private(api: client.Api) -> None:
    covered(api, api.do("createProject", name="filed")["position"])
    directory: Path = api.product.directory

    key = notes.VerifierKey.parse(run(api, "audit", "key").stdout)
    written = until((directory / "checkpoints").read_text, "a checkpoint is written")
    for note in notes.split(written):
        assert notes.opened(note, keys=[key]).size > 0
    assert (directory / "audit_key.pem").stat().st_mode & 0o077 == 0
    assert key.name.startswith("servicebook/")
