"""What a caller may do, and what it sees: all of it in this one place.

Project roles, each with what the one before it may do:

    VIEWER     read everything but credentials
    DEVELOPER  add, configure, provision, attach, detach, deploy; reveal in unprotected environments
    MANAGER    subscription, members, environments, deployers, remove, protection; reveal everywhere

Platform roles:

    OPERATOR   a manager of all projects; gives up removals, makes and revokes API tokens, erases
               people, and configures deployers that run commands, write files or send messages
    AUDITOR    reads everything and the log; no secrets, and no Beta needed

Such deployers act with the rights of the server and from its place in the network: anybody may
create a project and be its manager, and must not get a shell by that.
"""

import dataclasses
import enum
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from app.access.caller import PLATFORM_ROLES, PROJECT_ROLES, Caller, Role
from domain import errors
from domain.errors import RefusalCode


class Action(enum.Enum):
    """What can be asked for, as a refusal names it."""

    JOIN_BETA = "join the Beta"
    LEAVE_BETA = "leave the Beta"
    CREATE_TOKEN = "create a token"  # noqa: S105  no password
    REVOKE_TOKEN = "revoke a token"  # noqa: S105  no password
    ERASE_PERSON = "erase a person"
    CREATE_PROJECT = "create a project"
    SET_SUBSCRIPTION = "set the subscription"
    ADD_MEMBER = "add a member"
    REMOVE_MEMBER = "remove a member"
    CREATE_ENVIRONMENT = "create an environment"
    DELETE_ENVIRONMENT = "delete an environment"
    CONFIGURE_DEPLOYER = "configure a deployer"
    LET_DEPLOYER_OUT = "let a deployer run commands, write files or send messages"
    ADD_SERVICE = "add a service"
    CONFIGURE_SERVICE = "configure a service"
    PROVISION_SERVICE = "provision a service"
    ATTACH_SERVICE = "attach a service"
    DETACH_SERVICE = "detach a service"
    RENAME_PREFIX = "rename a prefix"
    ROTATE_CREDENTIALS = "rotate credentials"
    REVEAL_CREDENTIALS = "reveal credentials"
    REMOVE_SERVICE = "remove a service"
    CANCEL_REMOVAL = "cancel a removal"
    ABANDON_REMOVAL = "give up a removal"
    CHANGE_PROTECTION = "change the protection"
    DEPLOY = "deploy"
    CANCEL_DEPLOYMENT = "cancel a deployment"
    REPORT_DEPLOYMENT = "report a deployment"


REQUIRED: Mapping[Action, Role | None] = MappingProxyType(
    {
        Action.JOIN_BETA: None,
        Action.LEAVE_BETA: None,
        Action.CREATE_TOKEN: Role.OPERATOR,
        Action.REVOKE_TOKEN: Role.OPERATOR,
        Action.ERASE_PERSON: Role.OPERATOR,
        Action.CREATE_PROJECT: None,
        Action.SET_SUBSCRIPTION: Role.MANAGER,
        Action.ADD_MEMBER: Role.MANAGER,
        Action.REMOVE_MEMBER: Role.MANAGER,
        Action.CREATE_ENVIRONMENT: Role.MANAGER,
        Action.DELETE_ENVIRONMENT: Role.MANAGER,
        Action.CONFIGURE_DEPLOYER: Role.MANAGER,
        Action.LET_DEPLOYER_OUT: Role.OPERATOR,
        Action.ADD_SERVICE: Role.DEVELOPER,
        Action.CONFIGURE_SERVICE: Role.DEVELOPER,
        Action.PROVISION_SERVICE: Role.DEVELOPER,
        Action.ATTACH_SERVICE: Role.DEVELOPER,
        Action.DETACH_SERVICE: Role.DEVELOPER,
        Action.RENAME_PREFIX: Role.DEVELOPER,
        Action.ROTATE_CREDENTIALS: Role.DEVELOPER,
        Action.REVEAL_CREDENTIALS: Role.DEVELOPER,
        Action.REMOVE_SERVICE: Role.MANAGER,
        Action.CANCEL_REMOVAL: Role.MANAGER,
        Action.ABANDON_REMOVAL: Role.OPERATOR,
        Action.CHANGE_PROTECTION: Role.MANAGER,
        Action.DEPLOY: Role.DEVELOPER,
        Action.CANCEL_DEPLOYMENT: Role.DEVELOPER,
        Action.REPORT_DEPLOYMENT: Role.DEVELOPER,
    }
)
"""The least role for each action; None for whoever has signed in."""

