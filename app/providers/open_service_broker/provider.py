"""Provides what a broker offers: one broker's instance and bindings per service instance."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from app.providers import contract
from app.providers.open_service_broker import credentials, order, verdicts
from app.providers.open_service_broker.client import Client
from app.providers.open_service_broker.operation import FIRST_PAUSE, Job, Operations, Outcome

_Code = contract.ProviderErrorCode
_Request = verdicts.Request
_OK, _BROKEN = 200, 500  # HTTP statuses
_SHORTEST_SECRET = 4  # characters; to take out shorter ones would leave nothing to read

_logger = logging.getLogger(__name__)


class BrokerProvider:
    """Makes instances and bindings at one broker; see the package for how."""

    def __init__(
        self,
        *,
        client: Client,
        orders: order.Orders,
        patience: float = 20.0,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """Ask by `client`; a call waits `patience` seconds for what the broker takes its time for.

        Then it fails for now, and the next call goes on waiting.
        """
        self._client = client
        self._orders = orders
        self._operations = Operations(client=client, patience=patience, first_pause=first_pause)

    async def ensure_present(self, request: contract.ResourceRequest) -> None:
        """Make the instance; one that is there with other parameters is a failure for good."""
        plan = order.broker_plan(request.plan)
        service_instance_id = request.service_instance_id
        known = await self._orders(service_instance_id)
        job = _job(
            _Request.PROVISION,
            service_instance_id,
            plan,
            known,
            body={**plan.query, **order.owner(known), "parameters": dict(request.parameters)},
            secrets=request.parameters,
        )
        # What failed and could not be removed is answered like what was made. What ever was ready
        # is not doubted: its last operation was another one.
        is_doubted = known is not None and not known.was_ready
        job = replace(job, is_doubted=is_doubted, is_retrievable=plan.instances_retrievable)
        outcome = await self._operations.carry_out(job)
        if outcome.failure is not None:
            if outcome.failure.leaves_orphan:
                job = _job(_Request.DEPROVISION, service_instance_id, plan, known)
                await self._discard_instance(service_instance_id, job, outcome.failure.error)
            raise outcome.failure.error

    async def ensure_configured(self, request: contract.ResourceRequest) -> None:
        """Change plan and parameters, those that differ; nothing differs is success."""
        wanted = order.broker_plan(request.plan)
        known = await self._require_order(request.service_instance_id)
        plan = order.broker_plan(known.plan)
        changes = order.changes(plan, wanted, known.parameters, request.parameters)
        if not changes:
            return
        job = _job(
            _Request.UPDATE,
            request.service_instance_id,
            plan,
            known,
            body={
                "service_id": plan.service_id,
                **changes,
                "context": order.owner(known)["context"],
                "previous_values": plan.query,
            },
            secrets=request.parameters,
        )
        _require(await self._operations.carry_out(job))

    async def new_secret(
        self,
        *,
        service_instance_id: UUID,  # noqa: ARG002  the broker makes credentials
        version: int,  # noqa: ARG002  likewise
    ) -> Mapping[str, str]:
        """Return nothing: a broker makes credentials of its own, and repeats them when asked."""
        return {}

    async def ensure_credentials(
        self,
        *,
        service_instance_id: UUID,
        version: int,
        secret: Mapping[str, str],  # noqa: ARG002  see new_secret
    ) -> Mapping[str, str]:
        """Bind, or find the binding that is there, and return its credentials."""
        known = await self._require_order(service_instance_id)
        plan = order.broker_plan(known.plan)
        path = _binding(service_instance_id, version)
        body: dict[str, object] = {**plan.query, "context": order.owner(known)["context"]}
        if plan.binding_rotatable and 0 < known.secret_version < version:
            body["predecessor_binding_id"] = binding_id(service_instance_id, known.secret_version)
        job = _job(_Request.BIND, service_instance_id, plan, known, path=path, body=body)
        outcome = await self._operations.carry_out(job)
        found = await self._bound(outcome, path, plan)
        failure = outcome.failure
        if found is None and failure is None:
            # The broker says that it bound, and cannot say what: of no use to anyone.
            failure = verdicts.Failure(
                error=_error(_Code.FAILED, "the binding has no credentials"), leaves_orphan=True
            )
        if found is None and failure is not None:
            is_lost = outcome.is_conflict
            if is_lost or failure.leaves_orphan:
                job = _job(_Request.UNBIND, service_instance_id, plan, known, path=path)
                is_gone = await self._discard_binding(
                    service_instance_id, version, job, failure.error
                )
                if is_lost and is_gone:
                    raise _error(
                        _Code.UNAVAILABLE,
                        "the binding was there, and is made anew",
                        is_transient=True,
                    )
            raise failure.error
        return _mapped(plan, found or {})

    async def ensure_revoked(self, *, service_instance_id: UUID, version: int) -> None:
        """Unbind."""
        known = await self._orders(service_instance_id)
        if known is not None:
            await self._unbind(service_instance_id, version, order.broker_plan(known.plan), known)

    async def ensure_absent(self, service_instance_id: UUID) -> None:
        """Unbind what is bound, then deprovision."""
        known = await self._orders(service_instance_id)
        if known is None:
            return
        plan = order.broker_plan(known.plan)
        # One more than is known: it may have been bound without anybody hearing of it.
        for version in sorted({*known.secret_versions, known.secret_version + 1}):
            try:
                await self._unbind(service_instance_id, version, plan, known)
            except contract.ProviderError as error:
                if error.is_transient:
                    raise
                # Without bindings is better; that it can be removed at all matters more.
                _logger.warning("a binding stays until its instance is gone: %s", error.message)
        job = _job(_Request.DEPROVISION, service_instance_id, plan, known)
        _require(await self._operations.carry_out(job))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _require_order(self, service_instance_id: UUID) -> order.Order:
        known = await self._orders(service_instance_id)
        if known is None:
            raise _error(_Code.RESOURCE_MISSING, "no such instance was ever ordered")
        return known

    async def _bound(
        self, outcome: Outcome, path: str, plan: order.BrokerPlan
    ) -> Mapping[str, object] | None:
        """Return the credentials of a binding that is there, or None."""
        is_there = outcome.failure is None or outcome.is_conflict
        body = outcome.answer.body if outcome.answer and outcome.failure is None else None
        found = _credentials_in(body)
        if found is None and is_there and plan.bindings_retrievable:
            answer = await self._client.ask("GET", path, query=plan.query)
            if answer.status >= _BROKEN:
                raise _error(
                    _Code.UNAVAILABLE, "the binding cannot be fetched now", is_transient=True
                )
            found = _credentials_in(answer.body) if answer.status == _OK else None
        return found

    async def _unbind(
        self, service_instance_id: UUID, version: int, plan: order.BrokerPlan, known: order.Order
    ) -> None:
        path = _binding(service_instance_id, version)
        job = _job(_Request.UNBIND, service_instance_id, plan, known, path=path)
        _require(await self._operations.carry_out(job))

    async def _discard_instance(
        self, service_instance_id: UUID, job: Job, cause: contract.ProviderError
    ) -> None:
        """Remove what a failed provisioning left, unless it ever was ready: no data is lost."""
        known = await self._orders(service_instance_id)
        if known is None or known.was_ready or not _is_its(job, known):
            return
        await self._discard(job, cause)

    async def _discard_binding(
        self, service_instance_id: UUID, version: int, job: Job, cause: contract.ProviderError
    ) -> bool:
        """Remove what a failed binding left, unless it is in use; tell whether it was removed."""
        known = await self._orders(service_instance_id)
        if known is None or version <= known.secret_version or not _is_its(job, known):
            return False
        await self._discard(job, cause)
        return True

    async def _discard(self, job: Job, cause: contract.ProviderError) -> None:
        """Remove an orphan; raises a passing failure while that cannot be done.

        The repeat uses the same id: where it is made after all, however late, that is found
        again; where it fails as before, what it left is removed once more.
        """
        try:
            failure = (await self._operations.carry_out(job)).failure
        except contract.ProviderError as error:
            problem = error
        else:
            if failure is None:
                return
            problem = failure.error
        raise contract.ProviderError(
            code=problem.code,
            message=f"{cause.message}; what it left cannot be removed yet: {problem.message}",
            is_transient=True,
            retry_after=problem.retry_after or cause.retry_after,
        )


def _is_its(job: Job, known: order.Order) -> bool:
    """Is the job still the one that is at it? Else what it would discard may be another's."""
    return known.operation_id == job.operation_id and not known.is_given_away


