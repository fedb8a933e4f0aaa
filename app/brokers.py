"""The brokers of this installation: what they offer, and who provides it.

They are asked once, while the program starts. One that does not answer leaves its offerings as
they were known before, and is asked again until it does; then what it offered before can be
provisioned. What it offers anew is seen by the next start.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping

import psycopg

from app import catalogue as catalogues
from app import settings as configured
from app.providers import contract
from app.providers.open_service_broker import client, configuration, offerings, order, provider

_FIRST_ANSWER_WITHIN = 5.0  # seconds; the program does not start before
_PAUSE = 30.0  # seconds between two tries to reach a silent broker

_logger = logging.getLogger(__name__)

ConfigurationError = configuration.ConfigurationError

Known = Mapping[str, list[catalogues.Offering]]
"""What was offered before, by the name of its provider."""


@dataclasses.dataclass
class _Entry:
    name: str
    configuration: configuration.Broker
    client: client.Client
    offered: list[catalogues.Offering] | None = None
    """None as long as the broker does not answer."""

    @property
    def provider_name(self) -> str:
        return offerings.provider_name(self.name)


class Brokers:
    """All brokers that are configured."""

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = entries

    @property
    def provider_names(self) -> list[str]:
        """The providers that the brokers are, or will be when they answer."""
        return [entry.provider_name for entry in self._entries]

    async def ask(self) -> None:
        """Ask all that did not answer yet for their catalogues."""
        silent = [entry for entry in self._entries if entry.offered is None]
        await asyncio.gather(*(_ask(entry) for entry in silent))

    def joined(self, catalogue: catalogues.Catalogue, *, known: Known) -> catalogues.Catalogue:
        """Return the catalogue with what the brokers offer, or offered; raises CatalogueError."""
        for entry in self._entries:
            before = known.get(entry.provider_name, [])
            offered = (
                before
                if entry.offered is None
                else offerings.with_known(fresh=entry.offered, known=before)
            )
            catalogue = catalogue.joined(offered, stand_in=offerings.STAND_IN)
        return catalogue

    def providers(self, orders: order.Orders) -> dict[str, contract.Provider]:
        """Return the providers of those that answered."""
        return {
            entry.provider_name: provider.BrokerProvider(client=entry.client, orders=orders)
            for entry in self._entries
            if entry.offered is not None
        }

    async def ask_until_all_answered(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Ask those that are silent again and again, and tell when more have answered."""
        told = self._answered()
        while told < len(self._entries):
            await asyncio.sleep(_PAUSE)
            await self.ask()
            if self._answered() == told:
                continue
            try:
                await tell()
            except psycopg.Error:
                _logger.warning("cannot publish what brokers offer; again later", exc_info=True)
            else:
                told = self._answered()

    async def aclose(self) -> None:
        """Close the connections."""
        for entry in self._entries:
            await entry.client.aclose()

    def _answered(self) -> int:
        return sum(entry.offered is not None for entry in self._entries)


def of(settings: configured.Settings) -> Brokers:
    """Return the brokers that the settings name; raises ConfigurationError."""
    if settings.brokers is None:
        return Brokers([])
    found = configuration.load(settings.brokers)
    given = settings.broker_passwords or {}
    return Brokers([_entry(name, broker, given) for name, broker in found.items()])


def _entry(name: str, broker: configuration.Broker, given: Mapping[str, str]) -> _Entry:
    password = configuration.password(name=name, broker=broker, given=given)
    try:
        made = client.Client(
            url=broker.url,
            username=broker.username,
            password=password,
            ca_file=broker.ca_file,
            deadline=broker.timeout,
        )
    except OSError as error:
        raise configuration.ConfigurationError(
            f"the certificates of the broker {name} cannot be used: {error}"
        ) from error
    return _Entry(name=name, configuration=broker, client=made)


async def _ask(entry: _Entry) -> None:
    try:
        async with asyncio.timeout(_FIRST_ANSWER_WITHIN):
            answer = await entry.client.ask("GET", "/v2/catalog")
        if answer.status != 200 or answer.body is None:  # noqa: PLR2004  an HTTP status
            _logger.warning(
                "broker %s gives no catalogue (HTTP %d); asking again later: %s",
                entry.name,
                answer.status,
                answer.description,
            )
            return
        entry.offered = offerings.taken(
            name=entry.name, broker=entry.configuration, document=answer.body
        )
    except TimeoutError:
        _logger.warning("broker %s does not answer; asking again later", entry.name)
    except (contract.ProviderError, offerings.CatalogueUnreadableError) as error:
        _logger.warning("broker %s gives no catalogue; asking again later: %s", entry.name, error)
