import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
import pytest
from botocore import config, exceptions

from app import embedded

T = TypeVar("T")

HOLD = """
import json, sys
from pathlib import Path
from app import embedded
with embedded.storing(data=Path(sys.argv[1])) as address:
    print(json.dumps([address.port, address.access_key_id, address.secret_access_key]), flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]
BUCKET = "kept"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@contextlib.contextmanager
def held(data: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the store in another process."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()
        eventually(lambda: not servers(data))


def address_of(holder: subprocess.Popen[str]) -> embedded.StorageAddress:
    assert holder.stdout is not None
    port, key, secret = json.loads(holder.stdout.readline())
    return embedded.StorageAddress(port=port, access_key_id=key, secret_access_key=secret)


def eventually(ask: Callable[[], T], *, seconds: float = 30.0) -> T:
    """Return what is true at last; a store that is on its way refuses or stumbles."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(exceptions.BotoCoreError, exceptions.ClientError):
            if answer := ask():
                return answer
        assert time.monotonic() < deadline
        time.sleep(0.05)


def servers(data: Path) -> list[int]:
    """Processes of the store that work in the data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == data.resolve():
                found.append(int(entry.name))
    return found


def owner(process: int) -> int:
    return Path(f"/proc/{process}").stat().st_uid


def client(address: embedded.StorageAddress, *, secret: str | None = None) -> Any:  # noqa: ANN401  made at run time
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=address.endpoint,
        region_name=address.region,
        aws_access_key_id=address.access_key_id,
        aws_secret_access_key=secret or address.secret_access_key,
        config=config.Config(
            s3={"addressing_style": "path"}, proxies={}, retries={"total_max_attempts": 1}
        ),
    )


def keep(address: embedded.StorageAddress) -> None:
    store = client(address)
    eventually(lambda: store.create_bucket(Bucket=BUCKET))
    eventually(lambda: store.put_object(Bucket=BUCKET, Key="note", Body=b"kept"))


def kept(address: embedded.StorageAddress) -> bytes:
    store = client(address)
    note = eventually(lambda: store.get_object(Bucket=BUCKET, Key="note"))
    return bytes(note["Body"].read())


@on_linux
def test_killed_store_or_holder_loses_nothing_and_leaves_nothing(directory: Path) -> None:
    data = directory / "storage"
    with held(data) as holder:
        address = address_of(holder)
        keep(address)
        (running,) = servers(data)
        os.kill(running, signal.SIGKILL)
        after = kept(address)
        (again,) = servers(data)
        holder.kill()
        eventually(lambda: not servers(data))

    assert again != running
    assert after == b"kept"


@on_linux
def test_processes_share_one_store_and_take_it_over(directory: Path) -> None:
    data = directory / "storage"
    with held(data) as holder:
        theirs = address_of(holder)
        running = eventually(lambda: servers(data))
        with embedded.storing(data=data) as ours:
            keep(ours)
            shared = servers(data)
            holder.kill()
            eventually(lambda: servers(data) not in ([], running))
            after = kept(ours)

    assert theirs == ours
    assert shared == running
    assert after == b"kept"


@on_linux
def test_only_its_administrator_is_let_in_and_only_from_here(
    storage: embedded.StorageAddress,
) -> None:
    stranger = client(storage, secret="guess")

    with pytest.raises(exceptions.ClientError) as caught:
        stranger.list_buckets()

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    listening = [line[1] for line in lines if line[3] == "0A"]
    port = f":{storage.port:04X}"
    assert [place for place in listening if place.endswith(port)] == [f"0100007F{port}"]


@on_linux
def test_files_are_private_and_root_lends_another_account(directory: Path) -> None:
    data = directory / "storage"
    with embedded.storing(data=data):
        # It starts as root, and lays that down.
        eventually(lambda: [owner(each) for each in servers(data)] not in ([], [0]))
        (running,) = servers(data)
        environment = Path(f"/proc/{running}/environ").read_bytes()

    private = [data.with_name("storage.json"), data.with_name("storage.log")]
    private += [data / "identities.json", data / "security.toml"]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert data.stat().st_mode & 0o777 == 0o700
    assert b"AWS_" not in environment


def test_a_taken_port_is_told_and_waited_for(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = directory / "storage"
    with embedded.storing(data=data) as first:
        pass

    with socket.create_server((first.host, first.port)), embedded.storing(data=data):
        eventually(lambda: f"Port {first.port}" in caplog.text)

    assert str(data.with_name("storage.json")) in caplog.text
