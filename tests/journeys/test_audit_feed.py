"""Consumers take the log over HTTP: as lines or as Server-Sent Events, once or for ever."""

import contextlib
import gzip
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import zstandard
from cloudevents.core.formats import json as cloudevents_json
from cloudevents.core.v1 import event as cloudevents

from tests.journeys import client, conftest

PATIENCE = 60.0


@pytest.fixture
def http(api: client.Api) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=api.product.url,
        headers={"Authorization": f"Bearer {api.product.token}"},
        timeout=PATIENCE,
    ) as opened:
        yield opened


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_every_line_is_a_cloud_event(api: client.Api, http: httpx.Client) -> None:
    made = api.project()

    read = http.get("/audit/events", params={"project": made.id}).text.splitlines()

    assert len(read) >= 5
    for line in read:
        event = cloudevents_json.JSONFormat().read(cloudevents.CloudEvent, line)
        attributes = event.get_attributes()
        assert attributes["specversion"] == "1.0"
        assert attributes["source"].startswith("urn:servicebook:log:")
        assert isinstance(event.get_data(), dict)
    assert json.loads(read[0])["type"] == "ProjectCreated"


def test_lines_and_graphql_tell_the_same(api: client.Api, http: httpx.Client) -> None:
    made = api.project()
    told = api.ask(
        """query Told($filter: AuditEventFilter) { auditEvents(filter: $filter, first: 100) {
        nodes { position id event actor correlationId commandId } } }""",
        filter={"project": made.id},
    )["auditEvents"]["nodes"]

    read = lines(http.get("/audit/events", params={"project": made.id}))

    assert [
        {
            "position": it["position"],
            "id": it["id"],
            "event": it["type"],
            "actor": it["actor"],
            "correlationId": it["correlationid"],
            "commandId": it["commandid"],
        }
        for it in read
    ] == told


def test_a_filter_chooses_likewise_over_graphql(api: client.Api, http: httpx.Client) -> None:
    made = api.project()
    api.do("provisionService", id=api.default(made.test, "DATABASE"))
    parameters = {"environment": made.test, "event": "ServiceAdded"}

    read = lines(http.get("/audit/events", params=parameters))

    first, last = read[0], read[-1]
    told = api.ask(
        """query Told($filter: AuditEventFilter) {
        auditEvents(filter: $filter) { nodes { position } } }""",
        filter={
            "environment": made.test,
            "events": ["ServiceAdded"],
            "after": str(int(first["position"]) - 1),
            "until": last["position"],
            "recordedFrom": first["time"],
        },
    )["auditEvents"]["nodes"]
    assert len(read) == 2
    assert [it["position"] for it in told] == [it["position"] for it in read]


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "identity"])
def test_answers_are_compressed_as_the_client_likes(
    api: client.Api, http: httpx.Client, encoding: str
) -> None:
    made = api.project()
    plain = http.get(
        "/audit/events", params={"project": made.id}, headers={"Accept-Encoding": "identity"}
    ).content

    with http.stream(
        "GET",
        "/audit/events",
        params={"project": made.id},
        headers={"Accept-Encoding": encoding},
    ) as answer:
        raw = b"".join(answer.iter_raw())

    assert answer.headers.get("content-encoding", "identity") == encoding
    match encoding:
        case "zstd":
            assert zstandard.ZstdDecompressor().decompressobj().decompress(raw) == plain
        case "gzip":
            assert gzip.decompress(raw) == plain
        case _:
            assert raw == plain


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "identity"])
def test_a_follower_gets_what_was_and_what_comes(
    api: client.Api, http: httpx.Client, encoding: str
) -> None:
    made = api.project()
    parameters = {"project": made.id, "follow": "1", "event": "MemberAdded"}
    headers = {"Accept-Encoding": encoding}

    with http.stream("GET", "/audit/events", params=parameters, headers=headers) as answer:
        coming = answer.iter_lines()
        first = json.loads(next(coming))
        api.do("addMember", project=made.id, subject="grace", role="VIEWER")
        added = next(it for it in map(json.loads, coming) if it["type"] == "MemberAdded")

    assert first["type"] in ("MemberAdded", "PositionReached")
    assert added["data"]["subject"] == "grace"


def test_silence_tells_how_far_the_log_has_come(api: client.Api, http: httpx.Client) -> None:
    made = api.project()
    parameters = {"project": made.id, "follow": "1", "event": "NothingOfTheKind"}

    with http.stream("GET", "/audit/events", params=parameters) as answer:
        line = next(answer.iter_lines())

    event = cloudevents_json.JSONFormat().read(cloudevents.CloudEvent, line)
    assert event.get_attributes()["type"] == "PositionReached"
    again = lines(http.get("/audit/events", params={"after": event.get_attributes()["position"]}))
    assert made.id not in json.dumps(again)


