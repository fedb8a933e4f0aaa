"""The kinds of deployers, and how one is made from an environment's settings."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from app.deployers import contract, env_file, external
from app.deployers.settings import EnvFileSettings
from domain import errors

KINDS = ("env_file", "external")

_BASE_ENVIRONMENT = MappingProxyType(
    {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
)


def create(
    *,
    kind: str,
    settings: Mapping[str, object],
    data_directory: Path,
    base_environment: Mapping[str, str] = _BASE_ENVIRONMENT,
) -> contract.Deployer:
    """Make a deployer; raises DeployerSettingsError.

    `base_environment` is what a command sees beside the variables; the server's own
    environment, which may hold secrets, is not passed on.
    """
    match kind:
        case "env_file":
            return env_file.EnvFileDeployer(
                settings=EnvFileSettings.of(settings),
                data_directory=data_directory,
                base_environment=base_environment,
            )
        case "external":
            if settings:
                raise contract.DeployerSettingsError(
                    [
                        errors.Problem(path=name, message="is unknown; there are no settings")
                        for name in sorted(settings)
                    ]
                )
            return external.ExternalDeployer()
        case _:
            raise contract.DeployerSettingsError(
                [errors.Problem(path="kind", message=f"must be one of {', '.join(KINDS)}")]
            )
