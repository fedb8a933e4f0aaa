"""Provides virtual hosts on a RabbitMQ server that several tenants share.

The provider is a user with the tag `administrator`, and works by the management API. For each
instance it makes

- a virtual host `svc_<id>`, with limits;
- for each version of the credentials a user `svc_<id>_v<version>` without tags, who may do
  everything there and nothing elsewhere.

Plan settings: `connections` (for each login), `queues`. What messages take of memory and disk is
not limited by tenant: the server slows down all publishers when it runs short.

The server has no lock to hold. In one process, the work on an instance goes one after the other.
Between processes, the server refuses permissions for a virtual host that is not there, so that
whoever wakes up late can leave no more than a user who may do nothing, and who goes with the next
removal. Nothing is asked of the server after the deadline, however late a process wakes up.
"""

import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlsplit
from uuid import UUID

from app.providers import contract, rabbitmq_objects
from app.providers.rabbitmq_api import Api, RabbitmqAdmin
from app.providers.rabbitmq_limits import Limits

_PORTS = {"amqp": 5672, "amqps": 5671}


class RabbitmqProvider:
    """Makes one virtual host per service instance; see the module for how."""

    def __init__(self, *, url: str, address: str | None = None, deadline: float = 60.0) -> None:
        """Serve from the server whose management API is at `url`.

        Applications reach it at `address`, host:port, after `amqps://` if they use TLS; without
        it, at the same host and the usual port.
        """
        self._admin = RabbitmqAdmin(url=url, deadline=deadline)
        theirs = urlsplit(address if address and "://" in address else f"//{address or ''}")
        self._scheme = theirs.scheme or "amqp"
        self._host = theirs.hostname or urlsplit(url).hostname or "localhost"
        self._port = theirs.port or _PORTS[self._scheme]

    async def ensure_present(self, request: contract.ResourceRequest) -> None:
        """Make the virtual host, if it is not there, and bring it to the request."""
        limits, name = Limits.of(request), _name(request.service_instance_id)

        async def work(api: Api) -> None:
            await rabbitmq_objects.ensure_vhost(api, name)
            await rabbitmq_objects.ensure_limits(api, name, limits)

        await self._admin.run(service_instance_id=request.service_instance_id, work=work)

    async def ensure_configured(self, request: contract.ResourceRequest) -> None:
        """Bring an existing virtual host to a changed plan."""
        limits, name = Limits.of(request), _name(request.service_instance_id)

        async def work(api: Api) -> None:
            await rabbitmq_objects.require_vhost(api, name)
            await rabbitmq_objects.ensure_limits(api, name, limits)

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
        name, login = _name(service_instance_id), _login(service_instance_id, version)
        password = secret["password"]

        async def work(api: Api) -> None:
            await rabbitmq_objects.ensure_login(api, name, login, password)

        await self._admin.run(service_instance_id=service_instance_id, work=work)
        return self._credentials(name, login, password)

    async def ensure_revoked(self, *, service_instance_id: UUID, version: int) -> None:
        """Remove the login of this version and end its sessions."""
        login = _login(service_instance_id, version)

        async def work(api: Api) -> None:
            await rabbitmq_objects.ensure_no_login(api, login)

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def ensure_absent(self, service_instance_id: UUID) -> None:
        """Remove the virtual host under its open connections, and all its logins."""
        name = _name(service_instance_id)

        async def work(api: Api) -> None:
            await rabbitmq_objects.ensure_no_vhost(api, name)

        await self._admin.run(service_instance_id=service_instance_id, work=work)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._admin.aclose()

    def _credentials(self, name: str, login: str, password: str) -> Mapping[str, str]:
        host = f"[{self._host}]" if ":" in self._host else self._host
        who = f"{login}:{quote(password, safe='')}"
        return {
            "uri": f"{self._scheme}://{who}@{host}:{self._port}/{quote(name, safe='')}",
            "host": self._host,
            "port": str(self._port),
            "vhost": name,
            "username": login,
            "password": password,
        }


def _name(service_instance_id: UUID) -> str:
    return f"svc_{service_instance_id.hex}"


def _login(service_instance_id: UUID, version: int) -> str:
    return f"{_name(service_instance_id)}_v{int(version)}"
