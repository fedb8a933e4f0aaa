"""The kinds of deployers, and how one is made from an environment's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from app.deployers import contract, env_file, external, local_command, webhook
from app.deployers import settings as settings_
from app.deployers.settings import CommandSettings, EnvFileSettings
from app.deployers.webhook_settings import SECRET, WebhookSettings
from domain import errors

KINDS = ("env_file", "command", "webhook", "external")
SECRETS: Mapping[str, tuple[str, ...]] = MappingProxyType({"webhook": (SECRET,)})
"""The names of the secrets that a kind of deployer has."""

_BASE_ENVIRONMENT = MappingProxyType(
    {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
)


class _NoExchange:
    """Stands where settings are only checked."""

    public_url = ""

    async def agreement(self, release_id: UUID) -> webhook.Agreement:
        """Refuse: nothing is sent from here."""
        raise LookupError(f"no receiver is told of {release_id} here")

    async def accept(self, release_id: UUID, *, status_url: str | None) -> None:  # noqa: ARG002  as the exchange has it
        """Refuse: nothing is sent from here."""
        raise LookupError(f"no receiver is told of {release_id} here")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What deployers find here.

    `base_environment` is what a command sees beside the variables; the server's own
    environment, which may hold secrets, is not passed on.
    """

    data_directory: Path
    exchange: webhook.Exchange = field(default_factory=_NoExchange)
    base_environment: Mapping[str, str] = field(default_factory=lambda: _BASE_ENVIRONMENT)


def create(
    *,
    kind: str,
    settings: Mapping[str, object],
    surroundings: Surroundings,
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> contract.Deployer:
    """Make a deployer; raises DeployerSettingsError."""
    match kind:
        case "env_file":
            return env_file.EnvFileDeployer(
                settings=EnvFileSettings.of(settings),
                data_directory=surroundings.data_directory,
                base_environment=surroundings.base_environment,
            )
        case "command":
            return local_command.CommandDeployer(
                settings=CommandSettings.of(settings),
                data_directory=surroundings.data_directory,
                base_environment=surroundings.base_environment,
            )
        case "webhook":
            return webhook.WebhookDeployer(
                settings=WebhookSettings.of(settings, secrets), exchange=surroundings.exchange
            )
        case "external":
            settings_.refuse(list(settings_.unknown(settings, known=())))
            return external.ExternalDeployer()
        case _:
            raise contract.DeployerSettingsError(
                [errors.Problem(path="kind", message=f"must be one of {', '.join(KINDS)}")]
            )


def reaches_out(*, kind: str, settings: Mapping[str, object]) -> bool:
    """Would the deployer act in places, or run programs, that the settings name?"""
    return kind in ("command", "webhook") or (kind == "env_file" and bool(settings))


def check(*, kind: str, settings: Mapping[str, object], secrets: Mapping[str, str]) -> None:
    """Refuse what makes no deployer; raises DeployerSettingsError."""
    create(
        kind=kind,
        settings=settings,
        surroundings=Surroundings(data_directory=Path()),
        secrets=secrets,
    )
    settings_.refuse(list(settings_.unknown(secrets, known=SECRETS.get(kind, ()))))
