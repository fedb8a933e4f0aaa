"""The machine of a service instance: its states, and what each command may do where.

The public state is a function of three facts and never stored by hand (R12). `resource`
changes by providers' results, `is_applied` by deployments, `is_wanted` by commands.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import assert_never

from domain.errors import RefusalCode


class Resource(enum.StrEnum):
    """How far the provider is with the real thing."""

    ABSENT = "ABSENT"
    CREATING = "CREATING"
    READY = "READY"
    DELETING = "DELETING"
    GONE = "GONE"


class ServiceInstanceState(enum.StrEnum):
    """The seven states of a service instance."""

    NEW = "NEW"
    PROVISIONING = "PROVISIONING"
    PENDING_ATTACHMENT = "PENDING_ATTACHMENT"
    ATTACHED = "ATTACHED"
    PENDING_DETACHMENT = "PENDING_DETACHMENT"
    DETACHED = "DETACHED"
    REMOVED = "REMOVED"


class Situation(enum.Enum):
    """Where an instance stands when a command comes in: its state, and what is under way."""

    NEW_UNSENT = "new"
    NEW_FAILED = "new, its provisioning failed"
    PROVISIONING = "being provisioned"
    PENDING_ATTACHMENT = "pending attachment"
    ATTACHED = "attached"
    PENDING_DETACHMENT = "pending detachment"
    DETACHED = "detached"
    REMOVAL_PENDING = "about to be removed"
    REMOVING = "being removed"
    REMOVAL_FAILED = "being removed; the last attempt failed"
    REMOVED = "removed"


class Command(enum.Enum):
    """What can be asked of an instance; the value completes "Cannot … x"."""

    PROVISION = "provision"
    ATTACH = "attach"
    DETACH = "detach"
    REMOVE = "remove"
    RENAME = "rename"
    CONFIGURE = "configure"
    ROTATE = "rotate the credentials of"
    REVEAL = "reveal the credentials of"
    PROTECT = "change the protection of"
    CANCEL_REMOVAL = "cancel the removal of"
    ABANDON = "abandon"


FUNCTIONAL = frozenset(
    {
        Situation.PENDING_ATTACHMENT,
        Situation.ATTACHED,
        Situation.PENDING_DETACHMENT,
        Situation.DETACHED,
    }
)
"""Where the resource is there, and not under removal (R13)."""

_APPLIED = frozenset({Situation.ATTACHED, Situation.PENDING_DETACHMENT})
_UNDER_REMOVAL = frozenset(
    {Situation.REMOVAL_PENDING, Situation.REMOVING, Situation.REMOVAL_FAILED}
)


def public_state(
    *, resource: Resource, is_applied: bool, is_wanted: bool, was_ready: bool
) -> ServiceInstanceState:
    """Return the state that users see."""
    match resource:
        case Resource.ABSENT:
            return ServiceInstanceState.NEW
        case Resource.CREATING:
            return ServiceInstanceState.PROVISIONING
        case Resource.READY:
            return _ready_state(is_applied=is_applied, is_wanted=is_wanted)
        case Resource.DELETING:
            return ServiceInstanceState.DETACHED if was_ready else ServiceInstanceState.NEW
        case Resource.GONE:
            return ServiceInstanceState.REMOVED
        case _:
            assert_never(resource)


def _ready_state(*, is_applied: bool, is_wanted: bool) -> ServiceInstanceState:
    if is_applied:
        return (
            ServiceInstanceState.ATTACHED if is_wanted else ServiceInstanceState.PENDING_DETACHMENT
        )
    return ServiceInstanceState.PENDING_ATTACHMENT if is_wanted else ServiceInstanceState.DETACHED


def refusal(*, situation: Situation, command: Command) -> RefusalCode | None:
    """Return why the command is refused in the situation; None if it is accepted.

    An accepted command that is in effect already changes nothing.
    """
    return REFUSALS[command].get(situation)


def _everywhere_but(
    allowed: frozenset[Situation], code: RefusalCode
) -> dict[Situation, RefusalCode]:
    return {situation: code for situation in Situation if situation not in allowed}


_ONCE_REMOVAL_BEGAN = {
    **dict.fromkeys(_UNDER_REMOVAL, RefusalCode.REMOVAL_IN_PROGRESS),
    Situation.REMOVED: RefusalCode.SERVICE_REMOVED,
}
_WHILE_APPLIED = dict.fromkeys(_APPLIED, RefusalCode.MUST_DETACH_FIRST)

REFUSALS: Mapping[Command, Mapping[Situation, RefusalCode]] = MappingProxyType(
    {
        Command.PROVISION: _ONCE_REMOVAL_BEGAN,
        Command.ATTACH: _ONCE_REMOVAL_BEGAN,
        Command.DETACH: _ONCE_REMOVAL_BEGAN,
        Command.RENAME: _ONCE_REMOVAL_BEGAN,
        Command.CONFIGURE: _ONCE_REMOVAL_BEGAN,
        Command.PROTECT: _ONCE_REMOVAL_BEGAN,
        Command.REMOVE: _WHILE_APPLIED,
        Command.ROTATE: _everywhere_but(FUNCTIONAL, RefusalCode.NOT_READY) | _ONCE_REMOVAL_BEGAN,
        Command.REVEAL: _everywhere_but(FUNCTIONAL, RefusalCode.NOT_READY) | _ONCE_REMOVAL_BEGAN,
        Command.CANCEL_REMOVAL: _everywhere_but(
            frozenset({Situation.REMOVAL_PENDING}), RefusalCode.NOTHING_TO_CANCEL
        ),
        Command.ABANDON: _everywhere_but(
            frozenset({Situation.REMOVAL_FAILED, Situation.REMOVED}),
            RefusalCode.NOTHING_TO_ABANDON,
        )
        | _WHILE_APPLIED,
    }
)
"""Section 1 of the rules, "States x commands": the cells with a refusal, by command."""
