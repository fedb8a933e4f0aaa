"""Every field and every mutation with every role: what nobody listed fails here."""

import dataclasses
import json
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from strawberry.types import ExecutionResult

from app.access import caller
from app.application import request, tokens
from app.audit import exporting, sealer, selecting
from app.graphql import identifiers
from app.graphql.compiler import access
from domain import values
from tests.app.graphql import everything
from tests.app.graphql.asking import Api, Shop

pytestmark = pytest.mark.anyio

Role = caller.Role

VIEWER, DEVELOPER, MANAGER, OPERATOR, ANYBODY = "VIEWER", "DEVELOPER", "MANAGER", "OPERATOR", "ANY"
MUTATIONS = {
    "createProject": ANYBODY,
    "setSubscription": MANAGER,
    "addMember": MANAGER,
    "removeMember": MANAGER,
    "createEnvironment": MANAGER,
    "deleteEnvironment": MANAGER,
    "configureDeployer": MANAGER,
    "addService": DEVELOPER,
    "configureService": DEVELOPER,
    "provisionService": DEVELOPER,
    "attachService": DEVELOPER,
    "detachService": DEVELOPER,
    "renamePrefix": DEVELOPER,
    "rotateCredentials": DEVELOPER,
    "revealCredentials": DEVELOPER,
    "removeService": MANAGER,
    "cancelRemoval": MANAGER,
    "abandonRemoval": OPERATOR,
    "setDeletionProtection": MANAGER,
    "deploy": DEVELOPER,
    "cancelDeployment": DEVELOPER,
    "reportDeployment": DEVELOPER,
    "createToken": OPERATOR,
    "revokeToken": OPERATOR,
    "erasePerson": OPERATOR,
    "joinBeta": ANYBODY,
    "leaveBeta": ANYBODY,
}
WITHOUT_BETA = {"joinBeta", "leaveBeta", "createToken", "revokeToken", "erasePerson"}
WITHOUT_PLACE = {"createProject", *WITHOUT_BETA}

