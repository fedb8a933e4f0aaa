"""Calls to an S3 endpoint and its IAM, by the client that AWS maintains.

The client takes a third of a second to import and knows no asyncio: this module is imported by
the threads that use it, when the first of them does.
"""

import functools
import os
import threading
import urllib.parse
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import botocore.session
from botocore import config, exceptions

from app import redaction
from app.providers import contract
from app.providers.s3_admin import Server

_LONGEST_WAIT = 10.0  # seconds for one answer
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
_TRANSIENT_CODES = frozenset(
    {
        "ConcurrentModification",
        "DeleteConflict",
        "EntityTemporarilyUnmodifiable",
        "InternalError",
        "OperationAborted",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceFailure",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_FORBIDDEN = 403
_BROKEN = 500  # and above

Answer = Mapping[str, Any]

_making = threading.Lock()  # clients are safe in threads, but not while they are made


class GivenUpError(Exception):
    """Whoever wanted the answer has stopped waiting."""


class Clients:
    """The two clients, made once and used by all threads."""

    def __init__(self, server: Server, *, deadline: float, connections: int) -> None:
        self._server = server
        self._deadline = deadline
        self._connections = connections
        self.s3 = self._made("s3", server.endpoint, server.access_key_id, server.secret_access_key)
        self.iam = self._made(
            "iam", _iam_endpoint(server), server.access_key_id, server.secret_access_key
        )

    def of_tenant(self, *, access_key_id: str, secret_access_key: str) -> Any:  # noqa: ANN401  botocore makes its classes at run time
        """Return an S3 client that has these credentials."""
        return self._made("s3", self._server.endpoint, access_key_id, secret_access_key)

    def close(self) -> None:
        """Let go of the connections."""
        self.s3.close()
        self.iam.close()

    def _made(self, kind: str, endpoint: str | None, key: str, secret: str) -> Any:  # noqa: ANN401  as above
        wait = min(self._deadline, _LONGEST_WAIT)
        with _making:
            return _session().create_client(
                kind,
                region_name=self._server.region,
                endpoint_url=endpoint,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=config.Config(
                    connect_timeout=wait,
                    read_timeout=wait,
                    retries={"mode": "standard", "total_max_attempts": 2},
                    max_pool_connections=self._connections,
                    proxies={} if _is_here(endpoint) else None,
                    # Other stores know neither buckets as host names nor the newer checksums.
                    s3={"addressing_style": "auto" if _is_amazon(endpoint) else "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )


class Api:
    """The calls of one piece of work; they end when nobody waits any more."""

    def __init__(self, clients: Clients, given_up: threading.Event) -> None:
        self._clients = clients
        self._given_up = given_up

    def s3(self, operation: str, *, but: Collection[str] = (), **parameters: object) -> Answer:
        """Ask S3; an error whose code is in `but` is an empty answer."""
        return self._asked(self._clients.s3, operation, but, parameters)

    def iam(self, operation: str, *, but: Collection[str] = (), **parameters: object) -> Answer:
        """Ask IAM, likewise."""
        return self._asked(self._clients.iam, operation, but, parameters)

    def is_let_in(self, *, bucket: str, access_key_id: str, secret_access_key: str) -> bool:
        """Tell whether the server knows these credentials and lets them into the bucket."""
        client = self._clients.of_tenant(
            access_key_id=access_key_id, secret_access_key=secret_access_key
        )
        try:
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        except exceptions.ClientError as error:
            if _status(error) != _FORBIDDEN:
                raise
            return False
        finally:
            client.close()
        return True

    def pause(self, seconds: float) -> None:
        """Wait for the server to come along."""
        self._given_up.wait(seconds)
        self._require_wanted()

    def _asked(
        self, client: object, operation: str, but: Collection[str], parameters: Mapping[str, object]
    ) -> Answer:
        self._require_wanted()
        try:
            answer: Answer = getattr(client, operation)(**parameters)
        except exceptions.ClientError as error:
            if _code(error) not in but:
                raise
            return {}
        return answer

    def _require_wanted(self) -> None:
        if self._given_up.is_set():
            raise GivenUpError


def translated(error: BaseException, *, secrets: Iterable[str]) -> contract.ProviderError | None:
    """Return what the provider says of an error of the client, or None if it is not one."""
    if not isinstance(error, exceptions.BotoCoreError | exceptions.ClientError | OSError):
        return None
    if isinstance(error, exceptions.ClientError):
        known = error.response.get("Error") or {}
        text = f"{_code(error)}: {known.get('Message') or _status(error)}"
    else:
        text = str(error)
    code, is_transient = _classified(error)
    message = " ".join(redaction.redact(text, secrets=secrets).split())
    return contract.ProviderError(code=code, message=f"S3: {message}", is_transient=is_transient)


def _classified(error: BaseException) -> tuple[contract.ProviderErrorCode, bool]:
    if isinstance(error, exceptions.ClientError):
        if _code(error) in _TRANSIENT_CODES or _status(error) >= _BROKEN:
            return contract.ProviderErrorCode.UNAVAILABLE, True
        if _status(error) == _FORBIDDEN:
            return contract.ProviderErrorCode.PERMISSION_DENIED, False
        return contract.ProviderErrorCode.FAILED, False
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        return contract.ProviderErrorCode.TIMEOUT, True
    # An answer that cannot be read comes from something between, or from a server in trouble.
    lost = (exceptions.ConnectionError, exceptions.HTTPClientError, OSError)
    if isinstance(error, lost) or type(error).__name__ == "ResponseParserError":
        return contract.ProviderErrorCode.UNAVAILABLE, True
    return contract.ProviderErrorCode.FAILED, False


def _code(error: exceptions.ClientError) -> str:
    return str((error.response.get("Error") or {}).get("Code") or _status(error))


def _status(error: exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


@functools.cache
def _session() -> Any:  # noqa: ANN401  as above
    """Return what all clients share: the descriptions of the services, read once."""
    # What the user's own AWS set-up says of other servers has no say here.
    nothing = (None, None, os.devnull, None)
    return botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )


def _iam_endpoint(server: Server) -> str | None:
    """Where IAM is: at AWS the client knows, elsewhere it shares the address of S3."""
    if server.iam_endpoint is not None or _is_amazon(server.endpoint):
        return server.iam_endpoint
    return server.endpoint


def _is_amazon(endpoint: str | None) -> bool:
    return endpoint is None or (urllib.parse.urlsplit(endpoint).hostname or "").endswith(_AMAZON)


def _is_here(endpoint: str | None) -> bool:
    host = urllib.parse.urlsplit(endpoint or "").hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
