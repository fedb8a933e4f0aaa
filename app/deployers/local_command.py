"""Runs a command of yours on the worker's machine; its exit code decides.

The command is a program and its arguments, without a shell. It gets the variables in its
environment, never as arguments, and beside them SERVICEBOOK_DEPLOYMENT_ID,
SERVICEBOOK_ENVIRONMENT_ID and SERVICEBOOK_REVISION. It should deploy the application and wait
until it is healthy: exit code 0 says that it runs with these variables, any other that it still
runs with the previous ones.

A worker that is killed meanwhile leaves it open how the command ended; then it is run again, on
another machine perhaps. A command can tell by SERVICEBOOK_DEPLOYMENT_ID.
"""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from app.deployers import contract, execution, record
from app.deployers.settings import CommandSettings


class CommandDeployer:
    """See the module."""

    def __init__(
        self,
        *,
        settings: CommandSettings,
        data_directory: Path,
        base_environment: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._data_directory = data_directory
        self._base_environment = base_environment

    async def release(self, release: contract.Release) -> contract.Outcome:
        """Run the command, or answer as before if this deployment has ended."""
        path = self._path(release.environment_id)
        try:
            await execution.in_thread(execution.make_directory, path.parent)
        except record.PlacementError as error:
            return execution.failed(str(error))
        return await execution.Execution(
            records=record.Records(path),
            effect=execution.NoEffect(),
            program=execution.Program(
                command=self._settings.command,
                environment=self._base_environment,
                directory=self._settings.directory or path.parent,
                seconds=self._settings.timeout,
            ),
        ).carry_out(release)

    async def observe(self, release: contract.Release) -> contract.Outcome | None:
        """Tell how the release ended; None while it runs, and if it was interrupted."""
        return await execution.observe(record.Records(self._path(release.environment_id)), release)

    def _path(self, environment_id: UUID) -> Path:
        """Return where the record stands: beside no file, under a name of its own."""
        place = self._data_directory / "environments" / str(environment_id) / "command"
        return place.absolute()
