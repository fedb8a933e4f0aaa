"""Signed notes and checkpoints, read strictly (c2sp.org/signed-note, c2sp.org/tlog-checkpoint)."""

import base64
import binascii
import dataclasses
import hashlib
import re
from collections.abc import Sequence

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ed25519

_MARK = "\N{EM DASH} "
_ED25519 = 1
_SIGNATURE = re.compile(rf"{_MARK}([^\s+]+) ([A-Za-z0-9+/]+={{0,2}})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class NoteError(Exception):
    """A note is malformed, or nobody that is trusted has signed it."""


@dataclasses.dataclass(frozen=True)
class VerifierKey:
    """A public key and the name that it signs under."""

    name: str
    key_id: bytes
    key: ed25519.Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Return the key that `name+id+base64` says. Raises NoteError."""
        match text.strip().split("+", 2):
            case [name, key_id, encoded] if name and not re.search(r"\s", name):
                public = _decoded(encoded)
            case _:
                raise NoteError("A verifier key reads name+id+key.")
        expected = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        if len(public) != 33 or public[0] != _ED25519 or key_id != expected.hex():  # noqa: PLR2004  the kind, and 32 bytes
            raise NoteError("The verifier key is damaged, or not an Ed25519 key.")
        return cls(name, expected, ed25519.Ed25519PublicKey.from_public_bytes(public[1:]))


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a note says about a log."""

    origin: str
    size: int
    root: bytes


def opened(note: str, *, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint of a note that one of the keys has signed under the log's own name.

    Raises NoteError; a wrong signature of a known key fails the note whatever else it holds.
    """
    text, signers = signed(note, keys=keys)
    checkpoint = _checkpoint(text)
    if checkpoint.origin not in signers:
        raise NoteError(f"No key that is trusted has signed for {checkpoint.origin}.")
    return checkpoint


def signed(note: str, *, keys: Sequence[VerifierKey]) -> tuple[str, set[str]]:
    """Return the text of a note, and which of the keys have signed it, by name. Likewise."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n") or _CONTROL.search(note):
        raise NoteError("This is no signed note.")
    text += "\n"
    lines = signatures[:-1].split("\n")
    return text, {key.name for line in lines for key in keys if _is_signed(text, line, key)}


def split(text: str) -> list[str]:
    """Return the notes of a file that holds one after the other."""
    notes, current = [], ""
    lines = text.splitlines(keepends=True)
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        current += line
        if line.startswith(_MARK) and not following.startswith(_MARK):
            notes.append(current)
            current = ""
    return [*notes, current] if current.strip() else notes


def _is_signed(text: str, line: str, key: VerifierKey) -> bool:
    """Tell whether the line is the signature of the key; another key's is not. Raises NoteError."""
    found = _SIGNATURE.fullmatch(line)
    if found is None:
        raise NoteError("The note has a malformed signature.")
    data = _decoded(found[2])
    if found[1] != key.name or data[:4] != key.key_id:
        return False
    try:
        key.key.verify(data[4:], text.encode())
    except exceptions.InvalidSignature as error:
        raise NoteError(f"The signature of {key.name} is wrong.") from error
    return True


def _checkpoint(text: str) -> Checkpoint:
    match text[:-1].split("\n"):
        case [origin, size, root, *others] if origin and _SIZE.fullmatch(size) and all(others):
            decoded = _decoded(root)
        case _:
            raise NoteError("The note is no checkpoint.")
    if len(decoded) != hashlib.sha256().digest_size:
        raise NoteError("The root of the checkpoint is no SHA-256.")
    return Checkpoint(origin, int(size), decoded)


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("The note holds malformed base64.") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise NoteError("The note holds base64 that is not canonical.")
    return data
