"""Signs messages as Standard Webhooks (standardwebhooks.com) says, version 1 with a shared key."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

_MARK = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes, as the specification has it


class SigningKeyError(Exception):
    """The text is no signing key; the message does not repeat it."""


def key_of(text: str) -> bytes:
    """Return the bytes of a key, `whsec_` and base64; raises SigningKeyError."""
    try:
        key = base64.b64decode(text.removeprefix(_MARK), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_MARK) or not _SHORTEST <= len(key) <= _LONGEST:
        # Raised here: the error of the decoder may carry the text.
        raise SigningKeyError(
            f"must be {_MARK} and {_SHORTEST} to {_LONGEST} random bytes in base64"
        )
    return key


def headers(*, key: bytes, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the headers that let the receiver tell who sent the message, and when."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(key, signed, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
