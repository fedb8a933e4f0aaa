import pytest

from app.graphql import tracing

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_is_taken_as_it_is() -> None:
    assert tracing.traceparent(TRACE) == TRACE


def test_of_a_later_version_what_is_known_is_taken() -> None:
    later = "cc" + TRACE[2:]

    assert tracing.traceparent(f"{later}-what-comes-later") == later


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        TRACE.upper(),
        TRACE + "-more",
        TRACE + "more",
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        " " + TRACE,
        TRACE + "\n",
        "cc" + TRACE[2:] + "-" + "x" * 1000,
    ],
)
def test_anything_else_is_as_if_there_were_none(header: str | None) -> None:
    assert tracing.traceparent(header) is None
