"""What schemathesis looks for: refused input is an answer, an accident is not.

Its own check takes every error of a resolver for an accident, LOG_DIVERGED too.
"""

import schemathesis
from hypothesis import strategies
from schemathesis.graphql import nodes

_ACCIDENTS = {"INTERNAL", "TIMEOUT", "UNAVAILABLE"}

# A position may name its epoch: `2.7`.
_POSITIONS = strategies.from_regex(r"([1-9][0-9]{0,2}\.)?[0-9]{1,4}", fullmatch=True)

schemathesis.graphql.scalar("Position", _POSITIONS.map(nodes.String))


@schemathesis.check
def no_accident(
    _context: object, response: schemathesis.Response, _case: schemathesis.Case
) -> None:
    """Fail if the program broke, or told no code."""
    assert response.status_code < 500, response.text
    for error in response.json().get("errors", ()):
        assert error["extensions"]["code"] not in _ACCIDENTS, error
