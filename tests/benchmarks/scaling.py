"""How the cost of a read grows with what is stored.

    python -m tests.benchmarks.scaling [PERCENT ...]

The same queries at 1, 10, 100 and 250 % of the sizes to hold, about a quarter of an hour; `1 10` is
a quick look. Draws `scaling.svg`. Fails if an environment with 200 service instances is not read by
one statement.
"""

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import embedded
from app.graphql import identifiers
from tests.benchmarks import charts, questions, report, served, server, wrk

_PERCENTS = (1.0, 10.0, 100.0, 250.0)
_CONNECTIONS = 4
_SECONDS = 6
_HEADINGS = ("", "% of the sizes", "p50 ms", "p99 ms", "own us", "PostgreSQL us", "p99 to first")
_CHART = Path(__file__).parent / "scaling.svg"
_DEEP = questions.Question(
    name="page of a history of 10,000, at any depth",
    text="""query ($of: ID!, $id: String) { serviceInstance(id: $of) {
      history(first: 50, after: $id) { nodes { position event sentence actor recordedAt }
        pageInfo { hasNextPage endCursor } } } }""",
    in_tables="",
    type_name=None,
)
_CROWD = """query ($id: ID!) { environment(by: {id: $id}) {
  first: serviceInstances(first: 100) { nodes { ...Service } }
  last: serviceInstances(last: 100) { nodes { ...Service } } } }
fragment Service on ServiceInstance { id state history(last: 1) { nodes { event } } }"""
_ASKED = 20

Row = tuple[str, float, wrk.Measured]


def main(*percents: float) -> None:
    """Load, measure, print and draw."""
    rows: list[Row] = []
    with server.running(shared_preload_libraries="pg_stat_statements") as address:
        print(report.versions(address.dsn("postgres"), "psycopg"), report.machine(), sep="\n")
        for percent in percents:
            rows += _measured(address, percent)
    print(f"{_CONNECTIONS} connections, {_SECONDS} s each.\n")
    print(report.table(_HEADINGS, _shown(rows)))
    _CHART.write_text(charts.lines(_series(rows), x="% of the sizes to hold", y="p99, ms"))


def _measured(address: embedded.Address, percent: float) -> list[Row]:
    rows = []
    with served.served(address, percent=percent) as product:
        print(f"{percent:g} %: {product.landmarks.events:,} events", flush=True)
        for name, load in _loads(product).items():
            load.warm(connections=_CONNECTIONS)
            rows.append((name, percent, load.run(connections=_CONNECTIONS, seconds=_SECONDS)))
        _require_one_statement(product)
    return rows


def _loads(product: served.Served) -> dict[str, wrk.Load]:
    us = product.as_peer
    crowd = identifiers.text(type_name="Environment", uuid=product.landmarks.crowded_environment_id)
    given: dict[questions.Question, Sequence[dict[str, Any]]] = {
        each: [{"id": id_} for id_ in product.ids(each.type_name)]
        for each in questions.ALL
        if each.type_name is not None
    }
    given[questions.PAGE] = [{"id": it} for it in questions.variables(questions.PAGE, [us], [])[0]]
    given[_DEEP] = _depths(product)
    given[questions.Question("200 instances", _CROWD, "", None)] = [{"id": crowd}]
    return {
        question.name: wrk.Load(
            address=us.address,
            pid=us.pid,
            dsn=product.dsn,
            query=question.text,
            variables=variables,
            headers=us.headers,
        )
        for question, variables in given.items()
    }


def _depths(product: served.Served) -> list[dict[str, Any]]:
    """Return the places of all pages of the longest history, in no order."""
    longest = product.landmarks.longest_history_id
    of = identifiers.text(type_name="ServiceInstance", uuid=longest)
    found: list[dict[str, Any]] = [{"of": of, "id": None}]
    while True:
        answer = product.as_peer.answer(_DEEP.text, found[-1])
        page = answer["serviceInstance"]["history"]["pageInfo"]
        if not page["hasNextPage"]:
            break
        found.append({"of": of, "id": page["endCursor"]})
    random.shuffle(found)
    return found


def _require_one_statement(product: served.Served) -> None:
    """Ask for the crowded environment some times, and count the statements that read it."""
    product.ask("CREATE EXTENSION pg_stat_statements")
    crowd = product.landmarks.crowded_environment_id
    id_ = identifiers.text(type_name="Environment", uuid=crowd)
    product.as_peer.answer(_CROWD, {"id": id_})
    product.ask("SELECT pg_stat_statements_reset()")
    for _ in range(_ASKED):
        found = product.as_peer.answer(_CROWD, {"id": id_})["environment"]
        ids = {each["id"] for page in found.values() for each in page["nodes"]}
        assert len(ids) == 200, len(ids)
    [(calls,)] = product.ask(
        "SELECT sum(calls)::int FROM pg_stat_statements WHERE query LIKE '%lifecycle_history%'"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    if calls != _ASKED:
        sys.exit(f"{calls} statements for {_ASKED} requests of an environment with 200 instances")
    print(f"an environment with 200 instances: {calls} statements for {_ASKED} requests\n")


def _shown(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    first: dict[str, float] = {}
    return [
        (
            name,
            f"{percent:g}",
            each.p50 * 1000,
            each.p99 * 1000,
            round(each.own * 1e6),
            round(each.database * 1e6),
            f"{each.p99 / first.setdefault(name, each.p99):.2f} x",
        )
        for name, percent, each in sorted(rows, key=lambda row: _order(rows).index(row[0]))
    ]


def _order(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for name, _, _ in rows))


def _series(rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    return {
        name: [(percent, each.p99 * 1000) for it, percent, each in rows if it == name]
        for name in _order(rows)
    }


if __name__ == "__main__":
    main(*(map(float, sys.argv[1:]) if sys.argv[1:] else _PERCENTS))
