"""A deployment plan from the facts that a statement delivers."""

from typing import Any
from uuid import UUID

from domain import deployment_plan
from projections import service_instances


def drawn_up(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the plan, as JSON, that the domain draws up of these rows."""
    plan = deployment_plan.draw_up(
        environment_id=UUID(facts["environment_id"]),
        instances={UUID(row["id"]): service_instances.facts_of(row) for row in facts["instances"]},
        unavailable_offerings=frozenset(facts["unavailable_offerings"]),
        position=facts["position"],
    )
    return plan.as_json()
