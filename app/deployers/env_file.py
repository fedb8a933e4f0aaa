"""Writes the variables of a revision to a file, then runs a command whose exit code decides.

The command is a program and its arguments, without a shell. It runs in the file's directory
with the variables, SERVICEBOOK_DEPLOYMENT_ID, SERVICEBOOK_ENVIRONMENT_ID, SERVICEBOOK_REVISION
and SERVICEBOOK_ENV_FILE in its environment. Daemons that it starts should have an output of
their own.

The file belongs to the server's account and is readable by it alone. The directory of a path
that was set must exist, and a file there that was not written by a release is never
overwritten.
"""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from app.deployers import contract, execution, placement, record
from app.deployers.settings import EnvFileSettings


class EnvFileDeployer:
    """See the module."""

    def __init__(
        self,
        *,
        settings: EnvFileSettings,
        data_directory: Path,
        base_environment: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._data_directory = data_directory
        self._base_environment = base_environment

    async def release(self, release: contract.Release) -> contract.Outcome:
        """Write the file and run the command, or answer as before if this deployment has ended."""
        path = self._path(release.environment_id)
        try:
            await execution.in_thread(self._require_directory, path)
        except record.PlacementError as error:
            return execution.failed(str(error))
        return await execution.Execution(
            records=record.Records(path),
            effect=placement.Placement(path),
            program=execution.Program(
                command=self._settings.command,
                environment={**self._base_environment, "SERVICEBOOK_ENV_FILE": str(path)},
                directory=path.parent,
                seconds=self._settings.timeout,
            ),
        ).carry_out(release)

    async def observe(self, release: contract.Release) -> contract.Outcome | None:
        """Tell how the release ended; None while it runs, and if it was interrupted."""
        return await execution.observe(record.Records(self._path(release.environment_id)), release)

    def _path(self, environment_id: UUID) -> Path:
        default = self._data_directory / "environments" / str(environment_id) / ".env"
        return self._settings.path or default.absolute()

    def _require_directory(self, path: Path) -> None:
        if self._settings.path is None:
            execution.make_directory(path.parent)
        elif not path.parent.is_dir():
            raise record.PlacementError(f"there is no directory {path.parent}")
