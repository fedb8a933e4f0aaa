"""What a database holds, as a backup has it."""

import base64
import subprocess

from app import embedded


def dumped(dsn: str, *options: str) -> bytes:
    """Return what pg_dump writes: SQL, unless the options say otherwise."""
    command = [embedded.program("pg_dump"), *options, f"--dbname={dsn}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def restored(dsn: str, dump: bytes) -> None:
    """Let psql run a dump."""
    command = [embedded.program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={dsn}"]
    subprocess.run(command, check=True, capture_output=True, input=dump)


def holds(dump: bytes, text: str) -> bool:
    """Is the text there, as it is or as the bytes that it has?"""
    plain = text.encode()
    whole = len(plain) - len(plain) % 3
    written = (plain, plain.hex().encode(), base64.b64encode(plain[:whole]))
    return any(each in dump for each in written)
