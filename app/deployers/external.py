"""Leaves the release to somebody else, who reports how it ended."""

from app.deployers import contract


class ExternalDeployer:
    """Waits for a report; the deployment's deadline bounds the wait."""

    async def release(self, release: contract.Release) -> contract.Outcome:
        """Answer that somebody else will report."""
        return _pending(release)

    async def observe(self, release: contract.Release) -> contract.Outcome | None:
        """Answer that somebody else will report."""
        return _pending(release)


def _pending(release: contract.Release) -> contract.Outcome:
    return contract.Outcome(
        status=contract.OutcomeStatus.PENDING,
        message=f"waiting for a report on revision {release.revision_number}",
    )
