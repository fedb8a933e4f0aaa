"""Reads of one process, beside other servers of GraphQL and a bare handler over the same rows.

    python -m tests.benchmarks.reads [SECONDS of a measurement] [PERCENT of the sizes to hold]

All answers are compared before anything is timed. The figures are requests in a second by wrk, and
the processor time that the process itself and PostgreSQL took for each.
"""

import contextlib
import sys

from tests.benchmarks import node, peers, questions, report, served, wrk

_CONNECTIONS = (1, 32, 256)
_TARGETS = """\
Wanted: point read 2 x apollo and postgraphile; environment 12 x loaders, 3 x yoga,
2 x postgraphile, 1.2 x bare; page of 50 2 x yoga, 1.2 x postgraphile.
"""


def main(seconds: float = 3, percent: float = 100) -> None:
    """Load, compare, measure and print."""
    with served.running(percent=percent) as product:
        compare(product, seconds=seconds)


def compare(product: served.Served, *, seconds: float) -> None:
    """Measure the product beside its peers, and print."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(peers.running(name, product.dsn)) for name in peers.NAMES]
        print(report.versions(product.dsn, "psycopg", "strawberry-graphql", "starlette", "uvicorn"))
        print(node.versions("graphql", "graphql-yoga", "@apollo/server", "postgraphile", "pg"))
        print(report.machine())
        print(f"{product.landmarks.events:,} events.", wrk.told(seconds), flush=True)
        for question in questions.ALL:
            loads = _loads(question, [product.as_peer, *others], product)
            for connections in _CONNECTIONS:
                measured = wrk.in_turns(loads, connections=connections, seconds=seconds)
                print(f"{question.name}\n")
                rows = wrk.compared(connections, measured)
                print(report.table(wrk.COMPARED, rows), "\n", flush=True)
    print(_TARGETS)


def _loads(
    question: questions.Question, asked: list[questions.Peer], product: served.Served
) -> dict[str, wrk.Load]:
    type_name = question.type_name
    ids = [] if type_name is None else product.ids(type_name)
    given = questions.variables(question, asked, ids)
    return {
        peer.name: wrk.Load(
            address=peer.address,
            pid=peer.pid,
            dsn=product.dsn,
            query=peer.text(question),
            variables=[{"id": value} for value in values],
            headers=peer.headers,
        )
        for peer, values in zip(asked, given, strict=True)
    }


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
