"""The users and keys of a Redis server, each brought to what is wanted of it."""

import re
from collections.abc import Collection

from redis import exceptions

from app.providers import contract
from app.providers.redis_admin import Api

_OLDEST = 7
_NO_FILE = "not configured to use an ACL file"
_BATCH = 1000
_DATABASE = re.compile(rb"^db([0-9]+):", re.MULTILINE)

# What is listed is allowed, so that commands of modules and of newer servers are not. Of the
# listed ones, taken back are those that reach beyond the prefix: other databases, names of keys
# and channels that are not the tenant's, what all tenants share.
_COMMANDS = (
    "-@all",
    "+@keyspace",
    "+@string",
    "+@bitmap",
    "+@hash",
    "+@list",
    "+@set",
    "+@sortedset",
    "+@hyperloglog",
    "+@geo",
    "+@stream",
    "+@pubsub",
    "+@transaction",
    "+@scripting",
    "+@connection",
    "+time",
    "+memory|usage",
    "-@dangerous",
    "-@admin",
    "-select",
    "-move",
    "-swapdb",
    "-flushdb",
    "-flushall",
    "-keys",
    "-randomkey",
    "-dbsize",
    "-function",
    "-fcall",
    "-fcall_ro",
    "-script|flush",
    "-script|kill",
    "-script|debug",
    "-pubsub|channels",
    "-pubsub|shardchannels",
    "-client|tracking",  # it tells the names of all keys that change
)


async def require_suitable(api: Api) -> None:
    """Raise FAILED unless the server can keep users apart, and keep them at all."""
    words = await api.ask("HELLO")
    told = dict(zip(words[::2], words[1::2], strict=False)) if isinstance(words, list) else {}
    version = _bytes(told.get(b"version", b"0")).decode()
    if int(version.partition(".")[0]) < _OLDEST:
        raise _unsuitable(f"the server is version {version}; {_OLDEST} or newer is needed")
    if told.get(b"mode") == b"cluster":
        raise _unsuitable("the server is part of a cluster, whose nodes do not share their users")
    try:
        await api.ask("ACL", "SAVE")
    except exceptions.ResponseError as error:
        if _NO_FILE not in str(error):
            raise
    else:
        return
    raise _unsuitable(
        "the server would forget all users when it is restarted: set `aclfile` in its configuration"
    )


async def save(api: Api) -> None:
    """Let the users as they are now outlive a restart."""
    try:
        await api.ask("ACL", "SAVE")
    except exceptions.ResponseError as error:
        if _NO_FILE not in str(error):  # there, nothing outlives a restart
            raise


async def ensure_place(api: Api, name: str) -> None:
    """Make the resource: a user that cannot log in, since keys may be evicted and users not."""
    await api.ask("SET", _fence(name), "1", "NX")
    await api.ask("ACL", "SETUSER", name, "reset", "off")


async def require_place(api: Api, name: str) -> None:
    """Raise RESOURCE_MISSING unless the resource was made."""
    if await api.ask("ACL", "GETUSER", name) is None:
        await api.ask("UNWATCH")
        await api.ask("DEL", _fence(name))
        raise contract.ProviderError(
            code=contract.ProviderErrorCode.RESOURCE_MISSING,
            message=f"the server has no user {name}",
            is_transient=False,
        )


async def ensure_login(
    api: Api, name: str, login: str, *, prefix: str, password_digest: str
) -> None:
    """Make the login valid, unless the resource is gone or goes meanwhile."""
    rules = ("reset", "on", f"#{password_digest}", f"~{prefix}*", f"&{prefix}*", *_COMMANDS)
    await _fenced(api, name, ("ACL", "SETUSER", login, *rules))


async def refresh_logins(api: Api, name: str, *, prefix: str) -> None:
    """Bring logins that were made by earlier versions of this program to the rules of today."""
    rules = ("resetkeys", f"~{prefix}*", "resetchannels", f"&{prefix}*", *_COMMANDS)
    for login in await logins(api, name):
        await _fenced(api, name, ("ACL", "SETUSER", login, *rules))


async def logins(api: Api, name: str) -> list[str]:
    """List the logins of a resource, of every version."""
    answer = await api.ask("ACL", "USERS")
    users = [_bytes(user).decode(errors="replace") for user in _listed(answer)]
    return [user for user in users if re.fullmatch(rf"{name}_v[0-9]+", user)]


async def ensure_no_users(api: Api, users: Collection[str]) -> None:
    """Delete the users, which ends their sessions."""
    if users:
        await api.ask("ACL", "DELUSER", *users)


async def ensure_no_place(api: Api, name: str) -> None:
    """Remove the resource with its logins; none can be made from here on."""
    # In this order: who comes after the first finds no resource, who came before is called off by
    # the second, and who was faster than both is found by the third.
    await ensure_no_users(api, [name])
    await api.ask("DEL", _fence(name))
    await ensure_no_users(api, await logins(api, name))


async def ensure_no_keys(api: Api, prefix: str) -> None:
    """Delete all keys of the prefix, also those that COPY put into other databases."""
    keyspace = await api.ask("INFO", "keyspace")
    for number in _DATABASE.findall(keyspace if isinstance(keyspace, bytes) else b""):
        await api.ask("SELECT", number)
        cursor: object = b"0"
        while True:
            answer = await api.ask("SCAN", _bytes(cursor), "MATCH", f"{prefix}*", "COUNT", _BATCH)
            cursor, keys = _listed(answer)
            if found := [_bytes(key) for key in _listed(keys)]:
                await api.ask("UNLINK", *found)
            if cursor == b"0":
                break


async def _fenced(api: Api, name: str, command: Collection[str]) -> None:
    """Give a command unless the resource is gone, or goes before the server has carried it out.

    Whoever removes the resource deletes the fence, and so calls off what others have under way,
    however late they wake up. A full server takes no transactions: this has to wait then.
    """
    while True:
        await api.ask("WATCH", _fence(name))
        await require_place(api, name)
        if not await api.ask("EXISTS", _fence(name)):  # evicted, or lost in a restart
            await api.ask("UNWATCH")
            await api.ask("SET", _fence(name), "1", "NX")
        elif await api.ask_together(tuple(command)):
            return


def _fence(name: str) -> str:
    return f"servicebook:{name}"


def _listed(answer: object) -> list[object]:
    return answer if isinstance(answer, list) else []


def _bytes(answer: object) -> bytes:
    return answer if isinstance(answer, bytes) else str(answer).encode()


def _unsuitable(message: str) -> contract.ProviderError:
    return contract.ProviderError(
        code=contract.ProviderErrorCode.FAILED, message=f"Redis: {message}", is_transient=False
    )
