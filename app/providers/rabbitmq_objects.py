"""The virtual hosts and users of a RabbitMQ server, each brought to what is wanted of it."""

import base64
import hashlib
import re
import secrets
from http import HTTPStatus

from app.providers import contract
from app.providers.rabbitmq_api import Api
from app.providers.rabbitmq_limits import Limits

_ALL = {"configure": ".*", "write": ".*", "read": ".*"}
_SALT = 4  # bytes, as the server reads them
_REPEATS = 5
_STOPPED = "stopped"
_MAY_BE = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.INTERNAL_SERVER_ERROR)


async def require_vhost(api: Api, name: str) -> None:
    """Raise RESOURCE_MISSING unless the server has the virtual host; start it where it is down."""
    found = await api.get("vhosts", name, columns="name,cluster_state")
    if found is None:
        raise contract.ProviderError(
            code=contract.ProviderErrorCode.RESOURCE_MISSING,
            message=f"the server has no virtual host {name}",
            is_transient=False,
        )
    # Two calls that make it at once, a late one and its repetition, can leave it stopped.
    nodes = found.get("cluster_state") if isinstance(found, dict) else None
    for node, state in nodes.items() if isinstance(nodes, dict) else ():
        if state == _STOPPED:
            await api.post("vhosts", name, "start", str(node))


async def ensure_vhost(api: Api, name: str) -> None:
    """Make the virtual host, and start it."""
    await api.put("vhosts", name, body={"description": "made by Servicebook"})
    await require_vhost(api, name)


async def ensure_limits(api: Api, name: str, limits: Limits) -> None:
    """Limit what the virtual host may take."""
    # Two versions of the login work side by side during a rotation, each with its number.
    await api.put("vhost-limits", name, "max-connections", body={"value": 2 * limits.connections})
    await api.put("vhost-limits", name, "max-queues", body={"value": limits.queues})


async def ensure_login(api: Api, name: str, login: str, password: str) -> None:
    """Make the login valid with this password, in this virtual host alone."""
    try:
        await require_vhost(api, name)
    except contract.ProviderError:
        # An earlier try may have made the login and stumbled over the virtual host's removal.
        await ensure_no_login(api, login)
        raise
    await api.put(
        "users",
        login,
        body={
            "password_hash": _hashed(password),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "",
        },
    )
    # Until now it opens nothing. The server refuses this for a virtual host that went meanwhile.
    status = await api.put("permissions", name, login, body=_ALL, but=(HTTPStatus.BAD_REQUEST,))
    if status == HTTPStatus.BAD_REQUEST:
        await ensure_no_login(api, login)
        await require_vhost(api, name)
        raise contract.ProviderError(
            code=contract.ProviderErrorCode.UNAVAILABLE,
            message=f"RabbitMQ: the user {login} was removed while it was made",
            is_transient=True,
        )


async def logins(api: Api, name: str) -> list[str]:
    """List the logins of a virtual host, of every version."""
    found = await api.get("users", columns="name")
    users = [str(user.get("name")) for user in found] if isinstance(found, list) else []
    return [user for user in users if re.fullmatch(rf"{name}_v[0-9]+", user)]


async def ensure_no_login(api: Api, login: str) -> None:
    """Delete the login and end its sessions."""
    await api.delete("users", login)
    # The server does that itself a moment later; this is for not having to wait. The call fails
    # over a session that has just ended, and is made again for the others.
    for _ in range(_REPEATS):
        status = await api.delete("connections", "username", login, but=_MAY_BE)
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            return


async def ensure_no_vhost(api: Api, name: str) -> None:
    """Delete the virtual host with all that is in it, under its sessions, and its logins."""
    # Before it, so that nobody comes in again; and after, for those that were made meanwhile.
    for login in await logins(api, name):
        await ensure_no_login(api, login)
    await api.delete("vhosts", name)
    for login in await logins(api, name):
        await ensure_no_login(api, login)


def _hashed(password: str) -> str:
    """Return what the server keeps, so that no log of requests can hold the password."""
    salt = secrets.token_bytes(_SALT)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
