"""What is known of an instance that a broker was asked for.

The protocol wants to be told again what was ordered, and a clean-up must know whether there
could be data: both are said by the instance's history, not remembered here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import msgspec

from app.providers import contract


@dataclass(frozen=True, kw_only=True)
class Order:
    """An instance, as its history has it."""

    plan: Mapping[str, object]
    parameters: Mapping[str, object]
    project_id: UUID
    environment_id: UUID
    operation_id: UUID | None
    was_ready: bool
    secret_version: int
    secret_versions: tuple[int, ...]
    """Those that were made and not revoked."""
    is_given_away: bool = False
    """Has another worker been given the work that asks this?"""


Orders: TypeAlias = Callable[[UUID], Awaitable[Order | None]]
"""Returns what is known of an instance; None if nothing ever was."""


class BrokerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, in the words of its broker: the settings of a plan in the catalogue."""

    service_id: str
    plan_id: str
    credential: str
    can_change: bool = False
    binding_rotatable: bool = False
    bindings_retrievable: bool = False
    instances_retrievable: bool = False
    maximum_polling_duration: float | None = None

    @property
    def query(self) -> dict[str, str]:
        """What most requests must say."""
        return {"service_id": self.service_id, "plan_id": self.plan_id}


def broker_plan(settings: Mapping[str, object]) -> BrokerPlan:
    """Read the settings of a plan; raises ProviderError."""
    try:
        return msgspec.convert(settings, type=BrokerPlan)
    except msgspec.ValidationError as error:
        problem = str(error)
    raise _refused(f"the plan is none of a broker's: {problem}")


def owner(known: Order | None) -> dict[str, object]:
    """Return who wants the instance, in the words of the protocol, which must not be empty."""
    organization = str(known.project_id) if known else "servicebook"
    space = str(known.environment_id) if known else "servicebook"
    return {
        "organization_guid": organization,
        "space_guid": space,
        "context": {"platform": "servicebook", "project": organization, "environment": space},
    }


def changes(
    plan: BrokerPlan,
    wanted: BrokerPlan,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> dict[str, object]:
    """Return what an update must say; raises ProviderError for what a broker cannot be told."""
    found: dict[str, object] = {}
    if plan.plan_id != wanted.plan_id:
        if not plan.can_change:
            raise _refused("it does not change the plan of an instance")
        found["plan_id"] = wanted.plan_id
    taken_back = sorted(before.keys() - after.keys())
    if taken_back:
        raise _refused(
            f"it cannot be told to forget {', '.join(taken_back)}: give the value to go back to",
        )
    parameters = {
        name: value for name, value in after.items() if name not in before or before[name] != value
    }
    if parameters:
        found["parameters"] = parameters
    return found


def _refused(problem: str) -> contract.ProviderError:
    return contract.ProviderError(
        code=contract.ProviderErrorCode.PARAMETERS_INVALID,
        message=f"broker: {problem}",
        is_transient=False,
    )
