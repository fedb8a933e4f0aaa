"""Every refusal over HTTP: the right code, the right type, a way out, and nothing changed."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest

import app
from domain import errors
from tests.journeys import product as products
from tests.journeys.client import Api, Json, Project
from tests.journeys.conftest import Launch

NOBODY = "0" * 32


@dataclasses.dataclass(frozen=True)
class Scene:
    """A project where something stands in the way of everything."""

    project: Project
    database: str
    storage: str
    removed: str
    protected: str
    ended: str
    running: str
    environment: str


@pytest.fixture(scope="module")
def scene(shared_api: Api) -> Scene:
    api = shared_api
    project = api.deployable_project()
    removed = api.add(project.test, prefix="OLD")
    api.do("removeService", id=removed)
    database = api.default(project.test, "DATABASE")
    ended = api.deploy(project.test)["id"]
    protected = api.default(project.live, "DATABASE")
    api.provision(protected)
    staging = api.do("createEnvironment", project=project.id, name="staging")["environment"]["id"]
    for service in (api.default(staging, "STORAGE"), api.default(staging, "DATABASE")):
        api.do("detachService", id=service)
    api.do("configureDeployer", environment=staging, kind="EXTERNAL", settings={})
    running = api.do("deploy", environment=staging)["deployment"]["id"]
    release = "the release is waited for"
    products.until(lambda: api.deployment(running)["step"] == "RELEASE", release)
    return Scene(
        project=project,
        database=database,
        storage=api.default(project.test, "STORAGE"),
        removed=removed,
        protected=protected,
        ended=ended,
        running=running,
        environment=staging,
    )


Given = Callable[[Scene], dict[str, Json]]

CASES: list[tuple[str, str, str, Given]] = [
    ("NOT_SUBSCRIBED", "Quota", "addService", lambda s: new(s, offering="rabbitmq")),
    ("QUOTA_EXCEEDED", "Quota", "addService", lambda s: new(s, offering="s3", prefix="X")),
    ("OFFERING_UNKNOWN", "Input", "addService", lambda s: new(s, offering="oracle")),
    ("PLAN_UNKNOWN", "Input", "addService", lambda s: new(s, plan="gigantic")),
    ("PLAN_UNKNOWN", "Input", "addService", lambda s: new(s, prefix="X", plan="")),
    ("PLAN_UNKNOWN", "Input", "configureService", lambda s: {"id": s.database, "plan": "huge"}),
    ("PLAN_UNKNOWN", "Input", "configureService", lambda s: {"id": s.database, "plan": ""}),
    ("PARAMETERS_INVALID", "Input", "addService", lambda s: new(s, parameters={"colour": "red"})),
    (
        "PARAMETERS_INVALID",
        "Input",
        "configureService",
        lambda s: {"id": s.database, "parameters": [1]},
    ),
    ("PREFIX_INVALID", "Input", "addService", lambda s: new(s, prefix="4-ever")),
    ("PREFIX_INVALID", "Input", "renamePrefix", lambda s: {"id": s.database, "prefix": ""}),
    ("PREFIX_TAKEN", "Taken", "addService", lambda s: new(s, prefix="default")),
    (
        "NAME_TAKEN",
        "Taken",
        "createEnvironment",
        lambda s: {"project": s.project.id, "name": "test"},
    ),
    ("MUST_DETACH_FIRST", "State", "removeService", lambda s: {"id": s.database}),
    (
        "MUST_DETACH_FIRST",
        "State",
        "abandonRemoval",
        lambda s: {"id": s.database, "reason": "tired of it"},
    ),
    ("SERVICE_REMOVED", "State", "provisionService", lambda s: {"id": s.removed}),
    ("SERVICE_REMOVED", "State", "rotateCredentials", lambda s: {"id": s.removed}),
    (
        "NOTHING_TO_ABANDON",
        "State",
        "abandonRemoval",
        lambda s: {"id": s.storage, "reason": "tired of it"},
    ),
    ("NOTHING_TO_CANCEL", "State", "cancelRemoval", lambda s: {"id": s.database}),
    ("NOT_READY", "State", "rotateCredentials", lambda s: {"id": s.storage}),
    ("NOT_READY", "State", "revealCredentials", lambda s: {"id": s.storage, "reason": "curious"}),
    ("NOT_READY", "State", "provisionService", lambda s: {"id": s.storage}),
    (
        "DELETION_PROTECTED",
        "State",
        "removeService",
        lambda s: {"id": s.protected, "confirm": "live/DEFAULT_DATABASE"},
    ),
    ("ENVIRONMENT_NOT_EMPTY", "State", "deleteEnvironment", lambda s: {"id": s.project.test}),
    (
        "VERSION_CONFLICT",
        "Conflict",
        "detachService",
        lambda s: {"id": s.database, "expectedVersion": 1},
    ),
    (
        "VERSION_CONFLICT",
        "Conflict",
        "setSubscription",
        lambda s: {"project": s.project.id, "units": [], "expectedVersion": 99},
    ),
    ("PROJECT_NOT_FOUND", "NotFound", "createEnvironment", lambda _: nowhere("project", "prj")),
    (
        "PROJECT_NOT_FOUND",
        "NotFound",
        "removeMember",
        lambda _: {"project": "prj_x", "subject": "ada"},
    ),
    ("ENVIRONMENT_NOT_FOUND", "NotFound", "deploy", lambda _: {"environment": f"env_{NOBODY}"}),
    (
        "ENVIRONMENT_NOT_FOUND",
        "NotFound",
        "addService",
        lambda s: {"environment": s.project.id, "offering": "postgres"},
    ),
    ("SERVICE_NOT_FOUND", "NotFound", "attachService", lambda _: {"id": f"svc_{NOBODY}"}),
    ("SERVICE_NOT_FOUND", "NotFound", "attachService", lambda _: {"id": "nonsense"}),
    ("TOKEN_NOT_FOUND", "NotFound", "revokeToken", lambda _: {"id": f"tok_{NOBODY}"}),
    ("TOKEN_NOT_FOUND", "NotFound", "revokeToken", lambda _: {"id": "nonsense"}),
    (
        "NO_DEPLOYMENT_IN_PROGRESS",
        "NotFound",
        "cancelDeployment",
        lambda _: {"id": f"dep_{NOBODY}"},
    ),
    (
        "NO_DEPLOYMENT_IN_PROGRESS",
        "Deployment",
        "reportDeployment",
        lambda s: {"id": s.ended, "outcome": "FAILED"},
    ),
    ("TOO_LATE_TO_CANCEL", "Deployment", "cancelDeployment", lambda s: {"id": s.ended}),
    ("DEPLOYMENT_IN_PROGRESS", "Deployment", "deploy", lambda s: {"environment": s.environment}),
    ("DEPLOYMENT_IN_PROGRESS", "Deployment", "deleteEnvironment", lambda s: {"id": s.environment}),
    (
        "PLAN_STALE",
        "Plan",
        "deploy",
        lambda s: {"environment": s.project.test, "expectedPlan": "1:0"},
    ),
    ("INVALID_INPUT", "Input", "createProject", lambda _: {"name": "No Spaces"}),
    ("INVALID_INPUT", "Input", "createProject", lambda _: {"name": "x", "idempotencyKey": ""}),
    ("INVALID_INPUT", "Input", "createProject", lambda _: {"name": "a\0b"}),
    (
        "INVALID_INPUT",
        "Input",
        "abandonRemoval",
        lambda s: {"id": s.database, "reason": " "},
    ),
    (
        "INVALID_INPUT",
        "Input",
        "configureDeployer",
        lambda s: {
            "environment": s.project.test,
            "kind": "ENV_FILE",
            "settings": {"path": "here", "command": "make"},
        },
    ),
    (
        "INVALID_INPUT",
        "Input",
        "setSubscription",
        lambda s: units(s, "postgres", -1),
    ),
    (
        "INVALID_INPUT",
        "Input",
        "addMember",
        lambda s: {"project": s.project.id, "subject": " ", "role": "VIEWER"},
    ),
    (
        "INVALID_INPUT",
        "Input",
        "addMember",
        lambda s: {"project": s.project.id, "subject": "servicebook", "role": "VIEWER"},
    ),
    (
        "INVALID_INPUT",
        "Input",
        "addMember",
        lambda s: {"project": s.project.id, "subject": "ada\nlovelace", "role": "VIEWER"},
    ),
]

TOLD_ELSEWHERE = {
    "CONFIRMATION_REQUIRED": "test_removals",
    "REMOVAL_IN_PROGRESS": "test_removals",
    "IDEMPOTENCY_KEY_REUSED": "test_repeated_commands",
    "PLAN_BLOCKED": "test_deployments",
    "OFFERING_RETIRED": "below",
    "UNAUTHENTICATED": "below; an error, not a refusal",
    "FEATURE_NOT_ENABLED": "test_access",
    "FORBIDDEN": "test_access",
    "VARIABLE_NAME_TAKEN": "the kinds that are shipped never share a name",
}


def new(scene: Scene, **given: Json) -> dict[str, Json]:
    return {"environment": scene.project.test, "offering": "postgres", **given}


def nowhere(name: str, kind: str) -> dict[str, Json]:
    return {name: f"{kind}_{NOBODY}", "name": "somewhere"}


def units(scene: Scene, offering: str, count: int) -> dict[str, Json]:
    return {"project": scene.project.id, "units": [{"offering": offering, "units": count}]}


@pytest.mark.parametrize(
    ("code", "kind", "mutation", "given"),
    CASES,
    ids=[f"{case[0]}-{case[2]}-{place}" for place, case in enumerate(CASES)],
)
def test_a_refusal_tells_why_and_changes_nothing(
    api: Api, scene: Scene, code: str, kind: str, mutation: str, given: Given
) -> None:
    before = head(api)

    refusal = api.refused(mutation, **given(scene))

    assert (refusal["code"], refusal["__typename"]) == (code, f"{kind}Refusal"), refusal
    assert re.fullmatch(r"[^\n]{15,}[.]", refusal["message"]), refusal
    assert head(api) == before


def head(api: Api) -> Json:
    with psycopg.connect(api.product.dsn) as connection:
        return connection.execute("SELECT count(*), max(position) FROM ledger.events").fetchone()


def test_every_code_is_told_by_some_story() -> None:
    told = {case[0] for case in CASES}

    assert told.isdisjoint(TOLD_ELSEWHERE)
    assert told | set(TOLD_ELSEWHERE) == {code.value for code in errors.RefusalCode}


def test_a_retired_offering_is_refused(launch: Launch, directory: Path) -> None:
    shipped = (Path(app.__file__).parent / "catalogue.toml").read_text()
    catalogue = directory / "catalogue.toml"
    catalogue.write_text(shipped.replace('name = "mysql"', 'name = "mysql"\nretired = true'))
    api = launch(catalogue=str(catalogue))
    project = api.project()

    refusal = api.refused("addService", environment=project.test, offering="mysql", prefix="X")

    assert (refusal["code"], refusal["__typename"]) == ("OFFERING_RETIRED", "InputRefusal")


@pytest.mark.parametrize("token", [None, "sbk_wrong"])
def test_nothing_is_told_without_a_token(api: Api, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = {"query": '{ project(id: "prj_1") { name } }'}

    answer = httpx.post(f"{api.product.url}/graphql", json=asked, headers=headers)

    body = answer.json()
    assert [error["extensions"]["code"] for error in body["errors"]] == ["UNAUTHENTICATED"]
    assert body.get("data") is None
