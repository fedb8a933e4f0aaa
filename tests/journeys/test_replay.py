"""S13: the log tells everything: views made anew are those that were there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.journeys import product as products
from tests.journeys.client import Api, Project
from tests.journeys.conftest import Launch


@pytest.fixture
def api(launch: Launch) -> Api:
    return launch()


def test_views_made_anew_equal_the_live_ones(api: Api) -> None:
    live_through_everything(api)
    before = settled_views(api)

    with others_at_work(api):
        api.product.run("rebuild")
        api.product.run("rebuild")
    busy = settled_views(api)
    api.product.run("rebuild")
    after = settled_views(api)

    for table, rows in before.items():
        assert rows, table
        assert rows <= busy[table], table
    assert sum(map(len, busy.values())) > sum(map(len, before.values()))
    assert after == busy


def live_through_everything(api: Api) -> tuple[Project, list[str]]:
    """Make a project where services were attached, renamed, detached, removed."""
    project = api.deployable_project()
    main = api.default(project.test, "DATABASE")
    other = api.add(project.test, prefix="REPORTS")
    api.deploy(project.test)
    api.do("renamePrefix", id=main, prefix="OLD")
    api.do("detachService", id=other)
    api.deploy(project.test)
    api.wait(other, operation=None, secretVersion=2)
    api.remove(other)
    return project, [main, other]


def settled_views(api: Api) -> dict[str, set[str]]:
    """Return the rows of every view, when no task is left that is due."""
    with psycopg.connect(api.product.dsn, autocommit=True) as connection:

        def is_quiet() -> bool:
            due = connection.execute(
                "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
                " AND coalesce(scheduled_at, now()) <= now()"
            ).fetchone()
            return due == (0,)

        products.until(is_quiet, "all tasks are done")
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'read'"
        ).fetchall()
        return {
            name: {
                str(row)
                for (row,) in connection.execute(
                    sql.SQL("SELECT row_to_json(t)::text FROM {} t").format(
                        sql.Identifier("read", name)
                    )
                )
            }
            for (name,) in names
        }


@contextmanager
def others_at_work(api: Api) -> Iterator[None]:
    """Let another client send commands meanwhile."""
    is_over = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        other = Api(api.product)
        try:
            while not is_over.is_set():
                project = other.deployable_project()
                other.do("createEnvironment", project=project.id, name="staging")
        except BaseException as error:  # noqa: BLE001  told by the story itself
            failures.append(error)
        finally:
            other.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert failures == []


def test_a_service_is_told_as_it_was(api: Api) -> None:
    _, services = live_through_everything(api)

    for service in services:
        entries = api.history(service)
        assert len(entries) > 5
        for entry in entries:
            then = api.service(service, position=entry["position"])
            assert then["state"] == entry["state"], entry
        last = {entry["recordedAt"]: entry["state"] for entry in entries}
        for moment, state in last.items():
            assert api.service(service, time=moment)["state"] == state
        before = str(int(entries[0]["position"]) - 1)
        assert api.service(service, position=before) is None
    main = services[0]
    renamed = next(e for e in api.history(main) if e["event"] == "ServicePrefixRenamed")
    then = api.service(main, position=renamed["position"])
    assert (then["prefix"], then["state"]) == ("OLD", "ATTACHED")
    assert api.service(main, position=str(int(renamed["position"]) - 1))["prefix"] == "DEFAULT"


def test_the_audit_log_is_complete_and_in_order(api: Api) -> None:
    _, services = live_through_everything(api)

    events = []
    page = {"endCursor": None, "hasNextPage": True}
    while page["hasNextPage"]:
        answer = api.ask(
            "query Log($after: String) { auditEvents(first: 20, after: $after) {"
            " nodes { position event actor commandId subject { id } }"
            " pageInfo { endCursor hasNextPage } } }",
            after=page["endCursor"],
        )["auditEvents"]
        page = answer["pageInfo"]
        events += answer["nodes"]

    positions = [int(event["position"]) for event in events]
    assert positions == list(range(1, len(positions) + 1))
    for service in services:
        told = [(e["position"], e["event"]) for e in events if subject(e) == service]
        assert told == [(e["position"], e["event"]) for e in api.history(service)]
    assert {event["actor"] for event in events} == {"admin", "servicebook", "command line"}


def subject(event: dict[str, dict[str, str] | None]) -> str | None:
    about = event["subject"]
    return about["id"] if about else None  # tokens and people are none of the things with ids
