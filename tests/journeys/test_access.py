"""People with roles of their own: what each may do, and sees."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.app.access import issuer as issuers
from tests.journeys import product as products
from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch


@pytest.fixture
def people() -> Iterator[contextlib.ExitStack]:
    """Holds the connections of people until the story ends."""
    with contextlib.ExitStack() as stack:
        yield stack


def person(api: Api, people: contextlib.ExitStack, subject: str, **reach: Json) -> Api:
    """Make somebody a token, and return the API as that person has it."""
    made = api.do("createToken", name=f"{subject}'s", subject=subject, **reach)
    found = api.as_caller(made["secret"])
    people.callback(found.close)
    return found


def beta(api: Api) -> bool:
    return bool(api.ask("{ viewer { beta } }")["viewer"]["beta"])


def test_a_person_joins_the_beta_and_leaves_it(api: Api, people: contextlib.ExitStack) -> None:
    jane = person(api, people, "jane")
    assert not beta(jane)
    refusal = jane.refused("createProject", name="janes")
    assert (refusal["code"], refusal["__typename"]) == ("FEATURE_NOT_ENABLED", "PermissionRefusal")
    shown = jane.post("{ serviceInstances { totalCount } }").json()
    assert [error["extensions"]["code"] for error in shown["errors"]] == ["FORBIDDEN"]

    joined = jane.do("joinBeta")
    assert joined["viewer"] == {"subject": "jane", "beta": True, "roles": []}
    assert jane.do("joinBeta")["viewer"]["beta"]
    project = jane.deployable_project()
    running = jane.do("deploy", environment=project.test)["deployment"]["id"]
    assert jane.do("leaveBeta")["viewer"] == {"beta": False}

    assert not beta(jane)
    assert api.end(running)["status"] == "SUCCEEDED"
    database = api.default(project.test, "DATABASE")
    assert jane.refused("detachService", id=database)["code"] == "FEATURE_NOT_ENABLED"
    assert api.state(database) == "ATTACHED"


def test_the_beta_may_end_for_all(launch: Launch) -> None:
    api = launch(beta_ended="true")
    made = api.do("createToken", name="jane's", subject="jane")
    with contextlib.closing(api.as_caller(made["secret"])) as jane:
        assert beta(jane)
        assert jane.do("createProject", name="janes")


def test_members_do_what_their_role_allows(api: Api, people: contextlib.ExitStack) -> None:
    boss, dev, guest = (person(api, people, name) for name in ("boss", "dev", "guest"))
    for each in (boss, dev, guest):
        each.do("joinBeta")
    project = boss.deployable_project()
    database = boss.default(project.test, "DATABASE")
    assert dev.service(database) is None
    assert dev.refused("provisionService", id=database)["code"] == "SERVICE_NOT_FOUND"
    boss.do("addMember", project=project.id, subject="dev", role="DEVELOPER")
    boss.do("addMember", project=project.id, subject="guest", role="VIEWER")

    assert guest.refused("provisionService", id=database)["code"] == "FORBIDDEN"
    dev.provision(database)
    assert guest.state(database) == "PENDING_ATTACHMENT"
    assert guest.refused("revealCredentials", id=database, reason="curious")["code"] == "FORBIDDEN"
    assert products.answers(dev.dsn(database))
    assert dev.refused("removeService", id=database, confirm="yes")["code"] == "FORBIDDEN"
    refusal = boss.refused("abandonRemoval", id=database, reason="tired")
    assert refusal["code"] == "FORBIDDEN"
    assert "OPERATOR" in refusal["message"]
    boss.do("removeMember", project=project.id, subject="dev")
    assert dev.refused("detachService", id=database)["code"] == "SERVICE_NOT_FOUND"

    actors = {entry["actor"] for entry in guest.history(database)}
    assert actors == {"boss", "dev", "servicebook"}


def test_a_token_is_told_once_and_void_when_revoked(api: Api, people: contextlib.ExitStack) -> None:
    project = api.project()
    given = {
        "name": "robot",
        "subject": "robot",
        "roles": ["DEVELOPER"],
        "projects": [project.id],
        "expiresAt": "2999-01-01T00:00:00Z",
        "idempotencyKey": "robot",
    }
    made = api.do("createToken", **given)
    assert api.do("createToken", **given)["secret"] is None
    assert made["token"]["projects"] == [{"id": project.id}]
    robot = api.as_caller(made["secret"])
    people.callback(robot.close)
    robot.do("joinBeta")
    names = robot.ask("{ projects { nodes { id } } viewer { subject roles } }")
    assert names == {
        "projects": {"nodes": [{"id": project.id}]},
        "viewer": {"subject": "robot", "roles": ["DEVELOPER"]},
    }

    def last_use() -> Json:
        listed = api.ask("{ tokens(first: 100) { nodes { id lastUsedAt } } }")["tokens"]["nodes"]
        return next(each["lastUsedAt"] for each in listed if each["id"] == made["token"]["id"])

    products.until(last_use, "the last use is told")
    assert made["token"]["id"] in api.product.run("token", "list").stdout
    revoked = api.do("revokeToken", id=made["token"]["id"])

    assert revoked["token"]["revokedAt"]
    answer = robot.post("{ projects { totalCount } }")
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert made["token"]["id"] not in api.product.run("token", "list").stdout
    assert made["secret"] not in api.product.output
    assert "refused an API token" in api.product.output


def test_the_log_tells_who_by_which_token_in_which_trace(
    api: Api, people: contextlib.ExitStack
) -> None:
    made = api.do("createToken", name="jane's", subject="jane")
    jane = api.as_caller(made["secret"])
    people.callback(jane.close)
    jane.do("joinBeta")
    project = jane.project()
    database = jane.default(project.test, "DATABASE")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    jane.headers["traceparent"] = f"00-{trace}-00f067aa0ba902b7-01"

    jane.provision(database)

    with psycopg.connect(api.product.dsn) as connection:
        told = connection.execute(
            "SELECT topic, metadata ->> 'actor', metadata ->> 'token_id',"
            " split_part(metadata ->> 'traceparent', '-', 2) FROM ledger.events"
            " WHERE originator_id = %s ORDER BY position",
            [UUID(database.removeprefix("svc_"))],
        ).fetchall()
        without = connection.execute(
            "SELECT count(*) FROM ledger.events WHERE NOT (metadata ?& ARRAY["
            " 'actor', 'correlation_id', 'traceparent'])"
        ).fetchone()
    assert told[1:] == [
        ("ServiceProvisioningStarted", "jane", made["token"]["id"], trace),
        ("ServiceProvisioned", "servicebook", None, trace),
    ]
    assert without == (0,)


def test_an_auditor_reads_everything_and_changes_nothing(
    api: Api, people: contextlib.ExitStack
) -> None:
    project = api.project()
    database = api.default(project.test, "DATABASE")

    auditor = person(api, people, "auditor", roles=["AUDITOR"])

    assert auditor.state(database) == "NEW"
    assert auditor.history(database)
    log = auditor.ask("{ auditEvents(first: 1) { totalCount } tokens { totalCount } }")
    assert log["auditEvents"]["totalCount"] > 0
    assert log["tokens"]["totalCount"] > 0
    auditor.do("joinBeta")
    for mutation in ("provisionService", "detachService"):
        assert auditor.refused(mutation, id=database)["code"] == "FORBIDDEN"
    revealing = auditor.refused("revealCredentials", id=database, reason="curious")
    assert revealing["code"] == "FORBIDDEN"
    auditor.do("leaveBeta")


@contextlib.contextmanager
def an_issuer() -> Iterator[issuers.Issuer]:
    """Run an OpenID provider beside the story."""
    ready, over = threading.Event(), threading.Event()
    found: list[issuers.Issuer] = []

    async def serve() -> None:
        async with issuers.issuing() as issuer:
            found.append(issuer)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(products.PATIENCE)
        yield found[0]
    finally:
        over.set()
        thread.join()


def test_people_of_an_openid_provider_sign_in(launch: Launch) -> None:
    with an_issuer() as issuer:
        api = launch(oidc_issuer=issuer.url, oidc_audience=issuers.AUDIENCE)
        operator = api.as_caller(issuer.token(sub="root", roles=["operator"], jti="7"))
        jane = api.as_caller(issuer.token())
        late = api.as_caller(issuer.token(exp=1))
        with contextlib.ExitStack() as stack:
            for each in (operator, jane, late):
                stack.callback(each.close)
            seen = [
                each.post("{ viewer { subject name roles } }").json().get("data")
                for each in (operator, jane, late)
            ]
            jane.do("joinBeta")
            project = jane.project()
            projects = "{ projects { nodes { id } } }"
            expected = {"projects": {"nodes": [{"id": project.id}]}}
            assert operator.ask(projects) == jane.ask(projects) == expected

    assert seen == [
        {"viewer": {"subject": "root", "name": "Jane", "roles": ["OPERATOR"]}},
        {"viewer": {"subject": "jane", "name": "Jane", "roles": []}},
        None,
    ]


def test_an_openid_provider_that_is_away_is_said_to_be(launch: Launch) -> None:
    with an_issuer() as issuer:
        token = issuer.token()
    api = launch(oidc_issuer=issuer.url, oidc_audience=issuers.AUDIENCE)
    with contextlib.closing(api.as_caller(token)) as jane:
        answer = jane.post("{ viewer { subject } }")
        outside = httpx.get(
            f"{api.product.url}/audit/checkpoint", headers={"Authorization": f"Bearer {token}"}
        )

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (503, "UNAVAILABLE")
    assert error["message"].startswith("The OpenID provider cannot be reached")
    [error] = outside.json()["errors"]
    assert (outside.status_code, error["extensions"]["code"]) == (503, "UNAVAILABLE")
    assert api.ask("{ viewer { subject } }") == {"viewer": {"subject": "admin"}}
