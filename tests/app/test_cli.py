import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
import pytest
from click import testing
from psycopg import conninfo, sql

from app import cli, embedded, settings
from app.access import tokens

COMMAND = (sys.executable, "-c", "from app.cli import main; main()")
PATIENCE = 90.0  # seconds


def run(
    *arguments: str, directory: Path, output: IO[str] | int = subprocess.PIPE, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=directory,
        timeout=PATIENCE,
        env={"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
    )


def assert_one_clear_line(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert done.returncode == 1, f"{done.stdout}{done.stderr}"
    *_, line = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert expected in line
    assert "Traceback" not in done.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    done = run("--help", directory=tmp_path)

    assert done.returncode == 0
    for command in ("migrate", "settings", "token"):
        assert f"\n  {command} " in done.stdout


def test_settings_are_explained(tmp_path: Path) -> None:
    done = run("settings", directory=tmp_path, SERVICEBOOK_PORT="9000")

    assert done.returncode == 0
    assert "SERVICEBOOK_PORT = 9000" in done.stdout


def test_wrong_settings_are_told_in_one_line(tmp_path: Path) -> None:
    done = run("migrate", directory=tmp_path, SERVICEBOOK_PORT="high", SERVICEBOOK_HOTS="x")

    assert_one_clear_line(done, "SERVICEBOOK_PORT")
    assert "SERVICEBOOK_HOTS" in done.stderr
    assert not (tmp_path / ".data").exists()


def test_settings_are_explained_even_if_they_are_wrong(tmp_path: Path) -> None:
    done = run("settings", directory=tmp_path, SERVICEBOOK_PORT="high")

    assert_one_clear_line(done, "SERVICEBOOK_PORT")
    assert "SERVICEBOOK_PORT = 8000" in done.stdout


def test_unreachable_database_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dsn = f"postgresql://me:hunter2@127.0.0.1:{unused.getsockname()[1]}/ledger"

        done = run("migrate", directory=tmp_path, DATABASE_URL=dsn)

    assert_one_clear_line(done, "cannot be reached")
    assert "hunter2" not in done.stderr


def test_the_users_database_is_migrated(tmp_path: Path, empty_database: str) -> None:
    done = run("migrate", directory=tmp_path, DATABASE_URL=empty_database)

    assert done.returncode == 0, done.stderr
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM access.tokens").fetchone() == (0,)
    assert not (tmp_path / ".data").exists()


@pytest.fixture
def stranger(empty_database: str) -> Iterator[str]:
    """Connection string of a role that may enter the database and do nothing there."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute("CREATE ROLE stranger LOGIN")
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO stranger").format(name))
        yield conninfo.make_conninfo(empty_database, user="stranger")
        connection.execute("DROP OWNED BY stranger")
        connection.execute("DROP ROLE stranger")


@pytest.mark.parametrize("command", ["serve", "worker", "tasks", "migrate"])
def test_a_role_that_may_not_make_the_schema_is_told_what_it_needs(
    tmp_path: Path, stranger: str, command: str
) -> None:
    done = run(command, directory=tmp_path, DATABASE_URL=stranger)

    database = conninfo.conninfo_to_dict(stranger)["dbname"]
    assert_one_clear_line(
        done, f"The role stranger cannot make the schema of the database {database}"
    )
    assert "needs CREATE on the database" in done.stderr


def test_a_database_that_cannot_be_written_is_refused(tmp_path: Path, empty_database: str) -> None:
    standby = conninfo.make_conninfo(empty_database, options="-c default_transaction_read_only=on")

    done = run("tasks", directory=tmp_path, DATABASE_URL=standby)

    assert_one_clear_line(done, "is read-only")


def test_a_database_of_another_encoding_is_refused(
    tmp_path: Path, server: embedded.Address
) -> None:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE of_bytes TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'"
        )

        done = run("migrate", directory=tmp_path, DATABASE_URL=server.dsn("of_bytes"))

        connection.execute("DROP DATABASE of_bytes WITH (FORCE)")
    assert_one_clear_line(done, "it needs the encoding UTF8")


@pytest.mark.parametrize("place", ["a_file", "a_file/below", "/proc/servicebook"])
@pytest.mark.parametrize("command", ["serve", "worker", "tasks", "keys rotate"])
def test_a_data_directory_that_cannot_be_made_is_told_in_one_line(
    tmp_path: Path, place: str, command: str
) -> None:
    (tmp_path / "a_file").touch()

    done = run(*command.split(), directory=tmp_path, SERVICEBOOK_DATA_DIRECTORY=place)

    assert_one_clear_line(done, place.removesuffix("/below"))


def test_a_key_ring_that_cannot_be_made_is_told_in_one_line(
    tmp_path: Path, empty_database: str
) -> None:
    (tmp_path / "a_file").touch()

    done = run(
        *("keys", "rotate"),
        directory=tmp_path,
        DATABASE_URL=empty_database,
        SERVICEBOOK_DATA_DIRECTORY="a_file",
    )

    assert_one_clear_line(done, "key ring a_file/keyring.json: File exists")


def test_an_empty_host_counts_as_not_given(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = run("serve", "--host", "", "--port", f"{port}", directory=tmp_path)

    assert_one_clear_line(done, f"Cannot listen on 127.0.0.1 port {port}")


@pytest.mark.anyio
async def test_a_token_is_made_and_printed_alone(tmp_path: Path, empty_database: str) -> None:
    done = run(
        *("token", "create", "--name", "ci", "--subject", "robot"),
        directory=tmp_path,
        DATABASE_URL=empty_database,
    )

    assert done.returncode == 0, done.stderr
    async with await psycopg.AsyncConnection.connect(empty_database) as connection:
        token_hash = tokens.hash_of(done.stdout.strip())
        assert token_hash is not None
        [found] = await tokens.callers(connection=connection, hashes=[token_hash])
    assert found is not None
    who = found.caller
    assert (who.subject, who.name, who.roles) == ("robot", "ci", frozenset())


def test_the_command_that_the_explorer_shows_makes_a_token(
    tmp_path: Path, empty_database: str
) -> None:
    page = (Path(cli.__file__).parent / "graphiql" / "web" / "index.html").read_text()
    shown = re.search(r"<code>servicebook (.*)</code>", page)
    assert shown is not None

    done = run(*shown.group(1).split(), directory=tmp_path, DATABASE_URL=empty_database)

    assert done.returncode == 0, done.stderr
    assert tokens.hash_of(done.stdout.strip()) is not None


def test_tokens_are_listed_and_revoked(empty_database: str) -> None:
    def token(*arguments: str) -> str:
        done = testing.CliRunner().invoke(
            cli.main, ["token", *arguments], env={"DATABASE_URL": empty_database}
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    token("create", "--name", "rota", "--subject", "jane", "--role", "operator", "--days", "7")
    line = token("list")
    token("revoke", line.split()[0])

    assert re.fullmatch(
        r"tok_\w{32}  valid until [-\dT:]+Z  used never  jane  'rota'  OPERATOR\n", line
    )
    assert token("list") == ""
    assert token("list", "--all").split()[1] == "revoked"


def test_a_token_that_makes_no_sense_is_refused(empty_database: str) -> None:
    arguments = ["token", "create", "--name", "x", "--subject", "jane", "--role", "VIEWER"]

    done = testing.CliRunner().invoke(cli.main, arguments, env={"DATABASE_URL": empty_database})

    assert done.exit_code == 1
    assert "Error: A project role needs projects" in done.stderr


def test_a_first_token_that_cannot_be_kept_is_told_in_one_line(
    tmp_path: Path, database: str
) -> None:
    (tmp_path / "file").touch()

    done = run(
        *("serve", "--port", "0"),
        directory=tmp_path,
        DATABASE_URL=database,
        SERVICEBOOK_DATA_DIRECTORY=str(tmp_path / "file" / "data"),
        SERVICEBOOK_KEYRING=str(tmp_path / "keyring.json"),
        SERVICEBOOK_AUDIT_KEY=str(tmp_path / "audit_key.pem"),
    )

    assert_one_clear_line(done, "The first token cannot be kept")


@pytest.mark.parametrize("days", ["0", "3000000", "nan", "inf"])
def test_a_token_of_too_many_days_or_none_is_refused(tmp_path: Path, days: str) -> None:
    done = run(
        *("token", "create", "--name", "x", "--subject", "jane", "--days", days),
        directory=tmp_path,
    )

    assert done.returncode == 2, done.stderr
    assert "Error: Invalid value for '--days': " in done.stderr
    assert "Traceback" not in done.stderr


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="writes to /dev/full")


@on_linux
@pytest.mark.parametrize("command", ["audit key", "events export", "settings", "schema"])
def test_output_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, database: str, command: str
) -> None:
    create = ("token", "create", "--name", "x", "--subject", "jane")
    assert run(*create, directory=tmp_path, DATABASE_URL=database).returncode == 0
    with Path("/dev/full").open("w") as full:
        done = run(*command.split(), directory=tmp_path, output=full, DATABASE_URL=database)

    assert_one_clear_line(done, "No space left on device")


@on_linux
def test_what_went_wrong_is_told_whole_to_whoever_debugs(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("schema", directory=tmp_path, output=full, SERVICEBOOK_LOG_LEVEL="debug")

    assert done.returncode == 1
    assert "Traceback" in done.stderr


@on_linux
def test_a_token_that_nobody_saw_is_told_by_its_id(tmp_path: Path, database: str) -> None:
    create = ("token", "create", "--name", "x", "--subject", "jane")
    with Path("/dev/full").open("w") as full:
        done = run(*create, directory=tmp_path, output=full, DATABASE_URL=database)

    listed = run("token", "list", directory=tmp_path, DATABASE_URL=database)
    assert_one_clear_line(done, f"`servicebook token revoke {listed.stdout.split()[0]}`")


def test_without_a_database_the_embedded_one_is_used(directory: Path) -> None:
    done = run("migrate", directory=directory)

    assert done.returncode == 0, done.stderr
    cluster = settings.Settings(data_directory=directory / ".data").cluster_directory
    with (
        embedded.running(data=cluster) as address,
        psycopg.connect(address.dsn(embedded.LEDGER_DATABASE)) as connection,
    ):
        assert connection.execute("SELECT count(*) FROM access.tokens").fetchone() == (0,)


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",), ("keys", "rotate")])
def test_nobody_starts_with_another_key_ring_than_the_databases(
    tmp_path: Path, empty_database: str, command: tuple[str, ...]
) -> None:
    """As in another working directory, where `.data` is another one."""
    variables = {"DATABASE_URL": empty_database, "SERVICEBOOK_EMBEDDED_S3": "false"}
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    made = run("keys", "rotate", directory=here, **variables)
    assert made.returncode == 0, made.stderr

    refused = run(*command, directory=elsewhere, **variables)

    assert_one_clear_line(refused, f"{elsewhere / '.data' / 'keyring.json'} (SERVICEBOOK_KEYRING)")
    assert "put back the key ring that was in use" in refused.stderr
    assert not (elsewhere / ".data" / "keyring.json").exists()
