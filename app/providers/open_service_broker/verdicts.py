"""What a broker's answer means, and whether it may have left an orphan.

The table of orphans in the specification, kind by kind: a success that cannot be read, a status
of success that is none of those agreed on, an error of the broker, and no answer at all may have
made something nobody knows of; a request that was rejected has not.
"""

import enum
from dataclasses import dataclass

from app.providers import contract
from app.providers.open_service_broker.client import Answer

_Code = contract.ProviderErrorCode
_LONGEST_OPERATION = 10_000  # characters, as the specification has it


class Request(enum.StrEnum):
    """What a broker is asked to do."""

    PROVISION = "provision"
    UPDATE = "update"
    BIND = "bind"
    UNBIND = "unbind"
    DEPROVISION = "deprovision"

    @property
    def makes(self) -> bool:
        """Could it leave something that nobody knows of?"""
        return self in {Request.PROVISION, Request.BIND}

    @property
    def takes_away(self) -> bool:
        """Is nothing there what it is for?"""
        return self in {Request.UNBIND, Request.DEPROVISION}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A request that did not do what it was for."""

    error: contract.ProviderError
    leaves_orphan: bool


def failure(request: Request, answer: Answer) -> Failure | None:
    """Return how the request failed; None if it succeeded or was accepted."""
    status = answer.status
    match status:
        case 202:
            return None  # under way, even if the rest of the answer cannot be read
        case 200 | 201 if answer.body is not None:
            return None
        case 410 if request.takes_away:
            return None
        case 200 | 201:
            orphan = request.makes and status == 201  # noqa: PLR2004  an HTTP status
            return _failed(request, answer, "an answer that cannot be read", orphan=orphan)
        case _ if 200 < status < 300:  # noqa: PLR2004  HTTP statuses
            return _failed(request, answer, "a success that is none", orphan=request.makes)
        case _ if status >= 500:  # noqa: PLR2004  an HTTP status
            return Failure(
                error=_error(request, answer, _Code.UNAVAILABLE, is_transient=True),
                leaves_orphan=request.makes,
            )
        case _:
            return Failure(error=_rejection(request, answer), leaves_orphan=False)


def without_answer(request: Request, error: contract.ProviderError) -> Failure:
    """Return the failure of a request that was sent, and whose answer never came."""
    return Failure(error=error, leaves_orphan=request.makes)


def operation(answer: Answer) -> str | None:
    """Return the name of an accepted operation, if the broker gave a usable one."""
    name = (answer.body or {}).get("operation")
    is_usable = isinstance(name, str) and 0 < len(name) <= _LONGEST_OPERATION
    return name if isinstance(name, str) and is_usable else None


def ended_badly(request: Request, description: str) -> Failure:
    """Return the failure of an operation whose state is `failed`."""
    return Failure(
        error=contract.ProviderError(
            code=_Code.FAILED,
            message=f"broker: {request} failed" + (f": {description}" if description else ""),
            is_transient=False,
        ),
        leaves_orphan=request.makes,
    )


def not_there(request: Request) -> Failure:
    """Return the failure of a request that was answered with what cannot be found."""
    return Failure(
        error=contract.ProviderError(
            code=_Code.UNAVAILABLE,
            message=f"broker: {request} was said to be done before, but nothing is there",
            is_transient=True,
        ),
        leaves_orphan=request.makes,
    )


def took_too_long(request: Request, seconds: float) -> Failure:
    """Return the failure of an operation that outlasted its plan's `maximum_polling_duration`."""
    return Failure(
        error=contract.ProviderError(
            code=_Code.TIMEOUT,
            message=f"broker: {request} took longer than its plan grants: {seconds:g} seconds",
            is_transient=False,
        ),
        leaves_orphan=request.makes,
    )


def _rejection(request: Request, answer: Answer) -> contract.ProviderError:
    match answer.status, answer.error:
        case ((408 | 425 | 429), _):
            return _error(request, answer, _Code.UNAVAILABLE, is_transient=True)
        case 422, "ConcurrencyError":
            return _error(request, answer, _Code.UNAVAILABLE, is_transient=True)
        case 422, ("AsyncRequired" | "RequiresApp" | "MaintenanceInfoConflict"):
            return _error(request, answer, _Code.FAILED)
        case ((400 | 422), _):
            return _error(request, answer, _Code.PARAMETERS_INVALID)
        case ((401 | 403), _):
            return _error(request, answer, _Code.PERMISSION_DENIED)
        case ((404 | 410), _) if request in {Request.UPDATE, Request.BIND}:
            return _error(request, answer, _Code.RESOURCE_MISSING)
        case _:
            return _error(request, answer, _Code.FAILED)


def _failed(request: Request, answer: Answer, what: str, *, orphan: bool) -> Failure:
    return Failure(
        error=contract.ProviderError(
            code=_Code.FAILED,
            message=f"broker: {request} got {what} (HTTP {answer.status})",
            is_transient=False,
        ),
        leaves_orphan=orphan,
    )


def _error(
    request: Request,
    answer: Answer,
    code: contract.ProviderErrorCode,
    *,
    is_transient: bool = False,
) -> contract.ProviderError:
    said = ": ".join(part for part in (answer.error, answer.description) if part)
    return contract.ProviderError(
        code=code,
        message=f"broker: {request} was answered with HTTP {answer.status}"
        + (f": {said}" if said else ""),
        is_transient=is_transient,
        retry_after=answer.retry_after,
    )
