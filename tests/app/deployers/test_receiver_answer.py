import pytest

from app.deployers import contract, receiver_answer

SECRETS = ("postgresql://app:planted-secret@db/x",)


def read(text: bytes) -> receiver_answer.Told:
    return receiver_answer.read(text, secrets=SECRETS)


@pytest.mark.parametrize("text", [b"", b" ", b"{}", b'{"outcome": null}', b'{"more": 1}'])
def test_an_answer_without_an_outcome_tells_none(text: bytes) -> None:
    assert read(text) == receiver_answer.Told()


def test_what_is_told_is_free_of_secrets() -> None:
    told = read(
        b'{"outcome": "FAILED", "message": "cannot reach postgresql://app:planted-secret@db/x",'
        b' "output": "planted-secret \\u0000\\ud800"}'
    )

    assert told.outcome is not None
    assert told.outcome.status is contract.OutcomeStatus.FAILED
    assert told.outcome.message == "cannot reach [redacted]"
    assert told.outcome.output == "[redacted] ?"


def test_a_failure_without_a_reason_says_so() -> None:
    told = read(b'{"outcome": "FAILED"}')

    assert told.outcome is not None
    assert told.outcome.message == "the receiver gives no reason"


def test_output_is_kept_to_its_end() -> None:
    told = read(b'{"outcome": "SUCCEEDED", "output": "' + b"x" * 70_000 + b'end"}')

    assert told.outcome is not None
    assert len(told.outcome.output) == 65_536
    assert told.outcome.output.endswith("end")


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'"SUCCEEDED"',
        b"\xff",
        b"[" * 100_000,
        b'{"outcome": "DONE"}',
        b'{"outcome": "FAILED", "message": 1}',
        b'{"statusUrl": 1}',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_answer_is_refused(text: bytes) -> None:
    with pytest.raises(receiver_answer.AnswerError):
        read(text)