# Who sees what of a project: its members, the platform's people alone, all who have signed in.
MEMBERS, PLATFORM, SIGNED_IN, OPEN = "members", "platform", "signed in", "open"
MEMBERS_ALONE = "members, services not included"
QUERIES = {
    "viewer": OPEN,
    "catalogue": SIGNED_IN,
    "node": MEMBERS,
    "nodes": MEMBERS,
    "project": MEMBERS,
    "projects": MEMBERS_ALONE,
    "environment": MEMBERS,
    "serviceInstance": MEMBERS,
    "serviceInstances": MEMBERS,
    "deployment": MEMBERS,
    "unfinishedRemovals": MEMBERS,
    "orphans": MEMBERS,
    "auditEvents": MEMBERS,
    "tokens": PLATFORM,
    "historyDiff": MEMBERS,
    "auditCheckpoint": SIGNED_IN,
    "inclusionProof": SIGNED_IN,
    "consistencyProof": SIGNED_IN,
}
SUBSCRIPTIONS = {
    "serviceInstanceChanges": MEMBERS,
    "deploymentChanges": MEMBERS,
    "auditEvents": MEMBERS,
    "auditProgress": MEMBERS,
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A caller, and what it is in the shop."""

    role: str | None
    has_beta: bool = True
    by_token: bool = False


KINDS = {
    "nobody": None,
    "stranger": Kind(None),
    "stranger without Beta": Kind(None, has_beta=False),
    "developer elsewhere": Kind(None, by_token=True),
    "viewer": Kind(VIEWER),
    "developer": Kind(DEVELOPER),
    "manager": Kind(MANAGER),
    "viewer by token": Kind(VIEWER, by_token=True),
    "developer by token": Kind(DEVELOPER, by_token=True),
    "manager by token": Kind(MANAGER, by_token=True),
    "manager without Beta": Kind(MANAGER, has_beta=False),
    "operator": Kind(OPERATOR),
    "operator without Beta": Kind(OPERATOR, has_beta=False),
    "auditor": Kind("AUDITOR", has_beta=False),
}


@pytest.fixture
def beta_ended() -> bool:
    return False


@dataclasses.dataclass(frozen=True)
class Scene:
    """A shop with something of everything, and an id for each place."""

    shop: Shop
    deployment: uuid.UUID
    token: uuid.UUID
    removed: uuid.UUID
    sealed: int
    """How many events a checkpoint covers."""


@pytest.fixture
async def scene(api: Api, shop: Shop) -> Scene:
    use_cases = api.parts.application
    running, _ = await use_cases.deployments.deploy(
        request=request.Request(actor="ada", name="deploy"),
        environment_id=await external(api, shop),
        expected_plan=None,
    )
    async with api.parts.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT id FROM read.service_instances WHERE environment_id = %s AND kind = 'STORAGE'",
            [shop.live],
        )
        [(removed,)] = await rows.fetchall()
    token, _, _ = await use_cases.tokens.create(
        request=request.Request(actor="ada", name="createToken"),
        wanted=tokens.Wanted(subject="robot", name="robot"),
    )
    # What the lists of removals and orphans show needs a provider; their rows are made here.
    await api.execute("UPDATE read.service_instances SET abandoned = true WHERE id = %s", [removed])
    await api.execute(
        "UPDATE read.service_instances SET removal_requested = true WHERE id = %s", [removed]
    )
    return Scene(
        shop=shop, deployment=running, token=token, removed=removed, sealed=await sealed(api)
    )


AUDIT_KEY = ed25519.Ed25519PrivateKey.generate()  # a log has one for ever


async def sealed(api: Api) -> int:
    """Sign the log as it is; return its size."""
    async with api.parts.pool.connection() as connection:
        made = await sealer.Seal.load(connection, key=AUDIT_KEY)
        return await made.extend()


async def external(api: Api, shop: Shop) -> uuid.UUID:
    """Return an environment that waits for its deployments to be reported."""
    use_cases = api.parts.application
    made, _ = await use_cases.projects.create_environment(
        request=request.Request(actor="ada", name="createEnvironment"),
        project_id=shop.project,
        name="staging",
        protected=False,
    )
    async with api.parts.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT id FROM read.service_instances WHERE environment_id = %s", [made]
        )
        for (service,) in await rows.fetchall():
            await use_cases.services.detach(
                request=request.Request(actor="ada", name="detach"), service_instance_id=service
            )
    return made


async def arrive(
    api: Api, scene: Scene, kind: Kind | None, *, subject: str = "grace"
) -> caller.Caller | None:
    """Make a caller of that kind known."""
    if kind is None:
        return None
    use_cases = api.parts.application
    if kind.has_beta:
        await use_cases.people.join_beta(
            request=request.Request(actor=subject, name="joinBeta"), subject=subject
        )
    roles: frozenset[Role] = frozenset()
    projects: frozenset[uuid.UUID] = frozenset()
    if kind.by_token:
        roles = frozenset({Role[kind.role or DEVELOPER]})
        projects = frozenset({scene.shop.project if kind.role else uuid.uuid4()})
    elif kind.role in ("OPERATOR", "AUDITOR"):
        roles = frozenset({Role[kind.role]})
    elif kind.role:
        await use_cases.projects.add_member(
            request=request.Request(actor="ada", name="addMember"),
            project_id=scene.shop.project,
            subject=subject,
            role=values.MemberRole[kind.role],
        )
    return caller.Caller(
        subject=subject,
        name=None,
        token_id=f"tok_{subject}",
        roles=roles,
        projects=projects,
        is_in_beta=kind.has_beta,
    )


def inputs(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return an input for each mutation."""
    project, test = scene.shop.id("project"), scene.shop.id("test")
    service = {"id": scene.shop.id("database")}
    deployment = {"id": identifiers.text(type_name="Deployment", uuid=scene.deployment)}
    return {
        "createProject": {"name": "another"},
        "setSubscription": {"project": project, "units": []},
        "addMember": {"project": project, "subject": "joan", "role": "VIEWER"},
        "removeMember": {"project": project, "subject": "joan"},
        "createEnvironment": {"project": project, "name": "another"},
        "deleteEnvironment": {"id": test},
        "configureDeployer": {"environment": test, "kind": "EXTERNAL", "settings": {}},
        "addService": {"environment": test, "offering": "postgres", "prefix": "MORE"},
        "configureService": service,
        "provisionService": service,
        "attachService": service,
        "detachService": service,
        "renamePrefix": {**service, "prefix": "OTHER"},
        "rotateCredentials": service,
        "revealCredentials": {**service, "reason": "curious"},
        "removeService": service,
        "cancelRemoval": service,
        "abandonRemoval": {**service, "reason": "tired"},
        "setDeletionProtection": {**service, "protected": False},
        "deploy": {"environment": test},
        "cancelDeployment": deployment,
        "reportDeployment": {**deployment, "outcome": "FAILED"},
        "createToken": {"subject": "joan", "name": "joan"},
        "revokeToken": {"id": f"tok_{scene.token.hex}"},
        "erasePerson": {"subject": "joan", "confirm": "joan"},
        "leaveBeta": {},
        "joinBeta": {},
    }


def expected(name: str, kind: Kind | None) -> str:
    """Return how a mutation is refused to a caller; LET IN if it is not."""
    if kind is None:
        return "UNAUTHENTICATED"
    if not kind.has_beta and name not in WITHOUT_BETA:
        return "FEATURE_NOT_ENABLED"
    needed = MUTATIONS[name]
    if name == "createProject":
        return "FORBIDDEN" if kind.by_token or kind.role == "AUDITOR" else "LET IN"
    if kind.role is None and name not in WITHOUT_PLACE:
        return "NOT FOUND"
    order = [VIEWER, DEVELOPER, MANAGER, OPERATOR]
    if needed == ANYBODY:
        return "LET IN"
    is_enough = kind.role in order and order.index(kind.role) >= order.index(needed)
    return "LET IN" if is_enough else "FORBIDDEN"


def told(answer: ExecutionResult, name: str) -> str:
    if answer.errors:
        return str(answer.errors[0].extensions["code"])
    assert answer.data is not None
    code = str(answer.data[name].get("code"))
    if code in ("FORBIDDEN", "FEATURE_NOT_ENABLED"):
        assert answer.data[name]["__typename"] == "PermissionRefusal"
        return code
    is_missing = answer.data[name]["__typename"] == "NotFoundRefusal"
    return "NOT FOUND" if is_missing else "LET IN"


def test_every_root_field_is_listed() -> None:
    schema = everything.SCHEMA

    assert set(everything.roots(schema.mutation_type)) == set(MUTATIONS)
    assert set(everything.roots(schema.query_type)) == set(QUERIES)
    assert set(everything.roots(schema.subscription_type)) == set(SUBSCRIPTIONS)


async def test_every_mutation_with_every_role(api: Api, scene: Scene) -> None:
    outcomes: dict[tuple[str, str], str] = {}

    for title, kind in KINDS.items():
        who = await arrive(api, scene, kind, subject=title)
        before = await api.parts.event_log.head()
        for name, given in inputs(scene).items():
            answer = await api.answer(
                f"mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {{"
                " __typename ... on Refusal { code message } ... on NotFoundRefusal { id } } }",
                who=who,
                input=given,
            )
            outcomes[title, name] = told(answer, name)
        if kind is None:
            assert await api.parts.event_log.head() == before

    assert outcomes == {
        (title, name): expected(name, kind) for title, kind in KINDS.items() for name in MUTATIONS
    }


async def test_a_refusal_of_access_records_nothing_and_is_logged(
    api: Api, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    who = await arrive(api, scene, Kind(VIEWER))
    before = await api.parts.event_log.head()

    answer = await api.answer(
        "mutation ($input: DeployInput!) { deploy(input: $input) {"
        " ... on PermissionRefusal { code message } } }",
        who=who,
        input=inputs(scene)["deploy"],
    )

    assert answer.data["deploy"] == {
        "code": "FORBIDDEN",
        "message": "Cannot deploy: that takes the role DEVELOPER in the project."
        " Ask somebody who has it, or who can give it.",
    }
    assert await api.parts.event_log.head() == before
    [line] = [each for each in caplog.messages if "refused" in each]
    assert line == f"refused 'grace' (tok_grace) DEPLOY at {scene.shop.test}: FORBIDDEN"


def arguments(scene: Scene) -> dict[str, str]:
    """Return arguments for each root field that needs some."""
    project, service = scene.shop.id("project"), scene.shop.id("database")
    environment = scene.shop.id("test")
    deployment = identifiers.text(type_name="Deployment", uuid=scene.deployment)
    ids = json.dumps([project, environment, service, deployment])
    return {
        "node": f'(id: "{service}")',
        "nodes": f"(ids: {ids})",
        "project": f'(id: "{project}")',
        "environment": f'(by: {{id: "{environment}"}})',
        "serviceInstance": f'(id: "{service}")',
        "deployment": f'(id: "{deployment}")',
        "historyDiff": f'(id: "{service}", from: {{position: "0"}})',
        "inclusionProof": '(position: "1")',
        "consistencyProof": f'(earlier: "{scene.sealed}")',
    }


def is_seen(value: Any) -> bool:  # noqa: ANN401  any JSON
    if isinstance(value, dict) and value.get("__typename", "").endswith("Connection"):
        return bool(value["nodes"] or value["totalCount"])
    if isinstance(value, list):
        return any(each is not None for each in value)
    return value is not None


def is_shown(name: str, kind: Kind | None) -> str:
    """Return what comes of asking: SEEN, UNSEEN, or an error's code."""
    if kind is None:
        return "UNSEEN" if QUERIES[name] == OPEN else "UNAUTHENTICATED"
    if QUERIES[name] in (OPEN, SIGNED_IN):
        return "SEEN"
    if QUERIES[name] == PLATFORM:
        return "SEEN" if kind.role in ("OPERATOR", "AUDITOR") else "UNSEEN"
    if QUERIES[name] == MEMBERS and not kind.has_beta and kind.role != "AUDITOR":
        return "FORBIDDEN"
    return "SEEN" if kind.role else "UNSEEN"


async def test_every_query_with_every_role(api: Api, scene: Scene) -> None:
    outcomes: dict[tuple[str, str], set[str]] = {}
    foreign = [scene.shop.project.hex, scene.shop.test.hex, scene.shop.database.hex, "shop"]

    for title, kind in KINDS.items():
        who = await arrive(api, scene, kind, subject=title)
        for name in QUERIES:
            outcomes[title, name] = set()
            for document in everything.documents(name, arguments(scene).get(name, "")):
                answer = await api.answer(document, who=who)
                outcomes[title, name].add(outcome(answer, name))
                if kind is None or kind.role is None:
                    text = json.dumps([answer.data, [str(error) for error in answer.errors or ()]])
                    assert not [each for each in foreign if each in text], (title, name, text)

    assert outcomes == {
        (title, name): {is_shown(name, kind)} for title, kind in KINDS.items() for name in QUERIES
    }


async def test_both_ways_to_the_log_show_the_same(api: Api, scene: Scene) -> None:
    for title, kind in KINDS.items():
        who = await arrive(api, scene, kind, subject=title)
        if who is None or (not who.is_in_beta and kind is not None and kind.role != "AUDITOR"):
            continue
        condition, values = access.visible_to(who, table="ledger.events", there=selecting.THERE)
        until = await api.parts.event_log.head()
        export = exporting.Export(condition=condition, values=values)
        async with api.parts.pool.connection() as connection:
            chunk = await export.chunk(connection, after=0, until=until)

        answer = await api.answer("{ auditEvents(first: 100) { nodes { position } } }", who=who)

        lines = [json.loads(line)["position"] for line in chunk.text.splitlines()]
        assert lines[:100] == [it["position"] for it in answer.data["auditEvents"]["nodes"]], title
        assert bool(lines) == bool(kind and kind.role), title


def outcome(answer: ExecutionResult, name: str) -> str:
    if answer.errors:
        return str(answer.errors[0].extensions["code"])
    assert answer.data is not None
    return "SEEN" if is_seen(answer.data[name]) else "UNSEEN"


DEEPER = {
    ("PlannedAction", "instance"),
    ("PlanNote", "instance"),
    ("RevisionVariable", "instance"),
    ("AuditEvent", "consequences"),
    ("AuditEvent", "correlated"),
    ("AuditProgress", "event"),
    ("AuditProgress", "position"),
}
"""What the queries above do not reach: rows of the same environment, in a plan or a revision;
what one event has to do with others, which the caller must see too; and what only streams tell."""


def test_the_queries_ask_for_every_field_there_is() -> None:
    asked: set[everything.Pair] = set()
    for name in QUERIES:
        list(everything.documents(name, covered=asked))

    assert everything.pairs() - asked == DEEPER


@pytest.mark.parametrize(
    ("role", "place", "outcome"),
    [
        ("VIEWER", "test", "FORBIDDEN"),
        ("DEVELOPER", "test", "LET IN"),
        ("DEVELOPER", "live", "FORBIDDEN"),
        ("MANAGER", "live", "LET IN"),
    ],
)
async def test_protected_environments_reveal_to_managers_only(
    api: Api, scene: Scene, role: str, place: str, outcome: str
) -> None:
    who = await arrive(api, scene, Kind(role))
    async with api.parts.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT id FROM read.service_instances WHERE environment_id = %s AND kind = 'DATABASE'",
            [getattr(scene.shop, place)],
        )
        [(service,)] = await rows.fetchall()

    answer = await api.answer(
        'mutation ($id: ID!) { revealCredentials(input: {id: $id, reason: "curious"}) {'
        " __typename ... on Refusal { code } } }",
        who=who,
        id=identifiers.text(type_name="ServiceInstance", uuid=service),
    )

    assert told(answer, "revealCredentials") == outcome


async def test_a_token_shows_no_services_without_the_beta(api: Api, scene: Scene) -> None:
    """R1, through the one door that mutations leave open."""
    who = await arrive(api, scene, Kind(OPERATOR, has_beta=False))
    before = await api.parts.event_log.head()
    below = "environments { serviceInstances { totalCount } }"

    answer = await api.answer(
        "mutation ($input: CreateTokenInput!) { createToken(input: $input) {"
        f" ... on CreateTokenSuccess {{ secret token {{ projects {{ {below} }} }} }} }} }}",
        who=who,
        input={"subject": "joan", "name": "joan", "projects": [scene.shop.id("project")]},
    )

    assert told(answer, "createToken") == "FORBIDDEN"
    assert await api.parts.event_log.head() == before


@pytest.mark.parametrize(
    ("kind", "settings", "outcome"),
    [
        ("EXTERNAL", {}, "LET IN"),
        ("ENV_FILE", {}, "LET IN"),
        ("ENV_FILE", {"path": "/tmp/x/.env"}, "FORBIDDEN"),  # noqa: S108  nobody writes it
        ("COMMAND", {"command": ["sh", "-c", "id"], "directory": "/"}, "FORBIDDEN"),
        ("WEBHOOK", {"url": "http://169.254.169.254/"}, "FORBIDDEN"),
    ],
)
async def test_whoever_made_a_project_gets_no_shell_by_that(
    api: Api, scene: Scene, kind: str, settings: dict[str, object], outcome: str
) -> None:
    answer = await api.answer(
        "mutation ($input: ConfigureDeployerInput!) { configureDeployer(input: $input) {"
        " __typename ... on Refusal { code } } }",
        who=await arrive(api, scene, Kind(MANAGER)),
        input={"environment": scene.shop.id("test"), "kind": kind, "settings": settings},
    )

    assert told(answer, "configureDeployer") == outcome


async def test_callers_share_the_plan_of_an_operation(api: Api, scene: Scene) -> None:
    text = "{ projects { nodes { name } } }"
    names = []

    for number in range(20):
        who = caller.Caller(
            subject=f"person-{number}", name=None, token_id=f"tok_{number}", is_in_beta=True
        )
        await api.answer(text, who=who)
        names += api.statements

    assert len(names) == 20
    assert len(set(names)) == 1
    assert not [each for each in names if "person-" in each]
    assert scene
