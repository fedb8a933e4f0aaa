"""A person is forgotten: what it wrote is found nowhere, and the log is as it was signed."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import dumps
from tests.journeys.client import Api, Json, Project
from tests.journeys.conftest import Launch, beside
from tests.journeys.product import until
from tests.journeys.test_deployments import reported
from tests.journeys.test_outside_auditors import checked, covered, run
from tests.journeys.test_subscriptions import listening

WHY = 'Dr. "Canary" O\'Hara rang from +49 4711 0815'
TOLD = "canary-hara@example.org says that the host is full."
PLANTED = ("Canary", "canary-hara", "4711 0815", "O'Hara")
LOG = "{ auditEvents(first: 100) { nodes { position event actor reason details } } }"
EVENTS = 'subscription { auditEvents(after: "0") { event reason details } }'
THEN = """query Then($id: ID!, $at: Moment) { environment(by: {id: $id}, at: $at) {
  deployments { nodes { error { message } } } } }"""


@pytest.fixture
def api(launch: Launch) -> Api:
    return launch(log_level="debug")


@pytest.fixture
def jane(api: Api) -> Iterator[Api]:
    made = api.do("createToken", name="hers", subject="u-7f3a")
    with contextlib.closing(api.as_caller(made["secret"])) as jane:
        jane.do("joinBeta")
        yield jane


class Story:
    """What Jane did, and all ways to see it."""

    def __init__(self, api: Api, jane: Api) -> None:
        self.jane = jane
        self.project: Project = jane.deployable_project()
        self.service = jane.default(self.project.test, "DATABASE")
        jane.do("configureDeployer", environment=self.project.test, kind="EXTERNAL", settings={})
        jane.provision(self.service)
        jane.do("revealCredentials", id=self.service, reason=WHY)
        api.do("revealCredentials", id=self.service, reason="the operator looks too")
        self.deployment = jane.do("deploy", environment=self.project.test)["deployment"]["id"]
        answer = reported(jane, self.deployment, outcome="FAILED", message=TOLD)
        assert answer["error"]["message"] == TOLD
        self.position = self._revealed(api)["position"]

    def seen_by(self, api: Api) -> dict[str, Json]:
        """Return what somebody sees, by every way that shows texts."""
        service, deployment = self.service, self.deployment
        log = api.ask(LOG)["auditEvents"]["nodes"]
        with listening(api, EVENTS) as stream:
            streamed = [each for _, each in zip(log, stream, strict=False)]
        then = api.ask(THEN, id=self.project.test, at={"position": log[-1]["position"]})
        return {
            "history": api.history(service),
            "log": log,
            "stream": streamed,
            "deployment": api.deployment(deployment)["error"]["message"],
            "then": then["environment"]["deployments"]["nodes"][0]["error"]["message"],
        }

    def reasons(self, api: Api) -> list[str]:
        """Return the sentences about reasons."""
        sentences = [each["sentence"] for each in api.history(self.service)]
        return [each for each in sentences if "revealed" in each or "deployment failed" in each]

    def _revealed(self, api: Api) -> Json:
        found = api.ask(LOG)["auditEvents"]["nodes"]
        return next(each for each in found if each["reason"] == WHY)


def test_what_a_person_wrote_is_forgotten(api: Api, jane: Api) -> None:
    story = Story(api, jane)
    proof = covered(api, story.position)
    export(api, "before")
    before = story.seen_by(api)
    assert story.reasons(jane) == sentences(WHY, TOLD.removesuffix("."))
    assert {name for name, shown in before.items() if not is_told(shown)} == set()
    assert_nowhere(api)
    run(api, "keys", "rotate")
    assert story.seen_by(api) == before

    erased = api.do("erasePerson", subject="u-7f3a", confirm="u-7f3a")

    assert erased["subject"] == "u-7f3a"
    with beside(api) as another:
        for each in (api, another):
            after = story.seen_by(each)
            assert not is_told(after)
            assert after["deployment"] == after["then"] == "erased"
            assert "the operator looks too" in json.dumps(after["history"])
    assert story.reasons(jane) == sentences("erased", "erased")
    assert run(api, "rebuild", "--check").exit_code == 0
    assert run(api, "rebuild").exit_code == 0
    assert story.reasons(api) == sentences("erased", "erased")

    covered(api, erased["position"])
    export(api, "after")
    assert (
        (directory(api) / "after").read_bytes().startswith((directory(api) / "before").read_bytes())
    )
    again = covered(api, story.position)
    assert again["leaf"] == proof["leaf"]
    assert_nowhere(api)

    jane.do("revealCredentials", id=story.service, reason="back again")
    assert story.reasons(api)[-1] == "Credentials revealed: back again."
    assert story.reasons(api)[0] == "Credentials revealed: erased."


def sentences(why: str, told: str) -> list[str]:
    return [
        f"Credentials revealed: {why}.",
        "Credentials revealed: the operator looks too.",
        f"The deployment failed at RELEASE: {told}; nothing was attached.",
    ]


def is_told(shown: Json) -> bool:
    return any(each in json.dumps(shown) for each in PLANTED)


def directory(api: Api) -> Path:
    return api.product.directory


def export(api: Api, name: str) -> None:
    """Keep the log as an auditor does, and verify it."""
    (directory(api) / name).write_bytes(run(api, "events", "export").stdout_bytes)
    key = run(api, "audit", "key").stdout.strip()
    until(lambda: checked(api, name, key).exit_code == 0, "the file has all checkpoints")


def assert_nowhere(api: Api) -> None:
    """What was written is in no table, no line of the log, no output: not even before."""
    token = {"Authorization": f"Bearer {api.product.token}"}
    lines = httpx.get(f"{api.product.url}/audit/events", headers=token).content
    places = {
        "dump": dumps.dumped(api.product.dsn),
        "lines": lines,
        "output": api.product.output.encode(),
    }

    assert b"u-7f3a" in places["dump"]  # so that what is there is found
    assert b'"reason":"sealed.1.' in lines
    found = itertools.product(places.items(), PLANTED)
    assert [(name, text) for (name, dump), text in found if dumps.holds(dump, text)] == []
