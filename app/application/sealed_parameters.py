"""Parameters that a plan's schema marks `writeOnly`: sealed, and known by a reference from then on.

They are kept in the vault under an id of their own, and are opened for the provider alone. Each
time that a command is decided they get a version of their own: of several that are decided at
once one is recorded, and what that refers to must not become what another one was given. Versions
that no event names are destroyed after a while.
"""

import json
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app import secrets
from app.application.request import Request
from app.eventlog.task import Task

UNRECORDED_STAYS = timedelta(hours=1)
"""How long a version stays that no event names; far longer than any command goes on for."""

_REFERENCE = "$sealed"
_MARK = "writeOnly"


class SealedParameters:
    """Seals parameters and opens them."""

    def __init__(self, *, vault: secrets.Vault) -> None:
        self._vault = vault

    async def seal(
        self,
        *,
        request: Request,
        at: datetime,
        service_instance_id: UUID,
        schema: Mapping[str, object],
        parameters: Mapping[str, Any],
        known: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the parameters with references in place of secrets.

        `known` are those of before: what did not change keeps its reference. A task forgets the
        others again, unless the request is recorded.
        """
        hidden = _hidden(schema, parameters)
        before = await self.open(service_instance_id=service_instance_id, parameters=known)
        kept = {
            name: known[name]
            for name in hidden
            if _is_reference(known.get(name)) and before[name] == parameters[name]
        }
        new = {name: json.dumps(parameters[name]) for name in hidden if name not in kept}
        if not new:
            return {**parameters, **kept}
        version = await self._vault.add(
            service_instance_id=_place(service_instance_id),
            credentials=new,
            and_then=_forget_unrecorded(service_instance_id, request=request, at=at),
        )
        return {**parameters, **{name: {_REFERENCE: version} for name in new}, **kept}

    async def open(
        self, *, service_instance_id: UUID, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the parameters as they were given."""
        opened = dict(parameters)
        for name, value in parameters.items():
            if _is_reference(value):
                found = await self._vault.get(
                    service_instance_id=_place(service_instance_id), version=value[_REFERENCE]
                )
                if found is None or name not in found:
                    raise LookupError(f"the sealed parameter {name} is gone")
                opened[name] = json.loads(found[name])
        return opened

    async def stored_at(self, service_instance_id: UUID) -> Mapping[int, datetime]:
        """Return when each version was given to an instance, the oldest first."""
        return await self._vault.stored_at(_place(service_instance_id))

    async def forget_version(self, service_instance_id: UUID, version: int) -> None:
        """Destroy what was given to an instance at one time."""
        await self._vault.destroy(service_instance_id=_place(service_instance_id), version=version)

    async def forget(self, service_instance_id: UUID) -> None:
        """Destroy all that was ever given to an instance."""
        await self._vault.destroy_all(_place(service_instance_id))


def versions(parameters: Mapping[str, Any]) -> Collection[int]:
    """Return the versions that recorded parameters refer to."""
    return {value[_REFERENCE] for value in parameters.values() if _is_reference(value)}


def _forget_unrecorded(service_instance_id: UUID, *, request: Request, at: datetime) -> Task:
    return Task(
        name="forget_unrecorded",
        args={
            "service_instance_id": str(service_instance_id),
            "correlation_id": str(request.correlation_id),
            "causation_id": str(request.command_id),
        },
        run_at=at + UNRECORDED_STAYS,
    )


def _mentions_secrets(schema: object) -> bool:
    """Is anything in the schema, or the schema itself, marked as a secret?"""
    if isinstance(schema, Mapping):
        return schema.get(_MARK) is True or any(map(_mentions_secrets, schema.values()))
    return isinstance(schema, list) and any(map(_mentions_secrets, schema))


def _hidden(schema: Mapping[str, object], parameters: Mapping[str, Any]) -> list[str]:
    """List the parameters to seal, each as a whole; all, if the schema says it in another way."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    elsewhere = {name: part for name, part in schema.items() if name != "properties"}
    return [
        name
        for name, value in parameters.items()
        if _is_reference(value)  # given by a person: it must not be taken for one of ours
        or _mentions_secrets(elsewhere)
        or _mentions_secrets(known.get(name))
    ]


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {_REFERENCE}


def _place(service_instance_id: UUID) -> UUID:
    return uuid.uuid5(service_instance_id, "parameters")
