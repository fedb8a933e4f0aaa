"""The kinds of service, as an application has them: what its variable opens, and keeps."""

import abc
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
import httpx
import pika
import psycopg
import redis
from botocore import config, exceptions

from app import embedded
from tests import brokers
from tests.app.providers.open_service_broker import stock_broker
from tests.journeys import lines
from tests.journeys import product as products

_QUEUE = "letters"
_BROKERS = """
[brokers.acme]
url = "http://127.0.0.1:{port}"
username = "{username}"
timeout = 30

[brokers.acme.offerings.{service}]
name = "elasticsearch"
kind = "SEARCH"
credential = "uri"
"""


class Kind(abc.ABC):
    """A kind of service, its server, and an application that uses it."""

    offering: str
    suffix: str
    """What the name of its variable ends with."""

    @abc.abstractmethod
    def settings(self, line: lines.Lines, directory: Path) -> dict[str, str]:
        """Return the settings by which the product reaches the server, over a line."""

    @abc.abstractmethod
    def keep(self, dsn: str, text: str) -> None:
        """Keep a text."""

    @abc.abstractmethod
    def kept(self, dsn: str) -> str | None:
        """Return the text that is kept; None if there is none."""

    @abc.abstractmethod
    def opens(self, dsn: str) -> bool:
        """Do these credentials still open anything?"""

    @abc.abstractmethod
    def traces(self, service: str) -> list[str]:
        """Return what the server holds of a service."""


class Database(Kind):
    offering, suffix = "postgres", "DATABASE_DSN"

    def __init__(self, server: embedded.Address) -> None:
        self._server = server

    def settings(self, line: lines.Lines, directory: Path) -> dict[str, str]:  # noqa: ARG002  not needed here
        port = line.to(self._server.sockets / f".s.PGSQL.{self._server.port}")
        dsn = products.provider_dsn(self._server)
        return {
            "postgres_provider_dsn": psycopg.conninfo.make_conninfo(
                dsn, host="127.0.0.1", port=port
            ),
            "postgres_provider_address": f"{self._server.host}:{self._server.port}",
        }

    def keep(self, dsn: str, text: str) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE notes (body text)")
            connection.execute("INSERT INTO notes VALUES (%s)", [text])

    def kept(self, dsn: str) -> str | None:
        with psycopg.connect(dsn) as connection:
            found = connection.execute("SELECT body FROM notes").fetchone()
        return None if found is None else str(found[0])

    def opens(self, dsn: str) -> bool:
        return products.answers(dsn)

    def traces(self, service: str) -> list[str]:
        with psycopg.connect(self._server.dsn("postgres")) as connection:
            found = connection.execute(
                "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles"
            ).fetchall()
        return [name for (name,) in found if _hex(service) in name]


