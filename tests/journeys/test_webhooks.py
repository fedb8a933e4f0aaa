"""A receiver over HTTP carries deployments out, and nothing is lost between the two."""

import itertools
import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from app.application import rollout
from tests.journeys import receiver as receivers
from tests.journeys.client import Api, Json, Project
from tests.journeys.conftest import Launch
from tests.journeys.product import until
from tests.journeys.receiver import Answer, Message, Receiver, fetch, tell
from tests.journeys.test_subscriptions import listening
from tests.journeys.test_work import begun, deploy_by_command, waiting

PROGRESS = """
  subscription Progress($id: ID!) {
    deploymentChanges(id: $id) { status step attempt nextAttemptAt delayMessage }
  }
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as running:
        yield running


def send_to(api: Api, environment: str, receiver: Receiver, **settings: Json) -> Json:
    return api.do(
        "configureDeployer",
        environment=environment,
        kind="WEBHOOK",
        settings={"url": f"{receiver.url}/hook", **settings},
        secrets=[{"name": "signingKey", "value": receivers.SIGNING_KEY}],
    )


@pytest.fixture
def project(api: Api, receiver: Receiver) -> Project:
    made = api.deployable_project()
    send_to(api, made.test, receiver)
    return made


def start(api: Api, project: Project) -> str:
    return str(api.do("deploy", environment=project.test)["deployment"]["id"])


def test_a_receiver_fetches_the_variables_and_tells_how_it_went(
    api: Api, project: Project, receiver: Receiver
) -> None:
    deployment = start(api, project)

    message = receiver.sent()
    fetched = fetch(message)
    again = fetch(message)
    told = tell(message, "SUCCEEDED", output=f"got {api_dsn(fetched)} and token=abc")
    ended = api.end(deployment)

    assert message.is_signed
    assert message.headers["webhook-id"] == message.data["deployment"] == deployment
    assert message.data["variables"] == ["DATABASE_URL", "DEFAULT_DATABASE_DSN"]
    assert api_dsn(fetched) == api.dsn(api.default(project.test, "DATABASE"))
    assert api_dsn(fetched) not in message.body.decode()
    assert fetched.headers["cache-control"] == "no-store"
    assert again.json() == fetched.json()
    assert told.status_code == tell(message, "SUCCEEDED").status_code == 200
    assert tell(message, "FAILED").status_code == 409
    assert fetch(message).status_code == 410
    assert ended["output"] == "got [redacted] and token=[redacted]"
    assert [each["step"] for each in ended["steps"]] == [
        "SERVICES",
        "CONFIGURE",
        "RELEASE",
        "SWITCH",
    ]
    assert events_of(api, deployment).count("DeploymentVariablesFetched") == 2


def api_dsn(fetched: httpx.Response) -> str:
    return str(fetched.json()["variables"]["DATABASE_URL"])


def events_of(api: Api, deployment: str) -> list[str]:
    found = api.ask(
        "query Log($subject: ID!) { auditEvents(filter: {subject: $subject}, first: 100)"
        " { nodes { event } } }",
        subject=deployment,
    )
    return [each["event"] for each in found["auditEvents"]["nodes"]]


def test_the_signing_key_goes_in_and_never_comes_out(
    api: Api, project: Project, receiver: Receiver
) -> None:
    del receiver
    assert api.environment(project.test)["deployer"]["secretsSet"] == ["signingKey"]
    refusal = api.refused(
        "configureDeployer",
        environment=project.test,
        kind="WEBHOOK",
        settings={"url": "ftp://nobody", "retries": 3},
        secrets=[{"name": "signingKey", "value": "whsec_planted-key"}],
    )

    assert [each["path"] for each in refusal["problems"]] == [
        "settings.retries",
        "settings.url",
        "secrets.signingKey",
    ]
    key = receivers.SIGNING_KEY.removeprefix("whsec_")
    for text in ("planted-key", key, receivers.SECRET.decode()):
        assert text not in "".join(api.answers)
        assert text not in api.product.output
        with psycopg.connect(api.product.dsn) as connection:
            for table in ("ledger.events", "ledger.commands", "read.environments"):
                found = connection.execute(
                    f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s",  # noqa: S608  names of ours
                    [f"%{text}%"],
                ).fetchone()
                assert found == (0,), table
    # Other settings keep the key; another deployer does without it.
    api.do(
        "configureDeployer",
        environment=project.test,
        kind="WEBHOOK",
        settings={"url": "http://other.example/hook"},
    )
    assert api.environment(project.test)["deployer"]["secretsSet"] == ["signingKey"]
    api.do("configureDeployer", environment=project.test, kind="EXTERNAL")
    assert api.environment(project.test)["deployer"]["secretsSet"] == []


def test_a_deleted_environment_leaves_no_key(api: Api, receiver: Receiver) -> None:
    project = api.project()
    made = api.do("createEnvironment", project=project.id, name="preview")["environment"]["id"]
    send_to(api, made, receiver)
    assert sealed_keys(api, made) == 1
    for service in api.services(made):
        api.do("removeService", id=service["id"])

    api.do("deleteEnvironment", id=made)

    until(lambda: sealed_keys(api, made) == 0, "the key is destroyed")


def sealed_keys(api: Api, environment: str) -> int:
    """Count what is sealed of the deployers of an environment."""
    with psycopg.connect(api.product.dsn) as connection:
        found = connection.execute(
            "SELECT count(*) FROM vault.credentials WHERE service_instance_id IN"
            " (SELECT (state ->> 'secret_id')::uuid FROM ledger.events"
            " WHERE originator_id = %s AND topic = 'EnvironmentDeployerConfigured')",
            [uuid.UUID(environment.removeprefix("env_"))],
        ).fetchone()
    assert found is not None
    return int(found[0])


def test_a_hanging_receiver_is_asked_until_it_tells(
    api: Api, project: Project, receiver: Receiver
) -> None:
    """The outcome of the first message is unknown; what the status address says counts."""
    send_to(api, project.test, receiver, timeout=0.3)
    progress = itertools.chain([{}], itertools.repeat({"outcome": "SUCCEEDED", "output": "well"}))

    def answer(message: Message) -> Answer:
        if message.method == "GET":
            return Answer(status=200, document=next(progress), headers={"Retry-After": "1"})
        is_first = sum(each.method == "POST" for each in receiver.messages) == 1
        soon = {"Retry-After": "1"}
        return Answer(document={"statusUrl": "/status"}, headers=soon, hangs=is_first)

    receiver.answer = answer

    ended = api.end(start(api, project))

    posts = [each for each in receiver.messages if each.method == "POST"]
    assert len({each.headers["webhook-id"] for each in posts}) == 1
    assert len({each.data["token"] for each in posts}) == 1
    assert all(each.is_signed for each in receiver.messages)
    assert ended["attempt"] == len(posts) >= 2  # a slow machine takes more
    assert ended["output"] == "well"
    assert "its time was up" in ended["delayMessage"]


def test_a_receiver_that_is_busy_is_told_again_when_it_says(
    api: Api, project: Project, receiver: Receiver
) -> None:
    def answer(message: Message) -> Answer:
        del message
        if len(receiver.messages) == 1:
            return Answer(status=503, headers={"Retry-After": "200"})
        return Answer(status=200, document={"outcome": "SUCCEEDED"})

    receiver.answer = answer
    deployment = start(api, project)

    with listening(api, PROGRESS, id=deployment) as stream:
        told = next(change for change in stream if change["nextAttemptAt"])
    waiting = api.deployment(deployment)
    listed = api.product.run("tasks").stdout

    assert (waiting["step"], waiting["attempt"]) == ("RELEASE", 2)
    assert waiting["delayMessage"].endswith("answered 503")
    assert told == {name: waiting[name] for name in told}
    (line,) = (line for line in listed.splitlines() if " release " in line and deployment in line)
    assert line.startswith("delayed")
    assert "attempt 2 next " in line
    assert line.endswith("answered 503")
    hurry(api, "release")
    assert api.end(deployment)["attempt"] == 2
    sent = int(receiver.messages[0].headers["webhook-timestamp"])
    assert datetime.fromisoformat(waiting["nextAttemptAt"]).timestamp() - sent >= 199


def hurry(api: Api, task: str) -> None:
    """Let what was put off be tried now."""
    with psycopg.connect(api.product.dsn) as connection:
        connection.execute(
            "UPDATE procrastinate_jobs SET scheduled_at = now()"
            " WHERE task_name = %s AND status = 'todo'",
            [task],
        )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(status=403), "answered 403"),
        (
            Answer(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
            "redirections are not followed",
        ),
        (
            Answer(status=200, document={"outcome": "FAILED", "message": "the host is full"}),
            "the host is full",
        ),
    ],
    ids=["refused", "redirected", "failed"],
)
def test_a_receiver_that_refuses_fails_the_deployment(
    api: Api, project: Project, receiver: Receiver, answer: Answer, message: str
) -> None:
    receiver.answer = lambda _: answer
    service = api.default(project.test, "DATABASE")

    failed = api.deploy(project.test, status="FAILED")

    assert failed["error"]["step"] == "RELEASE"
    assert message in failed["error"]["message"]
    assert len(receiver.messages) == 1
    assert api.state(service) == "PENDING_ATTACHMENT"
    assert api.revision(project.test) is None


def test_nobody_else_gets_the_variables(api: Api, project: Project, receiver: Receiver) -> None:
    deployment = start(api, project)
    message = receiver.sent()
    place = f"{api.product.url}/deployments"

    def answered(path: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{place}/{path}", headers=headers, timeout=10).status_code

    own = message.data["token"]
    assert answered(f"{deployment}/variables", "x" * len(own)) == 401
    assert answered(f"{deployment}/variables", api.product.token) == 401
    assert answered(f"{deployment}/rollback/variables", own) == 401
    assert answered(f"dep_{uuid.uuid4().hex}/variables", own) == 401
    assert answered("nonsense/variables", own) == 401
    assert httpx.get(f"{place}/{deployment}/variables", timeout=10).status_code == 401
    result = f"{place}/{deployment}/result"
    headers = {"authorization": f"Bearer {own}"}
    for body, status in (
        (b"{}", 400),
        (b"{", 400),
        (b'{"outcome": "PERHAPS"}', 400),
        (json.dumps({"outcome": "SUCCEEDED", "output": "x" * 300_000}).encode(), 413),
    ):
        assert httpx.post(result, content=body, headers=headers).status_code == status
    assert api.deployment(deployment)["status"] == "RUNNING"
    tell(message, "FAILED")
    api.end(deployment, status="FAILED")


def test_a_cancelled_release_is_taken_back(api: Api, project: Project, receiver: Receiver) -> None:
    first = start(api, project)
    tell(receiver.sent(1), "SUCCEEDED")
    api.end(first)
    second = start(api, project)
    given_up = receiver.sent(2)

    api.do("cancelDeployment", id=second)
    rollback = receiver.sent(1, kind="deployment.rollback")

    assert rollback.is_signed
    assert rollback.headers["webhook-id"] == f"{second}_rollback"
    assert (given_up.data["revision"], rollback.data["revision"]) == (2, 1)
    assert "resultUrl" not in rollback.data
    assert fetch(given_up).status_code == 410
    assert fetch(rollback).json()["revision"] == 1
    third = start(api, project)
    tell(receiver.sent(3), "SUCCEEDED")
    api.end(third)
    assert fetch(rollback).status_code == 410


def test_what_was_agreed_about_a_rollback_is_forgotten_after_an_hour(
    api: Api, project: Project, receiver: Receiver
) -> None:
    deployment = start(api, project)
    receiver.sent()
    api.do("cancelDeployment", id=deployment)
    rollback = receiver.sent(kind="deployment.rollback")
    until(lambda: waits(api, deployment, task="roll_back"), "the receiver has its hour")

    hurry(api, "roll_back")
    until(lambda: waits(api, deployment, task="roll_back"), "it is too early")
    early = fetch(rollback)
    an_hour_passes(api, deployment)
    hurry(api, "roll_back")

    assert early.json()["revision"] == 0
    until(lambda: agreed_rollbacks(api, deployment) == 0, "the agreement is forgotten")
    assert fetch(rollback).status_code == 401
    assert [each.document["type"] for each in receiver.messages] == [
        "deployment.release",
        "deployment.rollback",
    ]


@pytest.mark.parametrize(
    "answer",
    [Answer(status=403), Answer(status=200, document={"outcome": "SUCCEEDED"})],
    ids=["refused", "ended"],
)
def test_what_was_agreed_about_a_rollback_that_is_over_is_forgotten(
    api: Api, project: Project, receiver: Receiver, answer: Answer
) -> None:
    deployment = start(api, project)
    receiver.sent()
    receiver.answer = lambda _: answer

    api.do("cancelDeployment", id=deployment)
    rollback = receiver.sent(kind="deployment.rollback")

    until(lambda: agreed_rollbacks(api, deployment) == 0, "the agreement is forgotten")
    assert fetch(rollback).status_code == 401


def test_a_rollback_that_nobody_took_in_ends_with_its_environment(
    api: Api, receiver: Receiver
) -> None:
    project = api.project()
    made = api.do("createEnvironment", project=project.id, name="preview")["environment"]["id"]
    send_to(api, made, receiver)
    for service in api.services(made):
        api.do("removeService", id=service["id"])
    deployment = api.do("deploy", environment=made)["deployment"]["id"]
    receiver.sent()
    receiver.answer = lambda _: Answer(status=503, headers={"Retry-After": "200"})
    api.do("cancelDeployment", id=deployment)
    receiver.sent(kind="deployment.rollback")
    until(lambda: waits(api, deployment, task="roll_back"), "it is put off")

    api.do("deleteEnvironment", id=made)
    hurry(api, "roll_back")

    until(lambda: agreed_rollbacks(api, deployment) == 0, "the agreement is forgotten")


def agreed_rollbacks(api: Api, deployment: str) -> int:
    """Count what is sealed of agreements about the rollback of a deployment."""
    with psycopg.connect(api.product.dsn) as connection:
        found = connection.execute(
            "SELECT count(*) FROM vault.credentials WHERE service_instance_id = %s",
            [_rollback(deployment)],
        ).fetchone()
    assert found is not None
    return int(found[0])


def an_hour_passes(api: Api, deployment: str) -> None:
    """Let the rollback of a deployment have been taken in an hour ago."""
    with psycopg.connect(api.product.dsn) as connection:
        connection.execute(
            "UPDATE vault.credentials SET created_at = created_at - interval '1 hour'"
            " WHERE service_instance_id = %s",
            [_rollback(deployment)],
        )


def _rollback(deployment: str) -> uuid.UUID:
    return rollout.rollback_id(uuid.UUID(deployment.removeprefix("dep_")))


def test_a_rollback_outlives_a_deployment_that_released_nothing(
    launch: Launch, directory: Path, receiver: Receiver
) -> None:
    """The receiver has what was given up, and nobody else takes it back."""
    api = launch(worker_concurrency="1")
    project = api.deployable_project()
    send_to(api, project.test, receiver)
    deploy_by_command(api, project.live, waiting(directory))
    second = given_up(api, project, receiver)
    api.do("deploy", environment=project.live)
    until(lambda: begun(directory), "the only worker is busy")
    third = start(api, project)

    cancelled = api.do("cancelDeployment", id=third)["deployment"]
    receiver.answer = lambda _: Answer()
    (directory / "gate").touch()
    hurry(api, "roll_back")
    rollback = receiver.sent(2, kind="deployment.rollback")

    assert cancelled["step"] == "SERVICES"
    assert rollback.data["deployment"] == second
    assert rollback.data["revision"] == 1
    assert "REPORTS_DATABASE_DSN" not in rollback.data["variables"]
    assert fetch(rollback).json()["revision"] == 1


def given_up(api: Api, project: Project, receiver: Receiver) -> str:
    """Give the second deployment up, which the receiver took in; it cannot be told of that."""
    first = start(api, project)
    tell(receiver.sent(1), "SUCCEEDED")
    api.end(first)
    api.add(project.test, prefix="REPORTS")
    second = start(api, project)
    assert "REPORTS_DATABASE_DSN" in receiver.sent(2).data["variables"]
    receiver.answer = lambda _: Answer(status=503, headers={"Retry-After": "200"})
    api.do("cancelDeployment", id=second)
    until(lambda: waits(api, second, task="roll_back"), "the rollback is put off")
    return second


def test_a_rollback_waits_for_the_end_of_a_later_release(
    api: Api, project: Project, receiver: Receiver
) -> None:
    """One that fails leaves the receiver with what it had, which was given up."""
    second = given_up(api, project, receiver)
    early = receiver.sent(1, kind="deployment.rollback")
    receiver.answer = lambda _: Answer()
    third = start(api, project)
    release = receiver.sent(3)

    hurry(api, "roll_back")
    until(lambda: waits(api, second, task="roll_back"), "the rollback is put off again")

    assert fetch(early).status_code == 503
    assert len(receiver.messages) == 4
    tell(release, "FAILED")
    api.end(third, status="FAILED")
    hurry(api, "roll_back")
    rollback = receiver.sent(2, kind="deployment.rollback")
    assert rollback.headers["webhook-id"] == f"{second}_rollback"
    assert fetch(rollback).json()["revision"] == fetch(early).json()["revision"] == 1


def test_a_result_survives_the_death_of_every_process(launch: Launch, receiver: Receiver) -> None:
    api = launch()
    project = api.deployable_project()
    send_to(api, project.test, receiver)
    receiver.answer = lambda message: (
        Answer(document={"statusUrl": "/status"}, headers={"Retry-After": "1"})
        if message.method == "POST"
        else Answer(status=200, document={}, headers={"Retry-After": "1"})
    )
    deployment = start(api, project)
    receiver.sent()
    until(lambda: any(each.method == "GET" for each in receiver.messages), "it is asked")
    api.product.kill()

    receiver.answer = lambda _: Answer(status=200, document={"outcome": "SUCCEEDED"})
    api.product.start()

    assert api.end(deployment)["revision"] == 1
    assert sum(each.method == "POST" for each in receiver.messages) == 1


def test_a_deployment_ends_at_its_deadline_though_everything_was_down(
    launch: Launch, receiver: Receiver
) -> None:
    """As the receiver says that it ended; failed, if it does not say."""
    api = launch(deployment_timeout="4")
    project = api.deployable_project()
    tells = Answer(document={"statusUrl": "/status"}, headers={"Retry-After": "300"})

    def answer(message: Message) -> Answer:
        if message.method == "GET":
            return Answer(status=200, document={"outcome": "SUCCEEDED", "output": "it went well"})
        return tells if message.data["environmentName"] == "live" else Answer()

    receiver.answer = answer
    for environment in (project.test, project.live):
        api.provision(api.default(environment, "DATABASE"))
        send_to(api, environment, receiver)
    deployment = start(api, project)
    message = receiver.sent()
    told = api.do("deploy", environment=project.live)["deployment"]["id"]
    receiver.sent(2)
    until(lambda: waits(api, told), "the receiver's answer is taken in")
    api.product.kill()
    until(lambda: is_past(api, told), "the deadlines pass")

    api.product.start()
    ended = api.end(deployment, status="FAILED")
    succeeded = api.end(told)

    assert succeeded["output"] == "it went well"
    assert api.state(api.default(project.live, "DATABASE")) == "ATTACHED"
    assert ended["error"]["code"] == "DEADLINE_EXCEEDED"
    assert ended["error"]["step"] == "RELEASE"
    assert receiver.sent(1, kind="deployment.rollback").data["revision"] == 0
    until(lambda: fetch_elsewhere(api, message) == 401, "the token is forgotten")


def waits(api: Api, deployment: str, *, task: str = "release") -> bool:
    """Is the task put off, to be looked at again later?"""
    with psycopg.connect(api.product.dsn) as connection:
        found = connection.execute(
            "SELECT status = 'todo' AND scheduled_at > now() FROM procrastinate_jobs"
            " WHERE task_name = %s AND (args ->> 'deployment_id')::uuid = %s",
            [task, uuid.UUID(deployment.removeprefix("dep_"))],
        ).fetchone()
    return bool(found and found[0])


def is_past(api: Api, deployment: str) -> bool:
    with psycopg.connect(api.product.dsn) as connection:
        found = connection.execute(
            "SELECT deadline < now() FROM read.deployments WHERE id = %s",
            [uuid.UUID(deployment.removeprefix("dep_"))],
        ).fetchone()
    return bool(found and found[0])


def fetch_elsewhere(api: Api, message: Message) -> int:
    """Ask at the address that the product has after its restart."""
    url = f"{api.product.url}/deployments/{message.data['deployment']}/variables"
    headers = {"authorization": f"Bearer {message.data['token']}"}
    return httpx.get(url, headers=headers, timeout=10).status_code


def test_a_malformed_input_does_not_repeat_the_key(api: Api, project: Project) -> None:
    document = (
        "mutation M($input: ConfigureDeployerInput!) {"
        " configureDeployer(input: $input) { __typename } }"
    )
    secret = {"name": "signingKey", "value": "planted-key"}

    answers = [
        api.post(document, input={"environment": project.test, "secrets": [secret]}),
        api.post(document, input={"kind": "WEBHOOK", "secrets": [secret | {"more": 1}]}),
        api.post(
            'mutation { configureDeployer(input: {kind: 1, secrets: [{name: "signingKey",'
            ' value: "planted-key"}]}) { __typename } }'
        ),
    ]

    for answer in answers:
        assert "errors" in answer.json()
        assert "planted-key" not in answer.text
    assert "planted-key" not in api.product.output
