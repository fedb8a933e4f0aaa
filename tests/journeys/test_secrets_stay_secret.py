"""S12: credentials are found nowhere but where they belong."""

import base64
import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
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

PLANTED = "planted-Pa$$word/4711"  # in what providers say
GIVEN = "given-Pa$$word/4712"  # as a parameter
CHANGED = "given-Pa$$word/4713"
REFUSED = "refused-Pa$$word/4714"
SECRET_PARAMETER = """
[offerings.plans.parameters.properties.admin_password]
type = "string"
pattern = "^given"
writeOnly = true

[offerings.plans.parameters.properties.extensions]"""
# Tasks that are done are deleted, and so is what is known of those that broke.
KEEP = """
    CREATE TABLE public.kept (kept text);
    CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.kept VALUES (NEW::text); RETURN NULL; END';
    CREATE TRIGGER keep AFTER INSERT OR UPDATE ON public.procrastinate_jobs
    FOR EACH ROW EXECUTE FUNCTION public.keep();
    CREATE TRIGGER keep AFTER INSERT OR UPDATE ON work.troubles
    FOR EACH ROW EXECUTE FUNCTION public.keep();
"""


class _Gossip(http.server.BaseHTTPRequestHandler):
    """A provider that repeats what it was told, password and all, when it turns somebody away."""

    def do_GET(self) -> None:
        told = self.headers["authorization"].partition(" ")[2]
        reason = f"cannot log in: {base64.b64decode(told).decode()}"
        body = json.dumps({"error": "not_authorised", "reason": reason}).encode()
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET  # noqa: N815  the name that the server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gossip() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Gossip) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://admin:{quote(PLANTED, safe='')}@127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def api(launch: Launch, server: embedded.Address, directory: Path, gossip: str) -> Api:
    """A product whose providers turn away the administrator, password and all."""
    shipped = (products.ROOT / "app" / "catalogue.toml").read_text()
    catalogue = directory / "catalogue.toml"
    mark = "\n[offerings.plans.parameters.properties.extensions]"
    catalogue.write_text(shipped.replace(mark, SECRET_PARAMETER, 1))
    api = launch(
        operation_timeout="4",
        log_level="debug",
        catalogue=str(catalogue),
        rabbitmq_provider_url=gossip,
        postgres_provider_dsn=(
            f"postgresql://{embedded.PROVIDER_ROLE}:{quote(PLANTED, safe='')}"
            f"@{server.host}:{server.port}/postgres"
        ),
    )
    with psycopg.connect(api.product.dsn) as connection:
        connection.execute(KEEP)
    return api


def test_secrets_are_found_nowhere(api: Api, server: embedded.Address, directory: Path) -> None:
    project = api.deployable_project()
    service = api.default(project.test, "DATABASE")
    fail_by_provider(api, project.live)
    give_secret_parameters(api, project.live)
    api.deploy(project.test, status="FAILED")
    assert api.wait_for_failure(service)["error"]["message"]

    api.product.stop()
    provider = products.provider_dsn(server)
    api.product.environment["SERVICEBOOK_POSTGRES_PROVIDER_DSN"] = provider
    api.product.start()
    passwords = use_credentials(api, project.test, service, directory)
    api.history(service)
    api.ask("{ auditEvents(first: 100) { nodes { event details reason } } }")
    with listening(api, 'subscription { auditEvents(after: "0") { event details } }') as stream:
        told = [json.dumps(each) for each in itertools.islice(stream, 40)]
    places = {
        "database": contents(api.product.dsn),
        "output": api.product.output,
        "answers": "\n".join([*api.answers, *told]),
        "list of tasks": api.product.run("tasks").stdout,
    }

    # So that what is there is found:
    assert "the story looks inside" in places["answers"]
    assert "perform_operation" in places["database"]
    assert "not_authorised: cannot log in: admin:[redacted]" in places["database"]
    found = [
        (place, secret)
        for place, text in places.items()
        for planted in (PLANTED, GIVEN, CHANGED, REFUSED, *passwords)
        for secret in (planted, quote(planted, safe=""), json.dumps(planted)[1:-1])
        if secret in text
    ]
    assert found == []
    assert "TEXT '" not in places["output"]  # frames hold tokens
    assert api.product.token not in places["database"] + places["answers"]


def fail_by_provider(api: Api, environment: str) -> None:
    queue = api.add(environment, "rabbitmq")
    api.do("provisionService", id=queue)
    assert "[redacted]" in api.wait_for_failure(queue)["error"]["message"]


def give_secret_parameters(api: Api, environment: str) -> None:
    refusal = api.refused(
        "addService",
        environment=environment,
        offering="postgres",
        prefix="REFUSED",
        parameters={"admin_password": REFUSED},
    )
    added = api.add(environment, prefix="GIVEN", parameters={"admin_password": GIVEN})
    given = api.service(added)["parameters"]
    api.do("configureService", id=added, parameters={"admin_password": CHANGED})
    changed = api.service(added)["parameters"]
    api.do("configureService", id=added, parameters={"admin_password": CHANGED})
    repeated = api.service(added)["parameters"]
    api.do("provisionService", id=added)
    api.wait_for_failure(added)

    assert refusal["code"] == "PARAMETERS_INVALID"
    assert [list(each) for each in (given, changed)] == [["admin_password"]] * 2
    assert [list(each["admin_password"]) for each in (given, changed)] == [["$sealed"]] * 2
    assert given != changed == repeated


def use_credentials(api: Api, environment: str, service: str, directory: Path) -> list[str]:
    """Deploy, rotate and deploy, with commands that tell what they are given."""
    release_by(api, environment, directory / "app.env", 'echo "$DATABASE_URL"; exit 1')
    api.deploy(environment, status="FAILED")
    api.wait(service, operation=None, secretVersion=2)
    first = api.dsn(service)
    release_by(api, environment, directory / "app.env", 'echo "$DATABASE_URL"')
    api.deploy(environment)
    api.do("rotateCredentials", id=service)
    api.wait(service, operation=None, secretVersion=3)
    second = api.dsn(service)
    api.deploy(environment)
    passwords = [urlsplit(dsn).password or "" for dsn in (first, second)]
    assert len(set(passwords)) == 2
    return passwords


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
