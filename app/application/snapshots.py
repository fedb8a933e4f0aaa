"""What an aggregate's events add up to, as JSON: so that a long stream is not read from its start.

A snapshot belongs to one version of the aggregate's fold (`fold_version`), and is ignored once
that was raised: the events tell everything anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import Aggregate

from app.eventlog import snapshot
from domain import environment, events, person, project, service_facts, service_instance, values

EVERY = 200
"""So many events of an aggregate lie between two snapshots of it."""


class _Times(msgspec.Struct):
    """What the library keeps of every aggregate."""

    _created_on: datetime
    _modified_on: datetime


class _Project(_Times):
    name: str
    members: dict[str, values.MemberRole]
    environments: dict[UUID, str]
    units: dict[str, int]
    holders: dict[UUID, str]


class _Environment(_Times):
    project_id: UUID
    name: str
    protected: bool
    holdings: dict[UUID, environment.Holding]
    deployer: str
    deployer_settings: dict[str, Any]
    deployer_secret_id: UUID | None
    deployer_secret_names: tuple[str, ...]
    former_secret_ids: tuple[UUID, ...]
    deployments: int
    running_deployment_id: UUID | None
    revision: int | None
    last_successful_deployment_id: UUID | None
    is_deleted: bool


class _ServiceInstance(_Times):
    facts: service_facts.ServiceFacts


class _Person(_Times):
    subject: str
    is_in_beta: bool


@dataclass(frozen=True)
class _Kind:
    aggregate: type[Aggregate]
    state: type[_Times]


KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        f"{kind.TOPIC}.{kind.fold_version}": _Kind(kind, state)
        for kind, state in (
            (project.Project, _Project),
            (environment.Environment, _Environment),
            (service_instance.ServiceInstance, _ServiceInstance),
            (person.Person, _Person),
        )
    }
)
"""What snapshots are taken of, by the name and version of the fold."""

_FOLDS = {kind.aggregate: fold for fold, kind in KINDS.items()}


def is_due(aggregate: Aggregate, recorded: Sequence[events.Event]) -> bool:
    """Did those of the events that are the aggregate's complete a stretch?"""
    since = aggregate.version % EVERY
    if since >= len(recorded) or type(aggregate) not in _FOLDS:
        return False
    return since < sum(event.originator_id == aggregate.id for event in recorded)


def taken(aggregate: Aggregate) -> snapshot.Snapshot:
    """Return the snapshot of an aggregate without pending events."""
    fold = _FOLDS[type(aggregate)]
    fields = {name: vars(aggregate)[name] for name in KINDS[fold].state.__struct_fields__}
    return snapshot.Snapshot(
        originator_id=aggregate.id,
        originator_version=aggregate.version,
        fold=fold,
        state=msgspec.json.encode(fields).decode(),
    )


def restored(found: snapshot.Snapshot) -> Aggregate:
    """Return the aggregate of a snapshot."""
    kind = KINDS[found.fold]
    state = msgspec.json.decode(found.state, type=kind.state)
    aggregate = object.__new__(kind.aggregate)
    aggregate.__dict__.update(
        {name: getattr(state, name) for name in kind.state.__struct_fields__},
        _id=found.originator_id,
        _version=found.originator_version,
        _pending_events=[],
    )
    return aggregate
