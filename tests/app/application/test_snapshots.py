"""Each kind of snapshot holds all that its aggregate knows, and follows its fold."""

import ast
import dataclasses
import hashlib
import inspect
import textwrap
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing import persistence
from eventsourcing.domain import Aggregate

from app.application import snapshots, unit_of_work
from app.eventlog import mapper
from domain import (
    environment,
    events,
    person,
    project,
    service_facts,
    service_fold,
    service_instance,
)

GOLDEN = Path(__file__).parents[1] / "eventlog" / "golden"
STREAMS: dict[type[Aggregate], tuple[type[events.Event], ...]] = {
    project.Project: (
        events.ProjectCreated,
        events.MemberAdded,
        events.SubscriptionChanged,
        events.EnvironmentListed,
        events.UnitTaken,
    ),
    environment.Environment: (
        events.EnvironmentCreated,
        events.EnvironmentPrefixTaken,
        events.EnvironmentDeployerConfigured,
        events.EnvironmentDeploymentStarted,
        events.EnvironmentDeploymentEnded,
    ),
    service_instance.ServiceInstance: (
        events.ServiceAdded,
        events.ServiceProvisioningStarted,
        events.ServiceProvisioned,
        events.ServiceAttached,
        events.ServiceUpdateStarted,
        events.ServiceDeploymentJoined,
    ),
    person.Person: (events.PersonAppeared, events.BetaJoined),
}
# What `apply` assigns, as code. Whoever changes it raises `fold_version`, and notes here what
# the new one is: snapshots by the old fold are ignored from then on.
FOLDED_BY = {
    project.Project: (project.Project.apply, project.Project.__init__),
    environment.Environment: (
        environment.Environment.apply,
        environment.Environment._keep_secrets,
        environment.Environment.__init__,
        environment.Holding,
    ),
    service_instance.ServiceInstance: (
        service_instance.ServiceInstance.apply,
        service_fold,
        service_facts.Operation,
        service_facts.ServiceFacts,
    ),
    person.Person: (person.Person.apply, person.Person.__init__),
}
DIGESTS = {
    "Project.1": "2fe81fb6bc0021c5",
    "Environment.1": "7f221d8963ce399a",
    "ServiceInstance.2": "3ed7784541271fa3",
    "Person.1": "2bb809e7a4259f3b",
}


def stream(kind: type[Aggregate]) -> Aggregate:
    event_mapper = mapper.EventMapper()
    recorded = [
        event_mapper.to_domain_event(
            persistence.StoredEvent(
                UUID(int=1),
                version,
                event_class.TOPIC,
                (GOLDEN / f"{event_class.TOPIC}.v1.json").read_bytes(),
            )
        )
        for version, event_class in enumerate(STREAMS[kind], start=1)
    ]
    first = dataclasses.replace(recorded[0], originator_topic=kind.TOPIC)
    return unit_of_work.replay([first, *recorded[1:]])


@pytest.mark.parametrize("fold", snapshots.KINDS)
def test_snapshot_holds_all_that_the_aggregate_knows(fold: str) -> None:
    aggregate = stream(snapshots.KINDS[fold].aggregate)

    restored = snapshots.restored(snapshots.taken(aggregate))

    assert vars(restored) == vars(aggregate)
    assert type(restored) is type(aggregate)


@pytest.mark.parametrize("fold", snapshots.KINDS)
def test_changed_fold_has_a_new_version(fold: str) -> None:
    sources = [
        ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(part))))
        for part in FOLDED_BY[snapshots.KINDS[fold].aggregate]
    ]

    digest = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]

    assert DIGESTS.get(fold) == digest
