"""What a provider of resources promises to those who call it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """The resource that a service instance should have."""

    service_instance_id: UUID
    plan: Mapping[str, object]
    parameters: Mapping[str, object]


class ProviderErrorCode(enum.StrEnum):
    """Why a provider could not do as asked."""

    UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    TIMEOUT = "PROVIDER_TIMEOUT"
    PARAMETERS_INVALID = "PARAMETERS_INVALID"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_MISSING = "RESOURCE_MISSING"
    NOT_ISOLATED = "NOT_ISOLATED"
    FAILED = "PROVIDER_FAILED"


class ProviderError(Exception):
    """A provider's failure, without secrets; `is_transient` says that a retry may help.

    `retry_after` is how many seconds the provider wants to be left alone before.
    """

    def __init__(
        self,
        *,
        code: ProviderErrorCode,
        message: str,
        is_transient: bool,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.code = code
        self.message = message
        self.is_transient = is_transient


class Provider(Protocol):
    """Makes, changes and removes resources.

    Every method may be called again at any time, at the same time, and after a crash at any
    line of an earlier call; the instance's id is the idempotency key. Failures are
    ProviderError and nothing else.
    """

    async def ensure_present(self, request: ResourceRequest) -> None:
        """Make the resource, if it is not there, and bring it to the request."""

    async def ensure_configured(self, request: ResourceRequest) -> None:
        """Bring an existing resource to a changed plan or parameters."""

    async def new_secret(self, *, service_instance_id: UUID, version: int) -> Mapping[str, str]:
        """Return what credentials are made from; to be stored before they are ensured.

        Where the server chooses keys itself, they exist from here on, but open nothing before
        `ensure_credentials`; those that were never stored are gone after it.
        """

    async def ensure_credentials(
        self, *, service_instance_id: UUID, version: int, secret: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Make this version of the credentials valid and return them, `uri` among them."""

    async def ensure_revoked(self, *, service_instance_id: UUID, version: int) -> None:
        """Make this version invalid and end its sessions."""

    async def ensure_absent(self, service_instance_id: UUID) -> None:
        """Remove the resource, its data and all its credentials; absent already is success."""

    async def aclose(self) -> None:
        """Let go of what the provider holds."""
