"""One mutation over HTTP, beside the eventsourcing library behind strawberry and a bare insert.

    python -m tests.benchmarks.mutations [SECONDS of a measurement]

A service is protected from deletion, or no longer. The answers are the same; the library keeps no
read model and no record of commands. Every commit is on disk before its answer.
"""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.benchmarks import peers, questions, report, served, server, wrk

_CONNECTIONS = (1, 64)
_PERCENT = 2
_BLOCK = 100  # more than there are connections: of one aggregate one command at a time
_MUTATION = """mutation ($id: ID!, $protected: Boolean!) {{
  setDeletionProtection(input: {{id: $id, protected: $protected}}) {{ {} }} }}"""
_CHANGED = "serviceInstance { id protected version }"
_OURS = _MUTATION.format(
    f"... on SetDeletionProtectionSuccess {{ {_CHANGED} }} ... on Refusal {{ code }}"
)
_TABLE = """CREATE TABLE inserted (
    position bigserial PRIMARY KEY, service_instance_id uuid NOT NULL, protected bool NOT NULL)"""
_TARGETS = "Wanted: 15 x stock at 64 connections; p50 below 1 ms where that of an insert is 0.3 ms."


def main(seconds: float = 3) -> None:
    """Compare, measure and print."""
    with server.running() as address, contextlib.ExitStack() as stack:
        product = stack.enter_context(served.served(address, percent=_PERCENT))
        plain = server.create_database(address, name="plain")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(_TABLE)
        stock = stack.enter_context(peers.running("stock", plain))
        insert = stack.enter_context(peers.running("insert", plain))
        theirs = stock.answer("{ ids }", {})["ids"]
        ours = _ready(product)
        loads = {
            served.NAME: _load(product.as_peer, product.dsn, _OURS, ours),
            stock.name: _load(stock, plain, _MUTATION.format(_CHANGED), theirs),
            insert.name: _load(insert, plain, "", theirs),
        }
        _require_same(product.as_peer, stock, ours[0], theirs[0])
        print(report.versions(plain, "eventsourcing", "strawberry-graphql", "psycopg"))
        print(report.machine())
        print(wrk.told(seconds))
        for connections in _CONNECTIONS:
            measured = wrk.in_turns(loads, connections=connections, seconds=seconds)
            print(report.table(wrk.COMPARED, wrk.compared(connections, measured)), "\n", flush=True)
    print(_TARGETS)


def _ready(product: served.Served) -> list[str]:
    """Return services of which nothing is under way; their streams are short, as the library's."""
    found = product.ask(
        "SELECT 'svc_' || replace(id::text, '-', '') FROM read.service_instances"
        " WHERE state IN ('DETACHED', 'ATTACHED') ORDER BY version, id LIMIT 1000"
    )
    return [id_ for (id_,) in found]


def _load(peer: questions.Peer, dsn: str, query: str, ids: Sequence[str]) -> wrk.Load:
    return wrk.Load(
        address=peer.address,
        pid=peer.pid,
        dsn=dsn,
        query=query,
        # In blocks, so that hardly one finds what a run before it has left.
        variables=[
            {"id": id_, "protected": is_wanted}
            for begin in range(0, len(ids), _BLOCK)
            for is_wanted in (True, False)
            for id_ in ids[begin : begin + _BLOCK]
        ],
        headers=peer.headers,
    )


def _require_same(us: questions.Peer, stock: questions.Peer, ours: str, theirs: str) -> None:
    """Change one of each twice: the answers tell of the same, and of one version more."""

    def changed(peer: questions.Peer, text: str, id_: str) -> list[Any]:
        before = 0
        told = []
        for is_wanted in (True, False):
            answer = peer.answer(text, {"id": id_, "protected": is_wanted})
            shown = answer["setDeletionProtection"]["serviceInstance"]
            assert shown.pop("id") == id_
            told.append((shown["protected"], shown["version"] - before if before else None))
            before = shown["version"]
        return told

    answers = changed(us, _OURS, ours), changed(stock, _MUTATION.format(_CHANGED), theirs)
    assert answers[0] == answers[1] == [(True, None), (False, 1)], answers


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