def binding_id(service_instance_id: UUID, version: int) -> str:
    """Return the id of a version's binding."""
    return str(uuid.uuid5(service_instance_id, str(version)))


def _binding(service_instance_id: UUID, version: int) -> str:
    binding = binding_id(service_instance_id, version)
    return f"/v2/service_instances/{service_instance_id}/service_bindings/{binding}"


def _job(
    request: verdicts.Request,
    service_instance_id: UUID,
    plan: order.BrokerPlan,
    known: order.Order | None,
    *,
    path: str | None = None,
    body: Mapping[str, object] | None = None,
    secrets: Mapping[str, object] | None = None,
) -> Job:
    return Job(
        request=request,
        path=path or f"/v2/service_instances/{service_instance_id}",
        operation_id=known.operation_id if known else None,
        query=plan.query,
        body=body,
        maximum=plan.maximum_polling_duration,
        secrets=tuple(
            t for t in credentials.strings_in(secrets or {}) if len(t) >= _SHORTEST_SECRET
        ),
    )


def _credentials_in(body: Mapping[str, object] | None) -> Mapping[str, object] | None:
    found = (body or {}).get("credentials")
    return found if isinstance(found, dict) and found else None


def _mapped(plan: order.BrokerPlan, found: Mapping[str, object]) -> Mapping[str, str]:
    try:
        return credentials.mapped(rule=plan.credential, found=found)
    except credentials.CredentialMissingError as error:
        problem = str(error)
    raise _error(_Code.FAILED, problem)


def _require(outcome: Outcome) -> None:
    if outcome.failure is not None:
        raise outcome.failure.error


def _error(
    code: contract.ProviderErrorCode, message: str, *, is_transient: bool = False
) -> contract.ProviderError:
    return contract.ProviderError(
        code=code, message=f"broker: {message}", is_transient=is_transient
    )
