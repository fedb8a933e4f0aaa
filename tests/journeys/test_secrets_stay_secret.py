"""S12: credentials are found nowhere but where they belong."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import sql

from app import embedded
from tests.journeys import product as products
from tests.journeys.client import Api
from tests.journeys.conftest import Launch
from tests.journeys.test_deployments import release_by
from tests.journeys.test_subscriptions import listening

PLANTED = "planted-Pa$$word/4711"


@pytest.fixture
def api(launch: Launch, server: embedded.Address) -> Api:
    """A product whose provider turns away the administrator, password and all."""
    return launch(
        operation_timeout="2",
        log_level="debug",
        postgres_provider_dsn=(
            f"postgresql://{embedded.PROVIDER_ROLE}:{quote(PLANTED, safe='')}"
            f"@{server.host}:{server.port}/postgres"
        ),
    )


def test_secrets_are_found_nowhere(api: Api, server: embedded.Address, directory: Path) -> None:
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    api.deploy(project.test, status="FAILED")
    assert api.wait_for_failure(service)["error"]["message"]

    api.product.stop()
    provider = products.provider_dsn(server)
    api.product.environment["SERVICEBOOK_POSTGRES_PROVIDER_DSN"] = provider
    api.product.start()
    release_by(api, project.test, directory / "app.env", 'echo "$DATABASE_URL"; exit 1')
    api.deploy(project.test, status="FAILED")  # its output tells the password
    api.wait(service, operation=None, secretVersion=2)
    first = api.dsn(service)
    release_by(api, project.test, directory / "app.env", 'echo "$DATABASE_URL"')
    api.deploy(project.test)
    api.do("rotateCredentials", id=service)
    api.wait(service, operation=None, secretVersion=3)
    second = api.dsn(service)
    api.deploy(project.test)
    api.history(service)
    api.ask("{ auditEvents(first: 100) { nodes { event details reason } } }")
    passwords = [urlsplit(dsn).password or "" for dsn in (first, second)]
    assert len(set(passwords)) == 2
    with listening(api, 'subscription { auditEvents(after: "0") { event } }') as stream:
        assert next(iter(stream))
    places = {
        "database": contents(api.product.dsn),
        "output": api.product.output,
        "answers": "\n".join(api.answers),
    }

    assert "the story looks inside" in places["database"]  # so that what is there is found
    found = [
        (place, secret)
        for place, text in places.items()
        for secret in (PLANTED, quote(PLANTED, safe=""), *passwords)
        if secret in text
    ]
    assert found == []
    assert "TEXT '" not in places["output"]  # frames hold tokens
    assert api.product.token not in places["database"] + places["answers"]


def contents(dsn: str) -> str:
    """Return every row of every table as text, bytes as the text that they may be."""
    with psycopg.connect(dsn) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name, data_type"
            " FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name) WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        return "\n".join(
            str(value)
            for schema, table, column, kind in columns
            for (value,) in connection.execute(
                sql.SQL(
                    "SELECT encode({}, 'escape') FROM {}"
                    if kind == "bytea"
                    else "SELECT {}::text FROM {}"
                ).format(sql.Identifier(column), sql.Identifier(schema, table))
            )
        )
