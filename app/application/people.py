"""Use cases of people: what they sign up for (R1)."""

import uuid
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from app.application.admission import Admission
from app.application.permissions import Action
from app.application.request import Request
from app.application.unit_of_work import UnitOfWork, commit
from app.eventlog import log
from domain import person

_NAMESPACE = UUID("5e7b1ceb-0001-5000-8000-000000000000")


class People:
    """What people sign up for."""

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

    async def is_known(self, *, subject: str) -> bool:
        """Has the person ever joined?"""
        return await UnitOfWork(event_log=self._log).person(_id(subject)) is not None

    async def _change(
        self,
        request: Request,
        subject: str,
        command: Callable[[person.Person, datetime], None],
    ) -> int:
        async def decide(work: UnitOfWork) -> None:
            found = await work.person(_id(subject))
            if found is None:
                found = person.Person.appear(person_id=_id(subject), subject=subject, at=work.now)
                work.add(found)
            command(found, work.now)

        return await commit(event_log=self._log, request=request, decide=decide)


def _id(subject: str) -> UUID:
    return uuid.uuid5(_NAMESPACE, subject)
