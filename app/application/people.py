"""Use cases of people: what they sign up for (R1), and that they are forgotten."""

from collections.abc import Callable
from datetime import datetime

from app.access import caller
from app.application.admission import Admission
from app.application.permissions import Action
from app.application.request import Request
from app.application.unit_of_work import UnitOfWork, commit
from app.eventlog import log
from domain import errors, person
from domain.errors import RefusalCode


class People:
    """What people sign up for, and that they are forgotten."""

    def __init__(self, *, event_log: log.EventLog, admission: Admission) -> None:
        self._log = event_log
        self._admission = admission

    async def join_beta(self, *, request: Request, subject: str) -> int:
        """Sign a person up for Beta features."""
        await self._admission.admit(request=request, action=Action.JOIN_BETA)
        return await self._change(request, subject, lambda found, at: found.join_beta(at=at))

    async def leave_beta(self, *, request: Request, subject: str) -> int:
        """Let a person do without Beta features; nothing that was begun with them stops."""
        await self._admission.admit(request=request, action=Action.LEAVE_BETA)
        return await self._change(request, subject, lambda found, at: found.leave_beta(at=at))

    async def erase(self, *, request: Request, subject: str, confirmation: str) -> int:
        """Forget what a person wrote so far: its key is destroyed with the commit.

        It need not have written anything: who was erased is on record all the same.
        """
        await self._admission.admit(request=request, action=Action.ERASE_PERSON)
        if not caller.is_subject(subject):
            raise errors.InputRefusedError(
                code=RefusalCode.INVALID_INPUT,
                message="There can be no person with this subject.",
                path="subject",
            )
        if confirmation != subject:
            raise errors.ConfirmationRefusedError(
                message="Cannot erase a person unless its subject is confirmed: what it wrote "
                "cannot be brought back.",
                expected=subject,
            )
        return await self._change(request, subject, lambda found, at: found.erase(at=at))

    async def is_known(self, *, subject: str) -> bool:
        """Has the person ever joined?"""
        return await UnitOfWork(event_log=self._log).person(person.identify(subject)) is not None

    async def _change(
        self,
        request: Request,
        subject: str,
        command: Callable[[person.Person, datetime], None],
    ) -> int:
        async def decide(work: UnitOfWork) -> None:
            found = await work.person(person.identify(subject))
            if found is None:
                found = person.Person.appear(
                    person_id=person.identify(subject), subject=subject, at=work.now
                )
                work.add(found)
            command(found, work.now)

        return await commit(event_log=self._log, request=request, decide=decide)


def require_subject(subject: str) -> None:
    """Refuse with INVALID_INPUT a subject that nobody can have."""
    if not caller.is_subject(subject):
        raise errors.InputRefusedError(
            code=RefusalCode.INVALID_INPUT,
            message="A subject has 1 to 255 printable characters, no spaces around them, and is "
            "none of those who act for the program.",
            path="subject",
        )