def test_an_event_source_goes_on_where_it_was_cut_off(api: client.Api, http: httpx.Client) -> None:
    made = api.project()
    parameters = {"project": made.id}
    sse = {"Accept": "text/event-stream"}
    every = blocks(http.get("/audit/events", params=parameters, headers=sse))
    seen, last_id = every[:3], every[2]["id"]

    rest = http.get("/audit/events", params=parameters, headers=sse | {"Last-Event-ID": last_id})

    assert rest.headers["content-type"].startswith("text/event-stream")
    assert seen + blocks(rest) == every
    assert [json.loads(it["data"])["position"] for it in every] == [it["id"] for it in every]


def blocks(answer: httpx.Response) -> list[dict[str, str]]:
    return [
        dict(line.split(": ", 1) for line in block.split("\n"))
        for block in answer.text.removesuffix("\n\n").split("\n\n")
    ]


def test_an_answer_ends_where_it_says(api: client.Api, http: httpx.Client) -> None:
    position = api.do("createProject", name="ended")["position"]

    whole = http.get("/audit/events", params={"after": str(int(position) - 3)})
    part = lines(http.get("/audit/events", params={"after": "2", "until": "4"}))

    assert int(whole.headers["servicebook-position"]) >= int(position)
    assert lines(whole)[-1]["position"] == whole.headers["servicebook-position"]
    assert [it["position"] for it in part] == ["3", "4"]


def test_whoever_is_ahead_of_the_log_is_told(http: httpx.Client) -> None:
    answer = http.get("/audit/events", params={"after": "999999999"})

    assert answer.status_code == 409
    extensions = answer.json()["errors"][0]["extensions"]
    assert extensions["code"] == "LOG_DIVERGED"
    assert int(extensions["lastCommonPosition"]) > 0


def test_wrong_parameters_and_wrong_tokens_are_refused(api: client.Api, http: httpx.Client) -> None:
    wrong = http.get("/audit/events", params={"colour": "red"})
    nobody = httpx.get(f"{api.product.url}/audit/events")

    assert (wrong.status_code, nobody.status_code) == (400, 401)
    assert "colour" in wrong.json()["errors"][0]["message"]


def test_followers_see_their_projects_until_their_right_or_the_server_ends(
    launch: conftest.Launch,
) -> None:
    api = launch(token_check_interval="0.2")
    api.project()
    own = api.project()
    made = api.do("createToken", name="robot", subject="robot", roles=["VIEWER"], projects=[own.id])
    with (
        contextlib.closing(api.as_caller(made["secret"])) as robot,
        following(api, api.product.token) as owner,
    ):
        assert next(owner)["position"] == "1"
        with pytest.raises(httpx.HTTPStatusError) as refused, following(api, made["secret"]):
            pass
        assert refused.value.response.status_code == 403
        robot.do("joinBeta")
        with following(api, made["secret"]) as events:
            assert next(events)["type"] == "ProjectCreated"
            robot.do("leaveBeta")
            ended_by = time.monotonic() + PATIENCE
            for _ in events:  # news of silence at least
                assert time.monotonic() < ended_by, "still told"
        robot.do("joinBeta")
        with following(api, made["secret"]) as events:
            first = next(events)
            api.do("revokeToken", id=made["token"]["id"])
            seen = [first, *events]

        assert first["type"] == "ProjectCreated"
        subjects = {it["subject"] for it in seen if "subject" in it}
        assert str(uuid.UUID(own.id.removeprefix("prj_"))) in subjects
        told = {it["position"] for it in everything(api, project=own.id)}
        assert {it["position"] for it in seen if "subject" in it} <= told
        assert api.product.stop() == 0
        assert list(owner)[-1]["position"]  # the answer ends as it should


@contextlib.contextmanager
def following(api: client.Api, token: str) -> Iterator[Iterator[dict[str, Any]]]:
    with httpx.stream(
        "GET",
        f"{api.product.url}/audit/events",
        params={"follow": "1"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
    ) as answer:
        answer.raise_for_status()
        yield map(json.loads, answer.iter_lines())


def everything(api: client.Api, **parameters: str) -> list[dict[str, Any]]:
    with httpx.Client(headers={"Authorization": f"Bearer {api.product.token}"}) as opened:
        return lines(opened.get(f"{api.product.url}/audit/events", params=parameters))


def test_the_command_line_exports_the_same_and_shows_no_bar_without_a_terminal(
    api: client.Api, http: httpx.Client
) -> None:
    made = api.project()
    over_http = http.get("/audit/events", params={"environment": made.test}).text

    done = api.product.run("events", "export", "--environment", made.test)

    assert done.stdout == over_http
    assert done.stderr == ""
