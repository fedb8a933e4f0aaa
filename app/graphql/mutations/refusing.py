"""A refusal of the domain as a type of the schema: the one place where that is decided."""

from app.graphql import payloads, rows
from app.graphql.types import refusals
from domain import errors


async def refusal(place: payloads.Place, error: errors.RefusedError, *, given_id: str) -> rows.Row:
    """Return what the client is told; `given_id` is the id that it sent, as it wrote it."""
    values: dict[str, object] = {"code": error.code, "message": error.message}
    match error:
        case errors.StateRefusedError():
            values["current_state"] = error.state
            return await payloads.refusal(place, refusals.StateRefusal, values=values)
        case errors.ConflictRefusedError():
            values["current_version"] = error.current_version
            return await payloads.refusal(place, refusals.ConflictRefusal, values=values)
        case errors.NotFoundRefusedError():
            values["id"] = given_id
            return await payloads.refusal(place, refusals.NotFoundRefusal, values=values)
        case errors.InputRefusedError():
            values["problems"] = [
                refusals.InputProblem(path=problem.path, message=problem.message)
                for problem in error.problems
            ]
            return await payloads.refusal(place, refusals.InputRefusal, values=values)
        case errors.TakenRefusedError():
            return await payloads.refusal(
                place,
                refusals.TakenRefusal,
                values=values,
                holder=(error.holder_type, error.holder_id),
            )
        case errors.QuotaRefusedError():
            values |= {"offering": error.offering, "limit": error.limit, "used": error.used}
            return await payloads.refusal(place, refusals.QuotaRefusal, values=values)
        case errors.ConfirmationRefusedError():
            values["expected"] = error.expected
            return await payloads.refusal(place, refusals.ConfirmationRefusal, values=values)
        case errors.DeploymentRefusedError():
            return await payloads.refusal(
                place,
                refusals.DeploymentRefusal,
                values=values,
                deployment_id=error.deployment_id,
            )
        case errors.PlanRefusedError():
            values |= {"added": list(error.added), "removed": list(error.removed)}
            return await payloads.refusal(
                place,
                refusals.PlanRefusal,
                values=values,
                current_plan=error.plan.as_json(),
            )
        case errors.PermissionRefusedError():
            return await payloads.refusal(place, refusals.PermissionRefusal, values=values)
        case _:
            raise TypeError(f"no type of the schema tells of a {type(error).__name__}")
