"""What a provider may know of an instance beside what it is asked."""

from typing import Any
from uuid import UUID

import psycopg_pool

from app import catalogue as catalogues
from app.application.unit_of_work import UnitOfWork
from app.eventlog import log
from app.providers import contract
from app.providers.open_service_broker import order
from app.work import run
from domain import errors


def orders(
    *,
    event_log: log.EventLog,
    catalogue: catalogues.Catalogue,
    pool: "psycopg_pool.AsyncConnectionPool[Any]",
) -> order.Orders:
    """Return the orders of brokers, as the log has them now."""

    async def known(service_instance_id: UUID) -> order.Order | None:
        work = UnitOfWork(event_log=event_log)
        try:
            facts = (await work.service(service_instance_id)).facts
        except errors.NotFoundRefusedError:
            return None
        offering = catalogue.offering(facts.offering)
        plan = catalogue.plan(offering, facts.plan) if offering else None
        if plan is None:  # to say that nothing was ordered would make it be forgotten
            raise contract.ProviderError(
                code=contract.ProviderErrorCode.PARAMETERS_INVALID,
                message=f"The plan {facts.plan} of {facts.offering} is no longer in the catalogue.",
                is_transient=False,
            )
        return order.Order(
            plan=plan.settings,
            parameters=facts.parameters,
            project_id=facts.project_id,
            environment_id=facts.environment_id,
            operation_id=facts.operation.id if facts.operation else None,
            was_ready=facts.was_ready,
            secret_version=facts.secret_version,
            secret_versions=facts.secret_versions,
            is_given_away=await run.is_given_away(pool),
        )

    return known
