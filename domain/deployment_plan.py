"""What a deployment of an environment would do now: a pure function of its instances (R29)."""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from domain import events, states, values
from domain.service_facts import ServiceFacts

_FIRST_SECRET_VERSION = 1
_POSITION_DIGITS = 18  # what a bigint holds for certain


class PlannedActionKind(enum.StrEnum):
    """What a deployment does with a service instance."""

    PROVISION = "PROVISION"
    ATTACH = "ATTACH"
    DETACH = "DETACH"
    RENAME = "RENAME"
    ROTATE = "ROTATE"
    KEEP = "KEEP"


@dataclasses.dataclass(frozen=True)
class PlannedAction:
    """One thing that will happen to one instance; `line` is how people read it."""

    kind: PlannedActionKind
    service_instance_id: UUID
    line: str


@dataclasses.dataclass(frozen=True)
class PlanNote:
    """Something to know before deploying; a blocker stands in the way."""

    code: str
    message: str
    service_instance_id: UUID | None


@dataclasses.dataclass(frozen=True)
class DeploymentPlan:
    """What a deployment would do; variables by name only.

    `digest` names the content: two plans with the same fingerprint do the same. It also tells
    the position of the log it was drawn up at, so that a difference can be shown later.
    """

    digest: str
    actions: tuple[PlannedAction, ...]
    variables_added: tuple[str, ...]
    variables_removed: tuple[str, ...]
    variables_changed: tuple[str, ...]
    blockers: tuple[PlanNote, ...]
    warnings: tuple[PlanNote, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The actions as people read them."""
        return tuple(action.line for action in self.actions)

    def is_approved_by(self, digest: str) -> bool:
        """Is the plan that the digest was given for the same as this one?"""
        return digest.rpartition(".")[2] == self.digest.rpartition(".")[2]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as it is stored with its deployment."""
        plan: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return plan


def draw_up(
    *,
    environment_id: UUID,
    instances: Mapping[UUID, ServiceFacts],
    unavailable_offerings: AbstractSet[str],
    position: int,
) -> DeploymentPlan:
    """Return what a deployment would do with the environment's instances.

    `unavailable_offerings` have no provider here: provisioning one is a blocker. `position`
    is the place in the log that the facts were read at.
    """
    actions = tuple(
        PlannedAction(kind=kind, service_instance_id=instance_id, line=_line(kind, facts))
        for instance_id, facts in instances.items()
        for kind in _kinds(facts)
    )
    now, then = _running_variables(instances), _next_variables(instances)
    return DeploymentPlan(
        digest=f"{position}.{_fingerprint(environment_id, actions, instances)}",
        actions=actions,
        variables_added=tuple(sorted(then.keys() - now.keys())),
        variables_removed=tuple(sorted(now.keys() - then.keys())),
        variables_changed=tuple(sorted(n for n in now.keys() & then.keys() if now[n] != then[n])),
        blockers=tuple(_blockers(actions, instances, unavailable_offerings)),
        warnings=tuple(_warnings(instances)),
    )


def position_of(digest: str) -> int | None:
    """Return the position that a digest was drawn up at; None if it is no digest of ours."""
    head, _, _ = digest.rpartition(".")
    is_position = head.isascii() and head.isdigit() and len(head) <= _POSITION_DIGITS
    return int(head) if is_position else None


def snapshot(instances: Mapping[UUID, ServiceFacts]) -> tuple[events.SnapshotItem, ...]:
    """Return what a deployment that starts now holds: wanted and running instances (R32)."""
    return tuple(
        events.SnapshotItem(
            service_instance_id=instance_id,
            role=_role(facts),
            prefix=facts.prefix,
            variable_names=facts.variable_names,
            secret_version=facts.secret_version if facts.is_functional else None,
            is_changed=_is_renamed(facts) or _is_rotated(facts),
        )
        for instance_id, facts in instances.items()
        if facts.wanted or facts.applied
    )


def _kinds(facts: ServiceFacts) -> Iterator[PlannedActionKind]:
    role = _role(facts)
    if role is values.DeploymentRole.DETACH:
        yield PlannedActionKind.DETACH
    elif role is values.DeploymentRole.ATTACH:
        if not facts.is_functional:
            yield PlannedActionKind.PROVISION
        yield PlannedActionKind.ATTACH
    elif facts.applied:
        if _is_renamed(facts):
            yield PlannedActionKind.RENAME
        if _is_rotated(facts):
            yield PlannedActionKind.ROTATE
        if not _is_renamed(facts) and not _is_rotated(facts):
            yield PlannedActionKind.KEEP


def _line(kind: PlannedActionKind, facts: ServiceFacts) -> str:
    """Return an action as people read it; whatever else will differ reads differently."""
    version = facts.secret_version or _FIRST_SECRET_VERSION
    match kind:
        case PlannedActionKind.PROVISION:
            return f"{kind} {facts.label} ({_made(facts)})"
        case PlannedActionKind.ATTACH:
            return f"{kind} {facts.label} ({_made(facts)}, credentials version {version})"
        case PlannedActionKind.RENAME:
            return f"{kind} {facts.label} (from {facts.applied_prefix})"
        case PlannedActionKind.ROTATE:
            return f"{kind} {facts.label} (credentials version {version})"
        case PlannedActionKind.DETACH | PlannedActionKind.KEEP:
            return f"{kind} {facts.label}"


def _made(facts: ServiceFacts) -> str:
    """Return what a resource is, or is going to be; secrets among parameters are references."""
    plan, parameters = _wanted(facts)
    return f"{facts.offering}, plan {plan}, {json.dumps(parameters, sort_keys=True)}"


def _role(facts: ServiceFacts) -> values.DeploymentRole | None:
    if facts.applied and not facts.wanted:
        return values.DeploymentRole.DETACH
    if facts.wanted and not facts.applied:
        return values.DeploymentRole.ATTACH
    return None


def _is_renamed(facts: ServiceFacts) -> bool:
    return facts.applied and (facts.prefix, facts.variable_names) != (
        facts.applied_prefix,
        facts.applied_variable_names,
    )


def _is_rotated(facts: ServiceFacts) -> bool:
    return facts.applied and facts.secret_version != facts.applied_secret_version


_Variables = dict[str, tuple[UUID, int | None]]


def _running_variables(instances: Mapping[UUID, ServiceFacts]) -> _Variables:
    return {
        name: (instance_id, facts.applied_secret_version)
        for instance_id, facts in instances.items()
        for name in facts.applied_variable_names or ()
    }


def _next_variables(instances: Mapping[UUID, ServiceFacts]) -> _Variables:
    return {
        name: (instance_id, facts.secret_version or _FIRST_SECRET_VERSION)
        for instance_id, facts in instances.items()
        if facts.wanted
        for name in facts.variable_names
    }


def _fingerprint(
    environment_id: UUID,
    actions: Sequence[PlannedAction],
    instances: Mapping[UUID, ServiceFacts],
) -> str:
    """Return a name for what will happen, whatever the order of the instances.

    Whether an instance is provisioned by the deployment or was before makes no difference. What
    is named here, the lines tell: else nobody could say what changed.
    """
    variables = _next_variables(instances)
    content = [
        str(environment_id),
        sorted(
            [action.kind, str(action.service_instance_id)]
            for action in actions
            if action.kind is not PlannedActionKind.PROVISION
        ),
        sorted([name, str(holder), version] for name, (holder, version) in variables.items()),
        {
            str(action.service_instance_id): _wanted(instances[action.service_instance_id])
            for action in actions
            if action.kind is PlannedActionKind.ATTACH
        },
    ]
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _wanted(facts: ServiceFacts) -> list[Any]:
    """Return the plan and parameters that the instance has, or is going to have."""
    return [
        facts.plan if facts.next_plan is None else facts.next_plan,
        facts.parameters if facts.next_parameters is None else facts.next_parameters,
    ]


def _blockers(
    actions: Iterable[PlannedAction],
    instances: Mapping[UUID, ServiceFacts],
    unavailable_offerings: AbstractSet[str],
) -> Iterator[PlanNote]:
    for action in actions:
        facts = instances[action.service_instance_id]
        is_missing = (
            facts.resource is states.Resource.ABSENT and facts.offering in unavailable_offerings
        )
        if action.kind is PlannedActionKind.PROVISION and is_missing:
            yield PlanNote(
                code="PROVIDER_NOT_CONFIGURED",
                message=f"{facts.label} cannot be provisioned: no provider for {facts.offering} "
                "is configured here. Detach it, which parks it, or remove it.",
                service_instance_id=action.service_instance_id,
            )


def _warnings(instances: Mapping[UUID, ServiceFacts]) -> Iterator[PlanNote]:
    kept = {name for facts in instances.values() if facts.wanted for name in facts.variable_names}
    for instance_id, facts in instances.items():
        gone = [name for name in facts.applied_variable_names or () if name not in kept]
        if gone:
            what = "renamed" if facts.wanted else "detached"
            them = "it" if len(gone) == 1 else "them"
            yield PlanNote(
                code="VARIABLES_DISAPPEAR",
                message=f"{facts.label} is {what}: {', '.join(gone)} will disappear, and the "
                f"application may depend on {them}.",
                service_instance_id=instance_id,
            )
