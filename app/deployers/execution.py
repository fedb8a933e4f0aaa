"""Carries a release out on this machine, once: an effect that can be taken back, then a command.

The effect comes first, the command's exit code decides, and a release that fails, is cancelled
or was interrupted is taken back. The record answers for a deployment that has ended.
"""

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from app.deployers import command, contract, dotenv, record

P = ParamSpec("P")
T = TypeVar("T")

_LOCK_POLL = 0.05
_LAST_WORDS = 500


class Effect(Protocol):
    """What a release changes before its command runs."""

    def keep_previous(self) -> bool:
        """Keep what is there; tells whether anything is."""

    def put(self, variables: Mapping[str, str]) -> None:
        """Make the change."""

    def put_back(self, *, had_previous: bool) -> None:
        """Take the change back; may be repeated."""

    def let_go(self) -> None:
        """Let go of what was kept."""


class NoEffect:
    """A release that is nothing but its command."""

    def keep_previous(self) -> bool:
        """Keep nothing."""
        return False

    def put(self, variables: Mapping[str, str]) -> None:
        """Change nothing."""

    def put_back(self, *, had_previous: bool) -> None:
        """Take nothing back."""

    def let_go(self) -> None:
        """Let go of nothing."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """The command of a release, what it sees beside the variables, and its deadline."""

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A release at one place."""

    records: record.Records
    effect: Effect
    program: Program

    async def carry_out(self, release: contract.Release) -> contract.Outcome:
        """Carry the release out alone, or answer as before if this deployment has ended."""
        try:
            async with _alone(self.records):
                return await self._carry_out_alone(release)
        except (record.PlacementError, dotenv.DotenvError) as error:
            return failed(str(error))

    async def _carry_out_alone(self, release: contract.Release) -> contract.Outcome:
        last = await in_thread(self.records.recorded)
        if last is not None and last.deployment_id == release.deployment_id and last.outcome:
            return last.outcome
        await in_thread(self._undo)
        _require_successor(release, last, self.records.path)
        try:
            begun = await in_thread(self._begin, release, last)
            return await self._finish(release, begun)
        except asyncio.CancelledError:
            await in_thread(self._undo)
            raise

    def _begin(self, release: contract.Release, last: record.Record | None) -> record.Record:
        dotenv.check(release.variables)
        try:
            begun = record.Record(
                deployment_id=release.deployment_id,
                environment_id=release.environment_id,
                revision_number=release.revision_number,
                status=record.RUNNING,
                effective_revision=last.effective_revision if last else 0,
                effective_epoch=last.effective_epoch if last else release.epoch,
                had_previous=self.effect.keep_previous(),
            )
            self.records.note(begun)
            self.effect.put(release.variables)
        except OSError as error:
            raise record.PlacementError(
                f"{self.records.path} cannot be written: {error.strerror}"
            ) from error
        return begun

    async def _finish(self, release: contract.Release, begun: record.Record) -> contract.Outcome:
        outcome = await self._run(release, begun)
        settled = dataclasses.replace(
            begun, status=outcome.status, message=outcome.message, output=outcome.output
        )
        if outcome.status is contract.OutcomeStatus.SUCCEEDED:
            settled = dataclasses.replace(
                settled,
                effective_revision=release.revision_number,
                effective_epoch=release.epoch,
            )
        else:
            await in_thread(self.effect.put_back, had_previous=begun.had_previous)
        await in_thread(self._settle, settled)
        return outcome

    async def _run(self, release: contract.Release, begun: record.Record) -> contract.Outcome:
        if not self.program.command:
            return contract.Outcome(status=contract.OutcomeStatus.SUCCEEDED)

        async def started(process: command.Process) -> None:
            await in_thread(self.records.note, dataclasses.replace(begun, process=process))

        name = self.program.command[0]
        try:
            result = await command.run(
                command=self.program.command,
                environment=self._environment(release),
                directory=self.program.directory,
                seconds=self.program.seconds,
                secrets=tuple(release.variables.values()),
                started=started,
            )
        except OSError as error:
            return failed(f"{name} cannot be started: {error.strerror}")
        return _judged(name, result, seconds=self.program.seconds)

    def _environment(self, release: contract.Release) -> Mapping[str, str]:
        return {
            **self.program.environment,
            **release.variables,
            "SERVICEBOOK_DEPLOYMENT_ID": str(release.deployment_id),
            "SERVICEBOOK_ENVIRONMENT_ID": str(release.environment_id),
            "SERVICEBOOK_REVISION": str(release.revision_number),
        }

    def _undo(self) -> None:
        """Take a release back that was interrupted, if one was."""
        found = self.records.recorded()
        if found is not None and found.status == record.RUNNING:
            if found.process:
                command.end_leftover(found.process)
            self.effect.put_back(had_previous=found.had_previous)
            self._settle(dataclasses.replace(found, status=record.INTERRUPTED, process=None))

    def _settle(self, found: record.Record) -> None:
        """Write down the outcome and let go of what was kept."""
        self.records.note(found)
        self.effect.let_go()


async def observe(records: record.Records, release: contract.Release) -> contract.Outcome | None:
    """Tell how the release ended; None while it runs, and if it was interrupted."""
    found = await in_thread(records.recorded)
    if found is None or found.deployment_id != release.deployment_id:
        return None
    return found.outcome


def make_directory(path: Path) -> None:
    """Make a private directory; raises PlacementError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise record.PlacementError(f"{path} cannot be made: {error.strerror}") from error


def failed(message: str, *, output: str = "") -> contract.Outcome:
    """Return that a release failed."""
    return contract.Outcome(status=contract.OutcomeStatus.FAILED, message=message, output=output)


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work; a cancelled caller waits for its end, so that two never write at once."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise


def _require_successor(release: contract.Release, last: record.Record | None, path: Path) -> None:
    """Refuse a release that would undo another one: of another environment, or a later one."""
    if last is None:
        return
    if last.environment_id != release.environment_id:
        raise record.PlacementError(
            f"{path} belongs to environment {last.environment_id}: name another path"
        )
    is_earlier = (
        release.epoch == last.effective_epoch and release.revision_number < last.effective_revision
    )
    if is_earlier and not release.is_rollback:
        raise record.PlacementError(
            f"{path} holds revision {last.effective_revision} already, "
            f"which is later than {release.revision_number}"
        )


def _judged(program: str, result: command.Result, *, seconds: float) -> contract.Outcome:
    if result.exit_code == 0:
        return contract.Outcome(status=contract.OutcomeStatus.SUCCEEDED, output=result.output)
    if result.exit_code is None:
        how = f"did not end within {seconds:g} second{'' if seconds == 1 else 's'}"
    elif result.exit_code < 0:
        how = f"was ended by {_signal(-result.exit_code)}"
    else:
        how = f"ended with exit code {result.exit_code}"
    words = result.output.strip()[-_LAST_WORDS:]
    return failed(f"{program} {how}" + (f": {words}" if words else ""), output=result.output)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # of the real-time signals, only the first and the last have a name
        return f"signal {number}"


@contextlib.asynccontextmanager
async def _alone(records: record.Records) -> AsyncIterator[None]:
    """Wait for the lock without holding a thread: another process may take as long as it likes."""
    while True:
        with records.locked() as is_free:
            if is_free:
                yield
                return
        await asyncio.sleep(_LOCK_POLL)
