"""The keys that seal credentials: a file beside the database, never in it."""

import base64
import binascii
import contextlib
import enum
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SecretsErrorCode(enum.StrEnum):
    """Why sealed credentials cannot be used."""

    KEY_RING_UNUSABLE = "KEY_RING_UNUSABLE"
    KEY_MISSING = "KEY_MISSING"
    KEY_RING_REPLACED = "KEY_RING_REPLACED"
    SEAL_BROKEN = "SEAL_BROKEN"


class SecretsError(Exception):
    """Sealed credentials cannot be used."""

    def __init__(self, *, code: SecretsErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class KeyRingError(SecretsError):
    """The file of keys cannot be used as it is."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(
            code=SecretsErrorCode.KEY_RING_UNUSABLE, message=f"key ring {path}: {reason}"
        )
        self.path = path


class KeyMissingError(SecretsError):
    """Something was sealed with a key that the key ring does not hold."""

    def __init__(self, *, path: Path, key_id: str) -> None:
        super().__init__(
            code=SecretsErrorCode.KEY_MISSING,
            message=f"sealed with key {key_id}, which is not in the key ring {path}: "
            "put back the key ring that was in use when it was sealed",
        )
        self.path = path
        self.key_id = key_id


class KeyRingReplacedError(SecretsError):
    """The file of keys is not the one that the database is sealed with, or is gone."""

    def __init__(self, *, path: Path, key_ids: Collection[str], is_there: bool) -> None:
        ring = f"the key ring {path.absolute()} (SERVICEBOOK_KEYRING)"
        lack = f"which {ring} does not have" if is_there else f"but {ring} is not there"
        super().__init__(
            code=SecretsErrorCode.KEY_RING_REPLACED,
            message=f"the database is sealed with key {', '.join(sorted(key_ids))}, {lack}: "
            "put back the key ring that was in use",
        )
        self.path = path
        self.key_ids = key_ids


@dataclass(frozen=True, kw_only=True)
class _Keys:
    primary: str
    by_id: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What tells a file from the one that was read before."""

    inode: int
    changed_at: int
    size: int


class KeyRing:
    """The keys in a file, shared by processes; the primary one seals, all of them open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.reload()

    @classmethod
    def open(cls, path: Path, *, in_use: Collection[str] = ()) -> "KeyRing":
        """Read the file, which is made on first use, as long as no key is in use.

        Raises KeyRingError if it is not private, KeyRingReplacedError if it lacks a key in use.
        """
        try:
            if not in_use:
                _ensure(path)
            elif not path.exists():
                raise KeyRingReplacedError(path=path, key_ids=in_use, is_there=False)
        except OSError as error:
            raise KeyRingError(path=path, reason=str(error.strerror)) from error
        ring = cls(path)
        ring.require(in_use)
        return ring

    @property
    def primary(self) -> str:
        """The id of the key that seals."""
        return self._keys.primary

    def rotate(self) -> str:
        """Seal with a new key from now on; the old ones still open. Returns the new key's id."""
        with _locked(self._path):
            key_id, key = _new_key()
            known = _read(self._path)[0].by_id
            _write(self._path, _Keys(primary=key_id, by_id={**known, key_id: key}))
        self.reload()
        return key_id

    def reload(self) -> None:
        """Read the file again: another process may have rotated."""
        self._keys, self._look = _read(self._path)

    def require(self, key_ids: Collection[str]) -> None:
        """Raise KeyRingReplacedError if the file lacks one of the keys."""
        self.reload()
        if missing := set(key_ids) - set(self._keys.by_id):
            raise KeyRingReplacedError(path=self._path, key_ids=missing, is_there=True)

    def seal(self, text: bytes, *, context: bytes) -> tuple[str, bytes]:
        """Return the key's id and the sealed text, which opens in the same context only.

        Raises KeyRingError if the file is gone or cannot be used: nobody else could open it.
        """
        # A key that was rotated away may be deleted: nothing must be sealed with it any more.
        if _look_at(self._path) != self._look:
            self.reload()
        keys = self._keys
        return keys.primary, encrypted(text, key=keys.by_id[keys.primary], context=context)

    def unseal(self, sealed: bytes, *, key_id: str, context: bytes) -> bytes:
        """Return the text; raises KeyMissingError, and InvalidTag if anything was changed."""
        if key_id not in self._keys.by_id:
            self.reload()
        key = self._keys.by_id.get(key_id)
        if key is None:
            raise KeyMissingError(path=self._path, key_id=key_id)
        return decrypted(sealed, key=key, context=context)


def new_key() -> bytes:
    """Return a new key for AES-256-GCM."""
    return AESGCM.generate_key(bit_length=8 * _KEY_BYTES)


def encrypted(text: bytes, *, key: bytes, context: bytes) -> bytes:
    """Return nonce, encrypted text and tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, context)


def decrypted(sealed: bytes, *, key: bytes, context: bytes) -> bytes:
    """Return the text; raises InvalidTag if anything was changed."""
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)


def _ensure(path: Path) -> None:
    """Make the file, unless it is there; of processes that start together, one does."""
    with _locked(path):
        if not path.exists() and not path.is_symlink():
            key_id, key = _new_key()
            _write(path, _Keys(primary=key_id, by_id={key_id: key}))


def _new_key() -> tuple[str, bytes]:
    return secrets.token_hex(4), new_key()


def _read(path: Path) -> tuple[_Keys, _Look]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except OSError as error:
        raise KeyRingError(path=path, reason=str(error.strerror)) from error
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        raise KeyRingError(path=path, reason="it is no regular file")
    if stat.S_IMODE(mode) & 0o077:
        raise KeyRingError(
            path=path, reason=f"mode {stat.S_IMODE(mode):04o} lets others in: chmod 600 it"
        )
    return _parsed(path, text), _look_of(status)


def _look_at(path: Path) -> _Look:
    try:
        return _look_of(path.stat())
    except OSError as error:
        raise KeyRingError(path=path, reason=str(error.strerror)) from error


def _look_of(status: os.stat_result) -> _Look:
    return _Look(inode=status.st_ino, changed_at=status.st_mtime_ns, size=status.st_size)


def _parsed(path: Path, text: bytes) -> _Keys:
    try:
        document = json.loads(text)
        by_id = {
            key_id: base64.b64decode(key, validate=True) for key_id, key in document["keys"].items()
        }
        primary = str(document["primary"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        reason = "it is not the JSON that was written"
    else:
        if primary in by_id and all(len(key) == _KEY_BYTES for key in by_id.values()):
            return _Keys(primary=primary, by_id=by_id)
        reason = f"it lacks its primary key, or a key is not {_KEY_BYTES} bytes long"
    # Raised here: the error of a parser may carry the text.
    raise KeyRingError(path=path, reason=reason)


def _write(path: Path, keys: _Keys) -> None:
    """Put the file in place whole and on disk, readable by its owner only."""
    encoded = {key_id: base64.b64encode(key).decode() for key_id, key in keys.by_id.items()}
    document = {"primary": keys.primary, "keys": encoded}
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time make or change the file; raises KeyRingError if none can."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise KeyRingError(path=path, reason=str(error.strerror)) from error
