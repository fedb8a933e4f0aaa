"""What is agreed with receivers of webhooks, sealed beside the credentials.

The vault keeps it by the id of the release, as it keeps credentials by that of their instance:
ids are unique, whatever they name.
"""

import hmac
import secrets as random
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app import deployers, secrets

_TOKEN_BYTES = 32
_VERSION = 1


class VaultExchange:
    """See `deployers.webhook.Exchange`."""

    def __init__(self, *, vault: secrets.Vault, public_url: str) -> None:
        self._vault = vault
        self.public_url = public_url.rstrip("/")

    async def agreement(self, release_id: UUID) -> deployers.Agreement:
        """Return what is agreed about a release; begins with a token."""
        known = await self._vault.ensure(
            service_instance_id=release_id, version=_VERSION, make=_first
        )
        return deployers.Agreement(
            token=known["token"],
            is_accepted="accepted" in known,
            status_url=known.get("status_url"),
        )

    async def accept(self, release_id: UUID, *, status_url: str | None) -> None:
        """Remember that the receiver took the release in."""
        known = await self.agreement(release_id)
        where = {} if status_url is None else {"status_url": status_url}
        await self._vault.replace(
            service_instance_id=release_id,
            version=_VERSION,
            credentials={"token": known.token, "accepted": "yes", **where},
        )

    async def accepted_at(self, release_id: UUID) -> datetime | None:
        """Return when the receiver took the release in; None if it did not, or is forgotten."""
        known = await self._vault.get(service_instance_id=release_id, version=_VERSION)
        if known is None or "accepted" not in known:
            return None
        return (await self._vault.stored_at(release_id)).get(_VERSION)

    async def holds(self, release_id: UUID, *, token: str) -> bool:
        """Is it the token of the release? One that was never made is not."""
        known = await self._vault.get(service_instance_id=release_id, version=_VERSION)
        return known is not None and hmac.compare_digest(known["token"].encode(), token.encode())

    async def forget(self, release_id: UUID) -> None:
        """Forget what was agreed; the token is worth nothing from then on."""
        await self._vault.destroy_all(release_id)


async def _first() -> Mapping[str, str]:
    return {"token": random.token_urlsafe(_TOKEN_BYTES)}
