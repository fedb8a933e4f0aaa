"""Writes the variables of a revision to a file, then runs a command whose exit code decides.

The command is a program and its arguments, without a shell. It runs in the file's directory
with the variables, SERVICEBOOK_DEPLOYMENT_ID, SERVICEBOOK_ENVIRONMENT_ID, SERVICEBOOK_REVISION
and SERVICEBOOK_ENV_FILE in its environment. Daemons that it starts should have an output of
their own.

The file belongs to the server's account and is readable by it alone. The directory of a path
that was set must exist, and a file there that was not written by a release is never
overwritten.
"""

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

from app.deployers import command, contract, dotenv, placement
from app.deployers.settings import EnvFileSettings

P = ParamSpec("P")
T = TypeVar("T")

_LOCK_POLL = 0.05
_LAST_WORDS = 500


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
        try:
            place = await _in_thread(self._place, release.environment_id)
            async with _alone(place):
                return await self._release_alone(release, place)
        except (placement.PlacementError, dotenv.DotenvError) as error:
            return _failed(str(error))

    async def observe(self, release: contract.Release) -> contract.Outcome | None:
        """Tell how the release ended; None while it runs, and if it was interrupted."""
        path = self._path(release.environment_id)
        record = await _in_thread(placement.Placement(path).recorded)
        if record is None or record.deployment_id != release.deployment_id:
            return None
        return record.outcome

    def _path(self, environment_id: UUID) -> Path:
        default = self._data_directory / "environments" / str(environment_id) / ".env"
        return self._settings.path or default.absolute()

    def _place(self, environment_id: UUID) -> placement.Placement:
        path = self._path(environment_id)
        if self._settings.path is None:
            _make_directory(path.parent)
        elif not path.parent.is_dir():
            raise placement.PlacementError(f"there is no directory {path.parent}")
        return placement.Placement(path)

    async def _release_alone(
        self, release: contract.Release, place: placement.Placement
    ) -> contract.Outcome:
        last = await _in_thread(place.recorded)
        if last is not None and last.deployment_id == release.deployment_id and last.outcome:
            return last.outcome
        await _in_thread(place.undo)
        _require_successor(release, last, place.path)
        try:
            record = await _begin(release, last, place)
            return await self._run(release, place, record)
        except asyncio.CancelledError:
            await _in_thread(place.undo)
            raise

    async def _run(
        self, release: contract.Release, place: placement.Placement, record: placement.Record
    ) -> contract.Outcome:
        outcome = await self._command_outcome(release, place, record)
        settled = dataclasses.replace(
            record, status=outcome.status, message=outcome.message, output=outcome.output
        )
        if outcome.status is contract.OutcomeStatus.SUCCEEDED:
            settled = dataclasses.replace(settled, effective_revision=release.revision_number)
        else:
            await _in_thread(place.put_back, record)
        await _in_thread(place.settle, settled)
        return outcome

    async def _command_outcome(
        self, release: contract.Release, place: placement.Placement, record: placement.Record
    ) -> contract.Outcome:
        if not self._settings.command:
            return contract.Outcome(status=contract.OutcomeStatus.SUCCEEDED)

        async def started(process: command.Process) -> None:
            await _in_thread(place.note, dataclasses.replace(record, process=process))

        program = self._settings.command[0]
        try:
            result = await command.run(
                command=self._settings.command,
                environment=self._environment(release, place.path),
                directory=place.path.parent,
                seconds=self._settings.timeout,
                secrets=tuple(release.variables.values()),
                started=started,
            )
        except OSError as error:
            return _failed(f"{program} cannot be started: {error.strerror}")
        return _judged(program, result, seconds=self._settings.timeout)

    def _environment(self, release: contract.Release, path: Path) -> Mapping[str, str]:
        return {
            **self._base_environment,
            **release.variables,
            "SERVICEBOOK_DEPLOYMENT_ID": str(release.deployment_id),
            "SERVICEBOOK_ENVIRONMENT_ID": str(release.environment_id),
            "SERVICEBOOK_REVISION": str(release.revision_number),
            "SERVICEBOOK_ENV_FILE": str(path),
        }


async def _begin(
    release: contract.Release, last: placement.Record | None, place: placement.Placement
) -> placement.Record:
    record = placement.Record(
        deployment_id=release.deployment_id,
        environment_id=release.environment_id,
        revision_number=release.revision_number,
        status=placement.RUNNING,
        effective_revision=last.effective_revision if last else 0,
    )
    try:
        return await _in_thread(place.begin, record, dotenv.render(release.variables))
    except OSError as error:
        raise placement.PlacementError(
            f"{place.path} cannot be written: {error.strerror}"
        ) from error


def _require_successor(
    release: contract.Release, last: placement.Record | None, path: Path
) -> None:
    """Refuse a release that would undo another one: of another environment, or a later one."""
    if last is None:
        return
    if last.environment_id != release.environment_id:
        raise placement.PlacementError(
            f"{path} belongs to environment {last.environment_id}: name another path"
        )
    if release.revision_number < last.effective_revision and not release.is_rollback:
        raise placement.PlacementError(
            f"{path} holds revision {last.effective_revision} already, "
            f"which is later than {release.revision_number}"
        )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise placement.PlacementError(f"{path} cannot be made: {error.strerror}") from error


def _judged(program: str, result: command.Result, *, seconds: float) -> contract.Outcome:
    if result.exit_code == 0:
        return contract.Outcome(status=contract.OutcomeStatus.SUCCEEDED, output=result.output)
    if result.exit_code is None:
        how = f"did not end within {seconds:g} seconds"
    elif result.exit_code < 0:
        how = f"was ended by {signal.Signals(-result.exit_code).name}"
    else:
        how = f"ended with exit code {result.exit_code}"
    words = result.output.strip()[-_LAST_WORDS:]
    return _failed(f"{program} {how}" + (f": {words}" if words else ""), output=result.output)


def _failed(message: str, *, output: str = "") -> contract.Outcome:
    return contract.Outcome(status=contract.OutcomeStatus.FAILED, message=message, output=output)


@contextlib.asynccontextmanager
async def _alone(place: placement.Placement) -> AsyncIterator[None]:
    """Wait for the lock without holding a thread: another process may take as long as it likes."""
    while True:
        with place.locked() as is_free:
            if is_free:
                yield
                return
        await asyncio.sleep(_LOCK_POLL)


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work; a cancelled caller waits for its end, so that two never write at once."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
