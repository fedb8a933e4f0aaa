"""What schemathesis looks for: refused input is an answer, an accident is not."""

import schemathesis

_ACCIDENTS = {"INTERNAL", "TIMEOUT", "UNAVAILABLE"}


@schemathesis.check
def no_accident(
    _context: object, response: schemathesis.Response, _case: schemathesis.Case
) -> None:
    """Fail if the program broke, or told no code."""
    for error in response.json().get("errors", ()):
        assert error["extensions"]["code"] not in _ACCIDENTS, error
