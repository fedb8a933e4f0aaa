"""Commands a second, and how long one takes, beside others on the same server in the same run.

    python -m tests.benchmarks.commands [SECONDS]

Each caller waits for its command before it sends the next: attach or detach one of its services.
Servicebook's command is there with its record and its row of the read model; the others only
load, decide and store. Every commit is on disk before its answer.
"""

import dataclasses
import statistics
import sys
from collections.abc import Mapping, Sequence

from app import garbage
from tests.benchmarks import report, server
from tests.benchmarks.contenders import contender, emmett, message_db, pgbench, servicebook, stock

_SECONDS = 3.0
_ROUNDS = 3
_TO_WARM_UP = 1.0  # seconds
_CALLERS = (1, 16, contender.MOST_CALLERS)
_HEADINGS = (
    "",
    "callers",
    "commands/s",
    "p50 ms",
    "p99 ms",
    "processor us each",
    "Servicebook does",
    "per processor",
)

Rounds = Mapping[tuple[str, int], Sequence[contender.Measured]]


def main(seconds: float = _SECONDS) -> None:
    """Measure and print."""
    contenders: list[contender.Contender] = [
        servicebook.Servicebook(),
        stock.Stock(),
        emmett.Emmett(),
        message_db.MessageDb(),
        pgbench.Pgbench(),
    ]
    with server.running() as address:
        for number, each in enumerate(contenders):
            each.prepare(server.create_database(address, name=f"contender_{number}"))
            each.run(callers=contender.MOST_CALLERS, seconds=_TO_WARM_UP)
        garbage.spare_what_stays()  # as a server does
        rounds = _measured(contenders, seconds)
        for each in contenders:
            each.finish()
        print(report.versions(address.dsn("postgres"), "eventsourcing", "psycopg"))
    print(report.machine())
    print(f"Median of {_ROUNDS} rounds of {seconds:g} s, taken in turns.\n")
    print(report.table(_HEADINGS, _rows(contenders, rounds)))


def _measured(contenders: Sequence[contender.Contender], seconds: float) -> Rounds:
    rounds: dict[tuple[str, int], list[contender.Measured]] = {}
    for _ in range(_ROUNDS):
        for callers in _CALLERS:
            for each in contenders:
                each.run(callers=callers, seconds=_TO_WARM_UP)  # others had the machine meanwhile
                before = report.processor_seconds()
                measured = each.run(callers=callers, seconds=seconds)
                used = report.processor_seconds() - before
                rounds.setdefault((each.name, callers), []).append(
                    dataclasses.replace(measured, processor=used)
                )
    return rounds


def _rows(contenders: Sequence[contender.Contender], rounds: Rounds) -> list[Sequence[object]]:
    own = contenders[0].name
    return [
        (
            each.name,
            callers,
            *_figures(rounds[each.name, callers]),
            *_ratios(rounds[own, callers], rounds[each.name, callers]),
        )
        for callers in _CALLERS
        for each in contenders
    ]


def _figures(measured: Sequence[contender.Measured]) -> list[float]:
    return [
        statistics.median(figures)
        for figures in zip(
            *(
                (
                    each.per_second,
                    each.percentile(50),
                    each.percentile(99),
                    each.processor / len(each.latencies) * 1e6,
                )
                for each in measured
            ),
            strict=True,
        )
    ]


def _ratios(
    own: Sequence[contender.Measured], others: Sequence[contender.Measured]
) -> tuple[str, str]:
    """Return how many times as many commands, round by round: in a second, and per processor.

    The second tells more where others keep the processors busy.
    """
    pairs = list(zip(own, others, strict=True))
    in_a_second = statistics.median(a.per_second / b.per_second for a, b in pairs)
    per_processor = statistics.median(
        (b.processor / len(b.latencies)) / (a.processor / len(a.latencies)) for a, b in pairs
    )
    return f"{in_a_second:.2f} x", f"{per_processor:.2f} x"


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
