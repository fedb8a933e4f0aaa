"""Reads what a receiver of webhooks tells of a release, in an answer or by itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app import redaction
from app.deployers import command, contract

_LONGEST_MESSAGE = 2000
_WITHOUT_REASON = MappingProxyType({"SUCCEEDED": "", "FAILED": "the receiver gives no reason"})


class AnswerError(Exception):
    """The text does not tell how a release ended."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the receiver told: `outcome` is None while the release goes on."""

    outcome: contract.Outcome | None = None
    status_url: str | None = None


def read(text: bytes, *, secrets: tuple[str, ...]) -> Told:
    """Read an answer; raises AnswerError if it is none. What it tells is free of the secrets."""
    try:
        document = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise AnswerError("it is no JSON") from error
    if not isinstance(document, dict):
        raise AnswerError("it is no JSON object")
    status_url = document.get("statusUrl")
    if status_url is not None and not isinstance(status_url, str):
        raise AnswerError("statusUrl must be text")
    return Told(outcome=_outcome(document, secrets), status_url=status_url)


def _outcome(document: Mapping[str, object], secrets: tuple[str, ...]) -> contract.Outcome | None:
    match document.get("outcome"):
        case None:
            return None
        case "SUCCEEDED" | "FAILED" as status:
            message = _text(document, "message", secrets)[:_LONGEST_MESSAGE]
            return contract.Outcome(
                status=contract.OutcomeStatus(status),
                message=message or _WITHOUT_REASON[status],
                output=_text(document, "output", secrets)[-command.OUTPUT_LIMIT :],
            )
        case _:
            raise AnswerError("outcome must be SUCCEEDED or FAILED, or left out")


def _text(document: Mapping[str, object], name: str, secrets: tuple[str, ...]) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise AnswerError(f"{name} must be text")
    return redaction.redact(value, secrets=secrets)
