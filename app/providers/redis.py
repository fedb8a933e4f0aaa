"""Provides parts of a Redis server that several tenants share.

The provider is a user with all rights on Redis 7 or newer, one server and no cluster, which keeps
its users in an `aclfile`. For each instance it makes

- a user `svc_<id>` that cannot log in: as long as it is there, so is the resource;
- for each version of the credentials a user `svc_<id>_v<version>`, whose keys and channels start
  with `<id>:` and who cannot use commands that reach beyond them.

An application sees the prefix in the credentials and, where it is told the address alone, in its
user name. Its PSUBSCRIBE takes the pattern `<id>:*` and no other.

What Redis cannot keep apart: SCAN tells the names of all keys, though not what is in them; memory
cannot be limited by tenant; a script that does not end holds up everybody. One Redis for each
circle of people who trust each other, therefore. While memory is full and nothing may be evicted,
no credentials are made, though they are revoked, and services removed. Users are not replicated:
after a failover they are those of the other server's file.

The server has no lock to hold. In one process, the work on an instance goes one after the other;
between processes a key `servicebook:svc_<id>` is watched, so that a removal calls off credentials
that are being made. Nothing is asked of the server after the deadline, however late a process
wakes up.
"""

import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlsplit
from uuid import UUID

from app.providers import contract, redis_objects
from app.providers.redis_admin import Api, RedisAdmin, digest

_PORT = 6379


class RedisProvider:
    """Makes one prefix per service instance; see the module for how."""

    def __init__(self, *, url: str, address: str | None = None, deadline: float = 60.0) -> None:
        """Serve from the server at `url`; applications reach it at `address`, if that is another.

        `address` is host:port, after `rediss://` if applications have to use TLS where we do not.
        """
        self._admin = RedisAdmin(url=url, deadline=deadline)
        own = urlsplit(url)
        theirs = urlsplit(address if address and "://" in address else f"//{address or ''}")
        self._scheme = theirs.scheme or own.scheme
        self._host = theirs.hostname or own.hostname or "localhost"
        self._port = theirs.port or own.port or _PORT

    async def ensure_present(self, request: contract.ResourceRequest) -> None:
        """Make the place, if it is not there."""
        _require_nothing(request)
        name, prefix = _name(request.service_instance_id), _prefix(request.service_instance_id)

        async def work(api: Api) -> None:
            await redis_objects.require_suitable(api)
            await redis_objects.ensure_place(api, name)
            await redis_objects.refresh_logins(api, name, prefix=prefix)
            await redis_objects.save(api)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def ensure_configured(self, request: contract.ResourceRequest) -> None:
        """Bring the logins of an existing place to the rules of today; plans do not differ."""
        _require_nothing(request)
        name, prefix = _name(request.service_instance_id), _prefix(request.service_instance_id)

        async def work(api: Api) -> None:
            await redis_objects.require_place(api, name)
            await redis_objects.refresh_logins(api, name, prefix=prefix)
            await redis_objects.save(api)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def new_secret(
        self,
        *,
        service_instance_id: UUID,  # noqa: ARG002  a password can be made for anyone
        version: int,  # noqa: ARG002  likewise
    ) -> Mapping[str, str]:
        """Return a new password."""
        return {"password": secrets.token_urlsafe(32)}

    async def ensure_credentials(
        self, *, service_instance_id: UUID, version: int, secret: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Make the login of this version valid and return how to connect with it."""
        name, prefix = _name(service_instance_id), _prefix(service_instance_id)
        login, password = _login(service_instance_id, version), secret["password"]

        async def work(api: Api) -> None:
            await redis_objects.ensure_login(
                api, name, login, prefix=prefix, password_digest=digest(password)
            )
            await redis_objects.save(api)

        await self._admin.run(service_instance_id=service_instance_id, work=work)
        return self._credentials(login=login, password=password, prefix=prefix)

    async def ensure_revoked(self, *, service_instance_id: UUID, version: int) -> None:
        """Remove the login of this version and end its sessions."""
        login = _login(service_instance_id, version)

        async def work(api: Api) -> None:
            await redis_objects.ensure_no_users(api, [login])
            await redis_objects.save(api)

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def ensure_absent(self, service_instance_id: UUID) -> None:
        """Remove the logins, so that nobody writes any more, then the keys."""
        name, prefix = _name(service_instance_id), _prefix(service_instance_id)

        async def work(api: Api) -> None:
            await redis_objects.ensure_no_place(api, name)
            await redis_objects.save(api)
            await redis_objects.ensure_no_keys(api, prefix)

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def aclose(self) -> None:
        """Let the calls under way end: between them the provider holds no connection."""
        await self._admin.aclose()

    def _credentials(self, *, login: str, password: str, prefix: str) -> Mapping[str, str]:
        host = f"[{self._host}]" if ":" in self._host else self._host
        who = f"{login}:{quote(password, safe='')}"
        return {
            "uri": f"{self._scheme}://{who}@{host}:{self._port}/0",
            "host": self._host,
            "port": str(self._port),
            "username": login,
            "password": password,
            "key_prefix": prefix,
        }


def _require_nothing(request: contract.ResourceRequest) -> None:
    """Refuse what Redis cannot do for one tenant, which is whatever a plan could set."""
    if unknown := sorted({*request.plan, *request.parameters}):
        raise contract.ProviderError(
            code=contract.ProviderErrorCode.PARAMETERS_INVALID,
            message=f"a part of a Redis has no settings: {', '.join(unknown)}",
            is_transient=False,
        )


def _name(service_instance_id: UUID) -> str:
    return f"svc_{service_instance_id.hex}"


def _login(service_instance_id: UUID, version: int) -> str:
    return f"{_name(service_instance_id)}_v{int(version)}"


def _prefix(service_instance_id: UUID) -> str:
    return f"{service_instance_id.hex}:"
