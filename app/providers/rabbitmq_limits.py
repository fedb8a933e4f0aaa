"""What a plan allows in a virtual host."""

from dataclasses import dataclass

from app.providers import contract

_MOST = 100_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a virtual host may take: sessions of a login, queues."""

    connections: int
    queues: int

    @classmethod
    def of(cls, request: contract.ResourceRequest) -> "Limits":
        """Read plan and parameters, which the catalogue has checked when they were asked for."""
        if request.parameters:
            raise _invalid(
                f"a virtual host has no parameters: {', '.join(sorted(request.parameters))}"
            )
        return cls(
            connections=_number(request, "connections", 100),
            queues=_number(request, "queues", 100),
        )


def _number(request: contract.ResourceRequest, name: str, default: int) -> int:
    value = request.plan.get(name, default)
    if type(value) is not int or not 1 <= value <= _MOST:
        raise _invalid(f"{name} must be a number from 1 to {_MOST}")
    return value


def _invalid(message: str) -> contract.ProviderError:
    return contract.ProviderError(
        code=contract.ProviderErrorCode.PARAMETERS_INVALID, message=message, is_transient=False
    )
