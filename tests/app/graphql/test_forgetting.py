"""What people wrote is shown to whoever may see it, until they are erased."""

import asyncio
import contextlib
import dataclasses
import uuid
from datetime import timedelta
from typing import Any

import pytest

from app.access import caller
from app.application import request
from app.application.unit_of_work import UnitOfWork, commit
from app.graphql import identifiers
from domain import values
from tests import dumps
from tests.app.graphql.asking import OPERATOR, Api, Shop

pytestmark = pytest.mark.anyio

JANE = dataclasses.replace(OPERATOR, subject="jane", token_id="tok_jane")
GRACE = caller.Caller(subject="grace", name=None, token_id="tok_grace", is_in_beta=True)
REVEAL = """mutation ($input: RevealCredentialsInput!) { revealCredentials(input: $input) {
  ... on RevealCredentialsSuccess { position } ... on Refusal { code message } } }"""
ABANDON = """mutation ($input: AbandonRemovalInput!) { abandonRemoval(input: $input) {
  ... on AbandonRemovalSuccess { serviceInstance {
    history(last: 1) { nodes { sentence } } } } } }"""
REPORT = """mutation ($input: ReportDeploymentInput!) { reportDeployment(input: $input) {
  ... on ReportDeploymentSuccess { deployment { status output error { message } } } } }"""
ERASE = """mutation { erasePerson(input: {subject: "jane", confirm: "jane"}) {
  ... on ErasePersonSuccess { subject } } }"""
REFUSED = """mutation ($input: ErasePersonInput!) { erasePerson(input: $input) {
  ... on ErasePersonSuccess { position } ... on Refusal { code }
  ... on ConfirmationRefusal { expected } ... on InputRefusal { problems { path } } } }"""
HISTORY = """query ($id: ID!) { serviceInstance(id: $id) {
  history(first: 100) { nodes { event reason sentence details record { reason details } } } } }"""
LOG = 'subscription { auditEvents(after: "0") { event reason } }'


def by(actor: str, name: str) -> request.Request:
    return request.Request(actor=actor, name=name)


@pytest.fixture
async def ready(api: Api, shop: Shop) -> Shop:
    """A shop whose database is there, as if somebody provided it."""

    async def provision(work: UnitOfWork) -> None:
        found = await work.service(shop.database)
        deadline, operation_id = work.now + timedelta(hours=1), uuid.uuid4()
        found.request_provisioning(operation_id=operation_id, deadline=deadline, at=work.now)
        found.record_provisioned(
            operation_id=operation_id,
            next_operation_id=uuid.uuid4(),
            deadline=deadline,
            at=work.now,
        )

    await commit(
        event_log=api.parts.event_log, request=by("servicebook", "provision"), decide=provision
    )
    name = api.parts.catalogue.kinds[values.ServiceKind.DATABASE].credential
    await api.parts.vault.replace(
        service_instance_id=shop.database, version=1, credentials={name: "postgresql://there"}
    )
    return shop


async def reveal(api: Api, shop: Shop, reason: str, **more: object) -> Any:  # noqa: ANN401  JSON
    given = {"id": shop.id("database"), "reason": reason, **more}
    answer = await api.answer(REVEAL, who=JANE, input=given)
    assert answer.errors is None, answer.errors
    return answer.data["revealCredentials"]


async def revealed(api: Api, shop: Shop, who: caller.Caller = OPERATOR) -> list[dict[str, Any]]:
    """Return what somebody sees of reasons."""
    answer = await api.answer(HISTORY, who=who, id=shop.id("database"))
    assert answer.errors is None, answer.errors
    entries = answer.data["serviceInstance"]["history"]["nodes"]
    return [each for each in entries if each["event"] == "ServiceCredentialsRevealed"]


async def test_a_reason_is_shown_until_its_author_is_erased(api: Api, ready: Shop) -> None:
    await reveal(api, ready, "It rained.")
    before = await revealed(api, ready)
    await api.ask(ERASE)
    after = await revealed(api, ready)

    for found, reason, told in ((before, "It rained.", "It rained"), (after, "erased", "erased")):
        details = {"secret_version": 1, "reason": reason}
        assert found == [
            {
                "event": "ServiceCredentialsRevealed",
                "reason": reason,
                "sentence": f"Credentials revealed: {told}.",
                "details": details,
                "record": {"reason": reason, "details": details},
            }
        ]


async def test_the_reason_for_giving_up_a_removal_is_sealed_too(
    api: Api, ready: Shop, database: str
) -> None:
    async def fail(work: UnitOfWork) -> None:
        found = await work.service(ready.database)
        deadline, operation_id = work.now + timedelta(hours=1), uuid.uuid4()
        found.request_detachment(at=work.now)
        found.remove(
            confirmation=found.facts.label,
            operation_id=operation_id,
            deadline=deadline,
            grace=timedelta(0),
            at=work.now,
        )
        found.record_failure(
            operation_id=operation_id,
            attempt=1,
            code="UNAVAILABLE",
            message="It is not there.",
            next_operation_id=uuid.uuid4(),
            deadline=deadline,
            at=work.now,
        )

    await commit(event_log=api.parts.event_log, request=by("servicebook", "fail"), decide=fail)
    given = {"id": ready.id("database"), "reason": "planted"}
    [entry] = (await api.ask(ABANDON, input=given))["abandonRemoval"]["serviceInstance"]["history"][
        "nodes"
    ]

    assert entry["sentence"].startswith("Removal abandoned: planted; the resource")
    assert not dumps.holds(dumps.dumped(database), "planted")


