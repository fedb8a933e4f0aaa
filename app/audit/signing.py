"""The key of the log, and checkpoints as signed notes (c2sp.org/tlog-checkpoint).

Whoever holds the public part can tell which states of the tree were ours, for ever. The private
part is a file beside the key ring: it belongs into the same backup.
"""

import base64
import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

_ED25519 = b"\x01"


class SigningKeyError(Exception):
    """The key of the log cannot be used; the text says why and what helps."""


class Signer:
    """Signs checkpoints under the name of the log, its origin."""

    def __init__(self, *, origin: str, key: ed25519.Ed25519PrivateKey) -> None:
        self._origin = origin
        self._key = key
        self._public = key.public_key().public_bytes_raw()
        named = origin.encode() + b"\n" + _ED25519 + self._public
        self._key_id = hashlib.sha256(named).digest()[:4]

    @property
    def verifier_key(self) -> str:
        """The public key, as tools for signed notes take it."""
        public = _text(_ED25519 + self._public)
        return f"{self._origin}+{self._key_id.hex()}+{public}"

    def has_signed(self, note: str) -> bool:
        """Tell whether a note of this log names the key as the one that signed it."""
        return _signer(note) == self._key_id

    def checkpoint(self, *, size: int, root: bytes) -> str:
        """Return the signed note that the tree of that size has that root."""
        return self.note(f"{self._origin}\n{size}\n{root_text(root)}\n")

    def note(self, text: str) -> str:
        """Return the text, which ends its last line, with the signature under it."""
        signature = _text(self._key_id + self._key.sign(text.encode()))
        return f"{text}\n\N{EM DASH} {self._origin} {signature}\n"


def open_key(file: Path, *, last_note: str) -> ed25519.Ed25519PrivateKey:
    """Return the key of the file, made if there is none and the log has no note yet.

    Raises SigningKeyError, also if another key signed the last note of the log.
    """
    try:
        if not file.exists():
            if last_note:
                raise _replaced(last_note, f"but the key {_named(file)} is not there")
            _make(file)
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise SigningKeyError(f"The signing key {file} cannot be used: {error}") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SigningKeyError(f"The signing key {file} is no Ed25519 key.")
    origin, _, _ = last_note.partition("\n")
    if last_note and not Signer(origin=origin, key=key).has_signed(last_note):
        raise _replaced(last_note, f"which is not the key {_named(file)}")
    return key


def _replaced(last_note: str, how: str) -> SigningKeyError:
    # One log has one key: whoever verifies it has been given the public part.
    return SigningKeyError(
        f"The log is signed with key {_signer(last_note).hex()}, {how}: put back the key that was"
        " in use."
    )


def _named(file: Path) -> str:
    return f"{file.absolute()} (SERVICEBOOK_AUDIT_KEY)"


def _make(file: Path) -> None:
    """Write a new key; of processes that start together, the first one's stays."""
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.with_name(f".{file.name}.{os.getpid()}")
    own.unlink(missing_ok=True)
    with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as private:
        private.write(pem)
        private.flush()
        os.fsync(private.fileno())
    try:
        os.link(own, file)
    except FileExistsError:
        return
    finally:
        own.unlink()


def root_text(root: bytes) -> str:
    """Return a root as checkpoints write it, on their third line."""
    return _text(root)


def _signer(note: str) -> bytes:
    """Return the id of the key that signed a note of the log: it has one signature, at the end."""
    return base64.b64decode(note.rpartition(" ")[2])[:4]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
