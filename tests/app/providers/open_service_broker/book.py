"""The part of the platform that providers of brokers ask: what was ordered."""

import dataclasses
import uuid
from collections.abc import Mapping

from app.providers import contract
from app.providers.open_service_broker import order, provider


@dataclasses.dataclass
class Book:
    """What was ordered, by instance, for all providers of a test."""

    entries: dict[uuid.UUID, order.Order] = dataclasses.field(default_factory=dict)

    async def known(self, service_instance_id: uuid.UUID) -> order.Order | None:
        return self.entries.get(service_instance_id)

    def note(self, service_instance_id: uuid.UUID, **changes: object) -> None:
        self.entries[service_instance_id] = dataclasses.replace(
            self.entries[service_instance_id], **changes
        )


def ordered(request: contract.ResourceRequest, **changes: object) -> order.Order:
    given: dict[str, object] = {
        "plan": request.plan,
        "parameters": request.parameters,
        "project_id": uuid.uuid4(),
        "environment_id": uuid.uuid4(),
        "operation_id": uuid.uuid4(),
        "was_ready": False,
        "secret_version": 0,
        "secret_versions": (),
    }
    return order.Order(**(given | changes))


class BookedProvider(provider.BrokerProvider):
    """Notes what is ordered before it is, and what came of it, as the event log does."""

    def __init__(self, *, book: Book, **given: object) -> None:
        super().__init__(orders=book.known, **given)
        self._book = book

    async def ensure_present(self, request: contract.ResourceRequest) -> None:
        self._book.entries.setdefault(request.service_instance_id, ordered(request))
        await super().ensure_present(request)

    async def ensure_configured(self, request: contract.ResourceRequest) -> None:
        await super().ensure_configured(request)
        self._book.note(
            request.service_instance_id, plan=request.plan, parameters=request.parameters
        )

    async def ensure_credentials(
        self, *, service_instance_id: uuid.UUID, version: int, secret: Mapping[str, str]
    ) -> Mapping[str, str]:
        found = await super().ensure_credentials(
            service_instance_id=service_instance_id, version=version, secret=secret
        )
        before = self._book.entries[service_instance_id]
        self._book.note(
            service_instance_id,
            was_ready=True,
            secret_version=max(version, before.secret_version),
            secret_versions=tuple(sorted({*before.secret_versions, version})),
        )
        return found
