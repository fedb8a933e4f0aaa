import contextlib
import json
import os
import pwd
import shutil
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app import embedded

# Nobody pulls a plug here: what the kernel has was written, and tests need not wait for the disk.
NO_SYNC = {"fsync": "off"}
HOLD = f"""
import json, sys
from pathlib import Path
from app import embedded
with embedded.running(data=Path(sys.argv[1]), settings={NO_SYNC}) as address:
    print(json.dumps([address.dsn("servicebook"), address.port]), flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="lends the server other accounts")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster that was started once: copying it is faster than making one."""
    place = tmp_path_factory.mktemp("initialised")
    with running(place / "postgres"):
        pass
    cluster = (place / "postgres").resolve()
    yield cluster
    shutil.rmtree(cluster.parent)


@pytest.fixture
def new_data(directory: Path) -> Iterator[Path]:
    yield directory / "postgres"
    eventually(lambda: not servers(directory / "postgres"))


@pytest.fixture
def data(new_data: Path, initialised: Path) -> Path:
    subprocess.run(["/bin/cp", "-a", initialised, new_data], check=True)
    return new_data


def running(data: Path) -> contextlib.AbstractContextManager[embedded.Address]:
    return embedded.running(data=data, settings=NO_SYNC)


class Holder:
    """Another process that holds the server."""

    def __init__(self, data: Path, user: str | None = None) -> None:
        self.process = subprocess.Popen(
            [python_for(user), "-c", HOLD, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            user=user,
            env={
                "PYTHONPATH": os.pathsep.join([str(ROOT), *site.getsitepackages()]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    def dsn(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        return str(json.loads(line)[0])

    def end(self) -> None:
        self.process.communicate(timeout=30)


def python_for(user: str | None) -> str:
    """An interpreter that the user can run: root's own may lie in a private directory."""
    name = f"python3.{sys.version_info.minor}"
    places = Path(sys.executable).resolve().parents
    if user is None or all(place.stat().st_mode & 0o001 for place in places):
        return sys.executable
    shared = shutil.which(name, path="/usr/local/bin:/usr/bin")
    return shared or pytest.skip(f"{user} can run no {name} here")


@contextlib.contextmanager
def held(data: Path, user: str | None = None) -> Iterator[Holder]:
    holder = Holder(data, user)
    try:
        yield holder
    finally:
        if holder.process.poll() is None:
            holder.process.kill()
        holder.process.communicate()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in 20 seconds"
        time.sleep(0.01)


def servers(data: Path) -> list[int]:
    """Processes of PostgreSQL that work in the data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == data.resolve():
                found.append(int(entry.name))
    return found


def postmaster(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


def commit_row(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (what text)")
        connection.execute("INSERT INTO kept VALUES ('committed')")


def rows(dsn: str) -> list[tuple[str]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT what FROM kept").fetchall()


def answer(dsn: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn):
        return True
    return False


def test_second_start_is_fast_and_keeps_rows_and_port(data: Path) -> None:
    with embedded.running(data=data) as first:
        commit_row(first.dsn("servicebook"))

    started = time.monotonic()
    with embedded.running(data=data) as second:
        took = time.monotonic() - started

        assert rows(second.dsn("servicebook")) == [("committed",)]
    assert second == first
    assert took < 1


@on_linux
def test_killed_holder_leaves_no_server_and_loses_nothing(data: Path) -> None:
    with held(data) as holder:
        commit_row(holder.dsn())

        holder.process.kill()
        holder.process.wait()

        eventually(lambda: not servers(data))
    with running(data) as address:
        assert rows(address.dsn("servicebook")) == [("committed",)]


@on_linux
def test_start_right_after_a_kill_waits_for_the_old_server(data: Path) -> None:
    with held(data) as holder:
        commit_row(holder.dsn())

        holder.process.kill()
        with running(data) as address:
            assert rows(address.dsn("servicebook")) == [("committed",)]


def test_killed_postmaster_is_started_again(data: Path) -> None:
    with running(data) as address:
        dsn = address.dsn("servicebook")
        commit_row(dsn)
        killed = postmaster(data)

        os.kill(killed, signal.SIGKILL)

        eventually(lambda: answer(dsn) and postmaster(data) != killed)
        assert rows(dsn) == [("committed",)]


@on_linux
def test_killed_holder_and_postmaster_lose_nothing(data: Path) -> None:
    with held(data) as holder:
        commit_row(holder.dsn())

        os.kill(postmaster(data), signal.SIGKILL)
        holder.process.kill()

        with running(data) as address:
            assert rows(address.dsn("servicebook")) == [("committed",)]


def test_pid_that_now_belongs_to_another_program_is_no_obstacle(data: Path) -> None:
    with running(data) as address:
        commit_row(address.dsn("servicebook"))
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n\n\n")

    with running(data) as address:
        assert rows(address.dsn("servicebook")) == [("committed",)]


def test_pid_of_another_cluster_is_no_obstacle(data: Path) -> None:
    with running(data):
        pass
    with running(data.with_name("other")) as other:
        record = data.with_name("other") / "postmaster.pid"
        shutil.copy(record, data / "postmaster.pid")

        with running(data) as address:
            assert address.port != other.port
        assert answer(other.dsn("servicebook"))


def test_interrupted_initialisation_is_done_again(new_data: Path) -> None:
    half = new_data.with_name(f"{new_data.name}-new-interrupted")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    with running(new_data) as address:
        assert answer(address.dsn("servicebook"))
    assert not half.exists()


@on_linux
def test_kill_during_initialisation_is_no_obstacle(new_data: Path) -> None:
    with held(new_data) as holder:
        eventually(lambda: any(new_data.parent.glob(f"{new_data.name}-new-*/*")))
        holder.process.kill()
        holder.process.wait()
        assert not new_data.exists()

        with running(new_data) as address:
            assert answer(address.dsn("servicebook"))
    with running(new_data):
        pass
    assert not list(new_data.parent.glob(f"{new_data.name}-new-*"))


def test_processes_starting_at_once_share_one_server(new_data: Path) -> None:
    with held(new_data) as first, held(new_data) as second, held(new_data) as third:
        dsns = {first.dsn(), second.dsn(), third.dsn()}

        assert len(dsns) == 1
        commit_row(dsns.pop())


def test_sharing_process_takes_over_when_the_owner_ends(data: Path) -> None:
    with held(data) as owner:
        dsn = owner.dsn()
        commit_row(dsn)
        with running(data) as shared:
            owner.end()

            eventually(lambda: answer(dsn))
            assert rows(shared.dsn("servicebook")) == [("committed",)]


def test_tcp_wants_a_password(data: Path) -> None:
    with running(data) as address:
        with psycopg.connect(address.dsn("postgres"), autocommit=True) as connection:
            connection.execute("CREATE ROLE tenant LOGIN PASSWORD 'right'")
            connection.execute("CREATE DATABASE tenant OWNER tenant")
        tcp = f"host={address.host} port={address.port}"

        with psycopg.connect(f"{tcp} user=tenant password=right dbname=tenant") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        for refused, reason in (
            ("user=postgres dbname=servicebook", "no password supplied"),
            ("user=servicebook_provider dbname=postgres", "no password supplied"),
            ("user=tenant dbname=tenant password=wrong", "password authentication failed"),
            ("user=tenant dbname=servicebook password=right", "permission denied"),
            ("user=tenant dbname=postgres password=right", "permission denied"),
            ("user=tenant dbname=template1 password=right", "permission denied"),
        ):
            with pytest.raises(psycopg.OperationalError, match=reason):
                psycopg.connect(f"{tcp} {refused}")


def test_provider_makes_databases_and_cannot_see_the_ledger(data: Path) -> None:
    with running(data) as address:
        provider = address.dsn("postgres", user=embedded.PROVIDER_ROLE)
        with psycopg.connect(provider, autocommit=True) as connection:
            connection.execute("CREATE ROLE tenant")
            connection.execute("CREATE DATABASE tenant TEMPLATE template0")

        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(address.dsn("servicebook", user=embedded.PROVIDER_ROLE))


def test_taken_port_is_refused_with_the_way_out(data: Path) -> None:
    with running(data) as address:
        pass

    with socket.create_server((address.host, address.port)):
        expected = f"Port {address.port} .* is taken by another program.*postgres.port"
        with (
            pytest.raises(embedded.EmbeddedError, match=expected),
            running(data),
        ):
            pass


def test_broken_data_is_refused_with_the_end_of_the_log(data: Path) -> None:
    with running(data):
        pass
    (data / "PG_VERSION").write_text("9\n")

    with (
        pytest.raises(embedded.EmbeddedError, match="incompatible with server"),
        running(data),
    ):
        pass


def test_long_paths_get_a_short_socket_directory(new_data: Path) -> None:
    deep = new_data.parent / ("long" * 20) / "postgres"

    with running(deep) as address:
        assert answer(address.dsn("servicebook"))
    assert address.sockets != deep
    address.sockets.rmdir()


def test_settings_reach_the_server(data: Path) -> None:
    with (
        embedded.running(data=data, settings={"fsync": "off", "work_mem": "7MB"}) as address,
        psycopg.connect(address.dsn("servicebook")) as connection,
    ):
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)


@as_root
def test_ordinary_user_runs_the_server_as_itself(new_data: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(new_data.parent, nobody.pw_uid, nobody.pw_gid)

    with held(new_data, user="nobody") as holder:
        commit_row(holder.dsn())

        assert new_data.stat().st_uid == nobody.pw_uid
        assert Path(f"/proc/{postmaster(new_data)}").stat().st_uid == nobody.pw_uid


@as_root
def test_private_directory_of_root_gets_a_linked_cluster(new_data: Path) -> None:
    new_data.parent.chmod(0o700)

    with running(new_data) as address:
        commit_row(address.dsn("servicebook"))
    with running(new_data) as address:
        assert rows(address.dsn("servicebook")) == [("committed",)]

    assert new_data.is_symlink()
    assert new_data.parent.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(new_data.resolve().parent)


def test_programs_of_the_package_run() -> None:
    done = subprocess.run(
        [embedded.program("pg_dump"), "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("pg_dump (PostgreSQL) 18")