class Storage(Kind):
    offering, suffix = "s3", "STORAGE_DSN"

    def __init__(self, address: embedded.StorageAddress) -> None:
        self._address = address
        keys = {"key": address.access_key_id, "secret": address.secret_access_key}
        at = {"endpoint": address.endpoint, "region": address.region}
        self._root = _aws("s3", **at, **keys)
        self._iam = _aws("iam", **at, **keys)

    def settings(self, line: lines.Lines, directory: Path) -> dict[str, str]:  # noqa: ARG002  not needed here
        return {
            "s3_provider_endpoint": f"http://127.0.0.1:{line.to(self._address.port)}",
            "s3_provider_access_key": self._address.access_key_id,
            "s3_provider_secret_key": self._address.secret_access_key,
            "s3_provider_region": self._address.region,
            "s3_provider_address": self._address.endpoint,
        }

    def keep(self, dsn: str, text: str) -> None:
        files, bucket = _files(dsn)
        files.put_object(Bucket=bucket, Key="note", Body=text.encode())

    def kept(self, dsn: str) -> str | None:
        files, bucket = _files(dsn)
        return str(files.get_object(Bucket=bucket, Key="note")["Body"].read().decode())

    def opens(self, dsn: str) -> bool:
        files, bucket = _files(dsn)
        try:
            files.list_objects_v2(Bucket=bucket)
        except exceptions.ClientError as error:
            nothing = {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in nothing:
                return False
            raise
        return True

    def traces(self, service: str) -> list[str]:
        buckets = [each["Name"] for each in self._root.list_buckets()["Buckets"]]
        users = [each["UserName"] for each in self._iam.list_users()["Users"]]
        return [name for name in buckets + users if _hex(service) in name]


class Cache(Kind):
    offering, suffix = "redis", "CACHE_URL"

    def __init__(self, server: brokers.Broker) -> None:
        self._server = server

    def settings(self, line: lines.Lines, directory: Path) -> dict[str, str]:  # noqa: ARG002  not needed here
        port = self._server.port
        return {
            "redis_provider_url": self._server.redis_url.replace(f":{port}", f":{line.to(port)}"),
            "redis_provider_address": self._server.address,
        }

    def keep(self, dsn: str, text: str) -> None:
        with redis.Redis.from_url(dsn) as client:
            client.set(f"{_key_prefix(client)}note", text)

    def kept(self, dsn: str) -> str | None:
        with redis.Redis.from_url(dsn, decode_responses=True) as client:
            found: str | None = client.get(f"{_key_prefix(client)}note")
            return found

    def opens(self, dsn: str) -> bool:
        for is_last in (False, False, True):
            try:
                self.kept(dsn)
            except redis.AuthenticationError:
                return False
            except redis.ConnectionError:
                if is_last:
                    raise
                continue  # a revocation cut it off before it was refused
            return True
        raise AssertionError("unreachable: the last try returns or raises")

    def traces(self, service: str) -> list[str]:
        with redis.Redis.from_url(self._server.redis_url, decode_responses=True) as root:
            keys = list(root.scan_iter(f"*{_hex(service)}*", count=1000))
            return keys + [name for name in root.acl_users() if _hex(service) in name]


class Queue(Kind):
    offering, suffix = "rabbitmq", "AMQP_BROKER_URL"

    def __init__(self, server: brokers.Broker) -> None:
        self._server = server

    def settings(self, line: lines.Lines, directory: Path) -> dict[str, str]:  # noqa: ARG002  not needed here
        port = self._server.management_port
        return {
            "rabbitmq_provider_url": self._server.management_url.replace(
                f":{port}", f":{line.to(port)}"
            ),
            "rabbitmq_provider_address": self._server.address,
        }

    def keep(self, dsn: str, text: str) -> None:
        with pika.BlockingConnection(pika.URLParameters(dsn)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare(_QUEUE, durable=True)
            properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
            channel.basic_publish("", _QUEUE, text.encode(), properties)

    def kept(self, dsn: str) -> str | None:
        """Look at the message; not acknowledged, it stays."""
        with pika.BlockingConnection(pika.URLParameters(dsn)) as connection:
            _, _, body = connection.channel().basic_get(_QUEUE)
            return None if body is None else str(body.decode())

    def opens(self, dsn: str) -> bool:
        try:
            pika.BlockingConnection(pika.URLParameters(dsn)).close()
        except pika.exceptions.ProbableAuthenticationError:
            return False
        return True

    def traces(self, service: str) -> list[str]:
        with httpx.Client(base_url=f"{self._server.management_url}/api/", trust_env=False) as root:
            names = [
                each["name"]
                for what in ("vhosts", "users")
                for each in root.get(what).raise_for_status().json()
            ]
        return [name for name in names if _hex(service) in name]


class Search(Kind):
    """What a broker offers."""

    offering, suffix = "elasticsearch", "HAYSTACK_URL"

    def __init__(self, broker: stock_broker.SearchBroker) -> None:
        self._broker = broker

    def settings(self, line: lines.Lines, directory: Path) -> dict[str, str]:
        file = directory / "brokers.toml"
        # A broker that says nothing at the start is not set up, which is another story.
        port = line.to(self._broker.port, but=b"GET /v2/catalog ")
        file.write_text(
            _BROKERS.format(port=port, username=stock_broker.USERNAME, service=stock_broker.SERVICE)
        )
        return {
            "brokers": str(file),
            "broker_passwords": json.dumps({"acme": stock_broker.PASSWORD}),
        }

    def keep(self, dsn: str, text: str) -> None:
        httpx.put(dsn, content=text).raise_for_status()

    def kept(self, dsn: str) -> str | None:
        return httpx.get(dsn).raise_for_status().text

    def opens(self, dsn: str) -> bool:
        status = httpx.get(dsn).status_code
        assert status in {httpx.codes.OK, httpx.codes.UNAUTHORIZED}
        return status == httpx.codes.OK

    def traces(self, service: str) -> list[str]:
        with self._broker.lock:
            return [
                name for name in self._broker.instances if _hex(service) == name.replace("-", "")
            ]


def _hex(service: str) -> str:
    return service.removeprefix("svc_")


def _key_prefix(client: redis.Redis) -> str:
    user = str(client.connection_pool.connection_kwargs["username"])
    return user.removeprefix("svc_").partition("_v")[0] + ":"


def _files(dsn: str) -> tuple[Any, str]:
    """Connect to storage with what its variable says; return the client and the bucket."""
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    client = _aws(
        "s3",
        endpoint=options["endpoint"][0],
        region=options["region"][0],
        key=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
    )
    return client, parts.path.strip("/")


def _aws(name: str, *, endpoint: str, region: str, key: str, secret: str) -> Any:  # noqa: ANN401  made at run time
    return _session.create_client(
        name,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config.Config(s3={"addressing_style": "path"}, proxies={}),
    )


_session = botocore.session.Session()
