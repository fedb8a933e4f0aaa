"""What happens is told over a WebSocket, and nobody listening keeps the program from stopping."""

import contextlib
import itertools
import json
import signal
from collections.abc import Iterator

import httpx
import pytest
from websockets import exceptions
from websockets.sync import client as websockets
from websockets.typing import Subprotocol

from tests.journeys.client import Api, Json
from tests.journeys.conftest import Launch

PROTOCOL = Subprotocol("graphql-transport-ws")
CHANGES = """
  subscription Changes($environment: ID!) {
    serviceInstanceChanges(environment: $environment) { id state operation { status } }
  }
"""
TRIES = """
  subscription Tries($environment: ID!) {
    serviceInstanceChanges(environment: $environment) {
      operation { status attempt startedAt deadline nextAttemptAt error { code } }
    }
  }
"""
LOG = """
  subscription Log($after: Position, $filter: AuditEventFilter) {
    auditEvents(after: $after, filter: $filter) { position event subject { id } details }
  }
"""


class Stream:
    """One subscription over one connection."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    def __iter__(self) -> Iterator[Json]:
        while True:
            message = self.message()
            if message["type"] == "next":
                assert "errors" not in message["payload"], message
                (value,) = message["payload"]["data"].values()
                yield value
            else:
                assert message["type"] == "ping", message

    def message(self) -> Json:
        return json.loads(self._socket.recv(timeout=10))


@contextlib.contextmanager
def listening(
    api: Api, document: str, *, by: str | None = None, **variables: Json
) -> Iterator[Stream]:
    address = api.product.url.replace("http", "ws", 1) + "/graphql"
    with websockets.connect(address, subprotocols=[PROTOCOL], close_timeout=0.2) as socket:
        payload = {"authorization": f"Bearer {by or api.product.token}"}
        socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        asked = {"query": document, "variables": variables}
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
        # The answer to a ping comes after what was sent before it was taken in.
        socket.send(json.dumps({"type": "ping"}))
        assert json.loads(socket.recv(timeout=10))["type"] == "pong"
        yield Stream(socket)


def test_changes_of_an_environment_are_told(api: Api) -> None:
    project = api.project()
    service = api.default(project.test, "DATABASE")

    with listening(api, CHANGES, environment=project.test) as stream:
        api.do("detachService", id=api.default(project.live, "DATABASE"))  # another environment
        api.do("provisionService", id=service)
        told = [change for _, change in zip(range(2), stream, strict=False)]

    assert [(each["id"], each["state"]) for each in told] == [
        (service, "PROVISIONING"),
        (service, "PENDING_ATTACHMENT"),
    ]


def test_what_holds_an_operation_up_is_told_with_the_next_try(launch: Launch) -> None:
    api = launch(postgres_provider_dsn="postgresql://provider:hunter2@127.0.0.1:1/postgres")
    project = api.project()
    api.product.stop()
    api.product.start("--no-worker")
    worker = api.product.twin()

    # What is told is the operation when it is read: nobody works until the first try is told.
    with listening(api, TRIES, environment=project.test) as stream:
        api.do("provisionService", id=api.default(project.test, "DATABASE"))
        changes = iter(stream)
        told = [next(changes)["operation"]]
        worker.start_worker()
        try:
            told += [next(changes)["operation"] for _ in range(2)]
        finally:
            worker.kill()

    assert [(each["attempt"], each["status"]) for each in told] == [
        (attempt, "IN_PROGRESS") for attempt in (1, 2, 3)
    ]
    assert [each["error"] and each["error"]["code"] for each in told] == [
        None,
        "PROVIDER_UNAVAILABLE",
        "PROVIDER_UNAVAILABLE",
    ]
    tries = [each["nextAttemptAt"] for each in told]
    assert tries[0] is None
    assert told[0]["startedAt"] < tries[1] < tries[2] < told[0]["deadline"]


def test_the_log_is_told_from_a_position_on_without_a_hole(api: Api) -> None:
    first = api.do("createProject", name="told-from-the-start")
    start = str(int(first["position"]) - 1)
    api.project()

    with listening(api, LOG, after=start) as stream:
        told = list(itertools.islice(stream, 6))
        last = api.project()
        head = int(api.do("createEnvironment", project=last.id, name="end")["position"])
        told += itertools.takewhile(lambda event: int(event["position"]) < head, stream)

    positions = [int(event["position"]) for event in told]
    assert positions == list(range(int(start) + 1, head))


def test_only_events_that_were_asked_for_are_told(api: Api) -> None:
    project = api.project()
    wanted = {"events": ["ServicePrefixRenamed"], "project": project.id}
    service = api.default(project.test, "DATABASE")

    with listening(api, LOG, filter=wanted) as stream:
        api.do("detachService", id=service)
        api.do("renamePrefix", id=service, prefix="TOLD")
        event = next(iter(stream))

    assert (event["event"], event["subject"]["id"]) == ("ServicePrefixRenamed", service)
    assert event["details"]["prefix"] == "TOLD"


def test_nobody_listens_without_a_token(api: Api) -> None:
    address = api.product.url.replace("http", "ws", 1) + "/graphql"
    with websockets.connect(address, subprotocols=[PROTOCOL]) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": "x"}}))

        with pytest.raises(exceptions.ConnectionClosed) as closed:
            socket.recv(timeout=10)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


def test_whoever_leaves_the_beta_is_told_nothing_more(launch: Launch) -> None:
    api = launch(token_check_interval="0.2")
    jane = api.as_caller(token := api.do("createToken", name="jane's", subject="jane")["secret"])
    jane.do("joinBeta")
    project = jane.project()
    service = jane.default(project.test, "DATABASE")
    query = {"query": CHANGES, "variables": {"environment": project.test}}
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}

    with (
        listening(api, CHANGES, by=token, environment=project.test) as stream,
        httpx.stream(
            "POST", f"{api.product.url}/graphql", json=query, headers=headers, timeout=20
        ) as response,
    ):
        jane.do("provisionService", id=service)
        assert next(iter(stream))["id"] == service
        jane.do("leaveBeta")
        messages = [stream.message()]
        while messages[-1]["type"] != "complete":
            messages.append(stream.message())
        text = response.read().decode()
    jane.close()

    [error] = messages[-2]["payload"]["errors"]
    assert error["extensions"] == {"code": "FORBIDDEN", "reason": "FEATURE_NOT_ENABLED"}
    assert "FEATURE_NOT_ENABLED" in text
    assert text.endswith("event: complete\ndata:\n\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_started_program_stops_cleanly(launch: Launch, number: signal.Signals) -> None:
    api = launch()

    code = api.product.stop(number)

    assert code == 0
    assert "Traceback" not in api.product.output


def test_listeners_do_not_keep_the_program_from_stopping(launch: Launch) -> None:
    api = launch()
    project = api.project()

    with (
        listening(api, LOG, after="0") as stream,
        listening(api, CHANGES, environment=project.test),
    ):
        assert next(iter(stream))
        code = api.product.stop()

    assert code == 0
    assert "Traceback" not in api.product.output


def test_a_release_does_not_keep_the_program_from_stopping(launch: Launch) -> None:
    api = launch()
    project = api.deployable_project()
    settings = {"command": ["/bin/sleep", "60"]}
    api.do("configureDeployer", environment=project.test, kind="ENV_FILE", settings=settings)
    service = api.default(project.test, "DATABASE")
    started = api.do("deploy", environment=project.test)["deployment"]
    api.wait(service, state="PENDING_ATTACHMENT")

    code = api.product.stop()
    api.product.start()
    api.do("cancelDeployment", id=started["id"])

    assert code == 0
    assert "Traceback" not in api.product.output
