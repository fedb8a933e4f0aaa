"""Why a command on a service instance is refused, in words that show the way out."""

from domain import errors, service_facts, states
from domain.errors import RefusalCode
from domain.states import Command, Situation

_WAY_OUT = {
    RefusalCode.MUST_DETACH_FIRST: "Detach it and deploy first.",
    RefusalCode.REMOVAL_IN_PROGRESS: "Add a new service instead.",
    RefusalCode.SERVICE_REMOVED: "Add a new service instead.",
    RefusalCode.NOT_READY: "Provision it first.",
    RefusalCode.NOTHING_TO_CANCEL: "Only a removal in its grace period can be cancelled.",
    RefusalCode.NOTHING_TO_ABANDON: "Only a removal that failed can be abandoned.",
}


def require(facts: service_facts.ServiceFacts, command: Command) -> None:
    """Refuse the command where the table of states says so."""
    code = states.refusal(situation=facts.situation, command=command)
    if code is not None:
        raise refused(facts, code, command)


def require_idle(facts: service_facts.ServiceFacts, command: Command) -> None:
    """Refuse the command with NOT_READY while the provider is at work on the instance (R39)."""
    operation = facts.operation
    if operation is not None and operation.is_in_progress:
        raise errors.StateRefusedError(
            code=RefusalCode.NOT_READY,
            message=f"Cannot {command.value} {facts.label}: {operation.kind} is under way. "
            "Wait until it is done.",
            state=facts.state,
        )


def require_no_deployment(facts: service_facts.ServiceFacts, command: Command) -> None:
    """Refuse the command while a deployment attaches the instance (R32)."""
    if facts.deployment_id is not None and not facts.applied:
        raise errors.DeploymentRefusedError(
            code=RefusalCode.DEPLOYMENT_IN_PROGRESS,
            message=f"Cannot {command.value} {facts.label}: a deployment is attaching it. "
            "Wait for its end, or cancel it.",
            deployment_id=facts.deployment_id,
        )


def require_consent(facts: service_facts.ServiceFacts, confirmation: str | None) -> None:
    """Refuse to destroy data that is protected, or without the text that confirms it (R25)."""
    if facts.protected:
        raise errors.StateRefusedError(
            code=RefusalCode.DELETION_PROTECTED,
            message=f"Cannot remove {facts.label}: it is protected against deletion. "
            "Switch the protection off first.",
            state=facts.state,
        )
    if confirmation != facts.label:
        raise errors.ConfirmationRefusedError(
            message=f"Removing {facts.label} destroys its data. "
            f"Give `confirm` the text {facts.label}.",
            expected=facts.label,
        )


def refused(
    facts: service_facts.ServiceFacts, code: RefusalCode, command: Command
) -> errors.StateRefusedError:
    """Return the refusal that tells the situation and the way out."""
    return errors.StateRefusedError(
        code=code,
        message=f"Cannot {command.value} {facts.label}: it is {facts.situation.value}. "
        f"{_way_out(facts, code)}",
        state=facts.state,
    )


def _way_out(facts: service_facts.ServiceFacts, code: RefusalCode) -> str:
    """Return what would help; in some situations, less than what helps in others."""
    match code, facts.situation:
        case RefusalCode.MUST_DETACH_FIRST, Situation.PENDING_DETACHMENT:
            if facts.deployment_id is None:
                return "Deploy first."
            return "Wait for the end of the deployment that detaches it."
        case RefusalCode.NOT_READY, Situation.PROVISIONING:
            return "Wait until it is provisioned."
        case RefusalCode.REMOVAL_IN_PROGRESS, Situation.REMOVAL_PENDING:
            if facts.removal_scheduled_for is None:
                return _WAY_OUT[code]
            return "Cancel its removal before the grace period ends, or add a new service instead."
        case _:
            return _WAY_OUT[code]
