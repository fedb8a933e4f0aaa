"""What the catalogue offers, chosen and checked."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from app import catalogue
from domain import errors
from domain.errors import RefusalCode


@dataclasses.dataclass(frozen=True)
class Choice:
    """An offering, a plan and parameters that go together."""

    offering: catalogue.Offering
    plan: str
    parameters: dict[str, Any]
    variable_names: Callable[[str], tuple[str, ...]]


def choose(
    catalogue: catalogue.Catalogue, *, offering: str, plan: str | None, parameters: dict[str, Any]
) -> Choice:
    """Return what was chosen. Raises OFFERING_UNKNOWN, PLAN_UNKNOWN or PARAMETERS_INVALID."""
    found = require_offering(catalogue, offering, path="offering")
    chosen = catalogue.plan(found, plan)
    if chosen is None:
        raise errors.InputRefusedError(
            code=RefusalCode.PLAN_UNKNOWN,
            message=f'{offering} has no plan "{plan}". It has: '
            f"{', '.join(known.name for known in found.plans)}.",
            path="plan",
        )
    problems = catalogue.check_parameters(found, chosen, parameters)
    if problems:
        raise errors.InputRefusedError(
            code=RefusalCode.PARAMETERS_INVALID,
            message=f"The parameters do not fit {offering} {chosen.name}: "
            + "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
            + ".",
            problems=[
                errors.Problem(path=problem.path, message=problem.message) for problem in problems
            ],
        )
    return Choice(
        offering=found,
        plan=chosen.name,
        parameters=parameters,
        variable_names=lambda prefix: catalogue.variable_names(kind=found.kind, prefix=prefix),
    )


def require_offering(catalogue: catalogue.Catalogue, name: str, *, path: str) -> catalogue.Offering:
    """Return the offering that an input names at a path. Raises OFFERING_UNKNOWN."""
    found = catalogue.offering(name)
    if found is None:
        raise errors.InputRefusedError(
            code=RefusalCode.OFFERING_UNKNOWN,
            message=f"There is no offering {name}. There are: "
            f"{', '.join(known.name for known in catalogue.offerings)}.",
            path=path,
        )
    return found


def is_provided(
    catalogue: catalogue.Catalogue, providers: Mapping[str, object], offering: str
) -> bool:
    """Can the offering be provisioned on this installation?"""
    found = catalogue.offering(offering)
    return found is not None and found.provider in providers