async def test_what_is_told_with_a_success_is_kept_and_sealed(
    api: Api, shop: Shop, database: str
) -> None:
    use_cases = api.parts.application
    for service in (shop.database, shop.storage):
        await use_cases.services.detach(
            request=by("ada", "detachService"), service_instance_id=service
        )
    await use_cases.projects.configure_deployer(
        request=by("ada", "configureDeployer"),
        environment_id=shop.test,
        deployer="external",
        settings={},
        new_secrets={},
    )
    deployment, _ = await use_cases.deployments.deploy(
        request=by("ada", "deploy"), environment_id=shop.test, expected_plan=None
    )
    await use_cases.rollout.advance(request=by("servicebook", "advance"), deployment_id=deployment)
    id_ = identifiers.text(type_name="Deployment", uuid=deployment)

    given = {"id": id_, "outcome": "SUCCEEDED", "message": "planted"}
    answer = await api.answer(REPORT, who=JANE, input=given)
    assert answer.errors is None, answer.errors
    told = answer.data["reportDeployment"]["deployment"]
    is_sealed = not dumps.holds(dumps.dumped(database), "planted")
    await api.ask(ERASE)
    later = await api.ask("query ($id: ID!) { deployment(id: $id) { output } }", id=id_)

    assert told == {"status": "SUCCEEDED", "output": "planted", "error": None}
    assert is_sealed
    assert later == {"deployment": {"output": "erased"}}


async def test_erasures_among_commands_leave_nothing_that_can_be_read(
    api: Api, ready: Shop, database: str
) -> None:
    reasons = [f"planted {number}" for number in range(24)]

    async def erase(after: float) -> None:
        await asyncio.sleep(after)
        await api.ask(ERASE)

    answers = await asyncio.gather(
        *(reveal(api, ready, reason) for reason in reasons),
        *(erase(number / 50) for number in range(4)),
    )

    assert all("position" in each for each in answers[: len(reasons)])
    found = [each["reason"] for each in await revealed(api, ready)]
    assert len(found) == len(reasons)
    assert set(found) <= {*reasons, "erased"}
    assert not dumps.holds(dumps.dumped(database), "planted")
    await api.ask(ERASE)
    assert {each["reason"] for each in await revealed(api, ready)} == {"erased"}
    await reveal(api, ready, "again")
    assert (await revealed(api, ready))[-1]["reason"] == "again"


async def test_members_read_it_and_a_text_that_got_elsewhere_stays_closed(
    api: Api, ready: Shop
) -> None:
    use_cases = api.parts.application
    elsewhere, _ = await use_cases.projects.create_project(
        request=by("grace", "createProject"), name="elsewhere"
    )
    await reveal(api, ready, "planted")
    # As somebody would who has a line of an export, and a project of its own to show it in.
    await api.execute(
        "UPDATE read.projects SET name = (SELECT state ->> 'reason' FROM ledger.events"
        " WHERE topic = 'ServiceCredentialsRevealed') WHERE id = %s",
        [elsewhere],
    )

    stranger = await api.answer("{ projects { nodes { name } } }", who=GRACE)
    await use_cases.projects.add_member(
        request=by("ada", "addMember"),
        project_id=ready.project,
        subject="grace",
        role=values.MemberRole.VIEWER,
    )
    [entry] = await revealed(api, ready, who=GRACE)

    assert stranger.data == {"projects": {"nodes": [{"name": "erased"}]}}
    assert entry["reason"] == "planted"


async def test_a_text_that_quotes_a_sealed_one_is_opened_once(api: Api, ready: Shop) -> None:
    await reveal(api, ready, "planted")
    async with api.parts.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT state ->> 'reason' FROM ledger.events"
            " WHERE topic = 'ServiceCredentialsRevealed'"
        )
        [(sealed,)] = await rows.fetchall()

    await reveal(api, ready, sealed)

    assert [each["reason"] for each in await revealed(api, ready)] == ["planted", sealed]


async def test_no_digest_of_a_text_is_kept(api: Api, ready: Shop) -> None:
    first = await reveal(api, ready, "one", idempotencyKey="same")
    other = await reveal(api, ready, "another", idempotencyKey="same")

    assert first == other
    assert [each["reason"] for each in await revealed(api, ready)] == ["one"]


async def test_nothing_opened_is_remembered_for_streams(api: Api, ready: Shop) -> None:
    await reveal(api, ready, "planted")
    head = await api.parts.event_log.head()

    async def told() -> list[Any]:
        stream = await api.stream(LOG)
        async with asyncio.timeout(10), contextlib.aclosing(stream):
            answers = [await anext(stream) for _ in range(head)]
        return [each.data["auditEvents"]["reason"] for each in answers]

    before = await told()
    remembered = len(api.reader.shared._found)
    await api.ask(ERASE)

    assert (before[-1], (await told())[-1]) == ("planted", "erased")
    assert remembered == head - 1


async def test_only_who_means_it_erases(api: Api) -> None:
    async def erase(subject: str, confirm: str, **more: str) -> Any:  # noqa: ANN401  JSON
        given = {"subject": subject, "confirm": confirm, **more}
        return (await api.ask(REFUSED, input=given))["erasePerson"]

    head = await api.parts.event_log.head()
    assert await erase("jane", "joan") == {"code": "CONFIRMATION_REQUIRED", "expected": "jane"}
    for nobody in ("servicebook", " jane", "", "j" * 256):
        refused = {"code": "INVALID_INPUT", "problems": [{"path": "subject"}]}
        assert await erase(nobody, nobody) == refused
    assert await api.parts.event_log.head() == head
    first = await erase("jane", "jane", idempotencyKey="forget")
    assert await erase("jane", "jane", idempotencyKey="forget") == first
    assert await api.parts.event_log.head() == head + 2