_WITHOUT_BETA = frozenset(
    {
        Action.JOIN_BETA,
        Action.LEAVE_BETA,
        Action.CREATE_TOKEN,
        Action.REVOKE_TOKEN,
        Action.ERASE_PERSON,
    }
)
_ORDER = {role: place for place, role in enumerate(PROJECT_ROLES)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How a caller stands to the place of an action, as the read models tell it now."""

    project_id: UUID
    membership: Role | None
    is_protected: bool = False
    """Is the place a protected environment, or something in one?"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """Which projects a caller sees: all, or those that `subject` is a member of and `granted`.

    Memberships count within the projects of `only_in` alone, unless it is None.
    """

    sees_all: bool
    subject: str | None
    only_in: tuple[UUID, ...] | None = None
    granted: tuple[UUID, ...] = ()


def sees_all(caller: Caller | None) -> bool:
    """Tell whether the caller sees what is in all projects."""
    return caller is not None and not PLATFORM_ROLES.isdisjoint(caller.roles)


def scope_of(caller: Caller | None) -> Scope:
    """Return what a caller sees; nobody sees nothing."""
    if caller is None:
        return Scope(sees_all=False, subject=None)
    projects = tuple(sorted(caller.projects))
    if caller.granted_role is not None:
        granted = projects
        return Scope(sees_all=sees_all(caller), subject=None, granted=granted)
    return Scope(sees_all=sees_all(caller), subject=caller.subject, only_in=projects or None)


BETA_NEEDED = "Service management is in Beta. Sign up with `joinBeta` first."


def needs_beta_to_read(caller: Caller) -> bool:
    """Tell whether services are shown with the Beta only (R1); auditors read without it."""
    return Role.AUDITOR not in caller.roles


def require_beta(*, action: Action, is_in_beta: bool) -> None:
    """Refuse with FEATURE_NOT_ENABLED what belongs to the Beta (R1)."""
    if not is_in_beta and action not in _WITHOUT_BETA:
        raise errors.PermissionRefusedError(
            code=RefusalCode.FEATURE_NOT_ENABLED,
            message=f"Cannot {action.value}: service management is in Beta. Sign up with "
            "`joinBeta` first.",
        )


def sees(*, caller: Caller, standing: Standing) -> bool:
    """Tell whether the place exists for the caller."""
    return sees_all(caller) or role_at(caller=caller, standing=standing) is not None


def role_at(*, caller: Caller, standing: Standing) -> Role | None:
    """Return the project role that the caller has at a place."""
    if Role.OPERATOR in caller.roles:
        return Role.MANAGER
    if caller.projects and standing.project_id not in caller.projects:
        return None
    return caller.granted_role or standing.membership


def require_at(*, action: Action, caller: Caller, standing: Standing) -> None:
    """Refuse with FORBIDDEN what the caller may not do at a place that it sees."""
    wanted = REQUIRED[action]
    if action is Action.REVEAL_CREDENTIALS and standing.is_protected:
        wanted = Role.MANAGER
    if wanted is Role.OPERATOR:
        require_on_platform(action=action, caller=caller)
        return
    role = role_at(caller=caller, standing=standing)
    if wanted is not None and (role is None or _ORDER[role] < _ORDER[wanted]):
        raise _forbidden(action, f"that takes the role {wanted.name} in the project")


def require_on_platform(*, action: Action, caller: Caller) -> None:
    """Refuse with FORBIDDEN what the caller may not do on the platform."""
    if REQUIRED[action] is Role.OPERATOR and Role.OPERATOR not in caller.roles:
        raise _forbidden(action, "that takes the role OPERATOR")
    if action is Action.CREATE_PROJECT and Role.OPERATOR not in caller.roles:
        if caller.projects:
            raise _forbidden(action, "this token is for some projects only")
        if Role.AUDITOR in caller.roles:
            raise _forbidden(action, "an auditor's token only reads")


def require_roles(*, roles: frozenset[Role], projects: frozenset[UUID]) -> None:
    """Refuse with INVALID_INPUT roles that a token cannot have together."""
    if len(roles & set(PROJECT_ROLES)) > 1:
        problem = "One project role is enough: each may do what the lesser ones may."
    elif roles & set(PROJECT_ROLES) and not projects:
        problem = "A project role needs projects: say in which the token has it."
    elif roles & PLATFORM_ROLES and (projects or len(roles) > 1):
        problem = "A platform role is for all projects: give it alone, and no projects."
    else:
        return
    raise errors.InputRefusedError(code=RefusalCode.INVALID_INPUT, message=problem, path="roles")


def _forbidden(action: Action, why: str) -> errors.PermissionRefusedError:
    return errors.PermissionRefusedError(
        code=RefusalCode.FORBIDDEN,
        message=f"Cannot {action.value}: {why}. Ask somebody who has it, or who can give it.",
    )
