"""What holds for every read model, and that no event is forgotten."""

import typing
from collections.abc import Callable
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st

import projections
from domain import events
from projections.projection import Key, RecordedEvent, Row, Table

Record = Callable[..., RecordedEvent]
Fold = Callable[..., dict[Key, Row]]
AnyFields = Callable[..., st.SearchStrategy[dict[str, Any]]]

UNHURRIED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
FIRST_FOUND = hypothesis.settings(UNHURRIED, phases=[hypothesis.Phase.generate])

READ_MODELS = {one.table.name: one for one in projections.PROJECTIONS}
TABLES = {one.table.name: one.table for one in (*projections.PROJECTIONS, *projections.JOURNALS)}
SERVICE_EVENTS = typing.get_args(events.ServiceEvent)
CONCERNED = {
    events.ProjectCreated: {"projects"},
    events.MemberAdded: {"projects", "members"},
    events.MemberRemoved: {"projects", "members"},
    events.SubscriptionChanged: {"projects", "subscriptions"},
    events.EnvironmentListed: {"projects", "subscriptions"},
    events.EnvironmentUnlisted: {"projects", "subscriptions"},
    events.UnitTaken: {"projects", "subscriptions"},
    events.UnitReturned: {"projects", "subscriptions"},
    events.EnvironmentCreated: {"environments"},
    events.EnvironmentPrefixTaken: {"environments"},
    events.EnvironmentPrefixFreed: {"environments"},
    events.EnvironmentDeployerConfigured: {"environments"},
    events.EnvironmentDeploymentStarted: {"environments"},
    events.EnvironmentDeploymentEnded: {"environments", "revisions"},
    events.EnvironmentDeleted: {"environments"},
    events.DeploymentStarted: {"deployments"},
    events.DeploymentStepStarted: {"deployments"},
    events.DeploymentConfigured: {"deployments"},
    events.DeploymentReleaseDelayed: {"deployments"},
    events.DeploymentVariablesFetched: {"deployments"},
    events.DeploymentReleaseReported: {"deployments"},
    events.DeploymentSucceeded: {"deployments"},
    events.DeploymentFailed: {"deployments"},
    events.DeploymentCancelled: {"deployments"},
    events.PersonAppeared: {"people"},
    events.BetaJoined: {"people"},
    events.BetaLeft: {"people"},
    events.PersonErased: {"people"},
    events.TokenCreated: {"api_tokens"},
    events.TokenRevoked: {"api_tokens"},
    **{one: {"service_instances"} for one in SERVICE_EVENTS},
}
STREAMS = [
    *("projects", "environments", "deployments", "service_instances"),
    *("people", "api_tokens"),
]


@st.composite
def histories(draw: st.DrawFn, *, any_fields: AnyFields, record: Record) -> list[RecordedEvent]:
    """Draw a project, environment, deployment or service instance with anything after it."""
    stream = draw(st.sampled_from(STREAMS))
    first, *others = [one for one, tables in CONCERNED.items() if stream in tables]
    classes = [first, *draw(st.lists(st.sampled_from(others), max_size=8))]
    of = draw(st.uuids())
    return [
        record(one, of=of, position=position, **draw(any_fields(one)))
        for position, one in enumerate(classes, start=1)
    ]


def test_every_event_is_read_by_a_read_model() -> None:
    of_the_domain = {c for c in events.all_events().values() if c.__module__.startswith("domain.")}
    assert set(CONCERNED) == of_the_domain


@pytest.mark.parametrize("event_class", CONCERNED, ids=lambda one: one.TOPIC)
def test_event_concerns_the_rows_that_it_changes(
    event_class: type[events.Event], any_fields: AnyFields, record: Record
) -> None:
    def is_as_expected(fields: dict[str, Any]) -> bool:
        recorded = record(event_class, of=UUID(int=1), **fields)
        concerned = {name for name, one in READ_MODELS.items() if one.keys(recorded)}
        return concerned == CONCERNED[event_class]

    hypothesis.find(any_fields(event_class), is_as_expected, settings=FIRST_FOUND)


@hypothesis.settings(UNHURRIED)
@hypothesis.given(data=st.data())
def test_rows_fill_the_columns_of_their_table(
    data: st.DataObject, any_fields: AnyFields, record: Record, fold: Fold
) -> None:
    history = data.draw(histories(any_fields=any_fields, record=record))

    for read_model in projections.PROJECTIONS:
        for key, row in fold(read_model, history).items():
            assert is_filled(row, read_model.table)
            assert tuple(row[column] for column in read_model.table.primary_key) == key


@hypothesis.settings(UNHURRIED)
@hypothesis.given(data=st.data())
def test_entries_fill_the_columns_of_their_table(
    data: st.DataObject, any_fields: AnyFields, record: Record, fold: Fold
) -> None:
    history = data.draw(histories(any_fields=any_fields, record=record))

    for journal in projections.JOURNALS:
        for number, recorded in enumerate(history):
            before = fold(journal.follows, history[:number])
            after = fold(journal.follows, history[: number + 1])
            for key, row in after.items():
                assert is_filled(journal.entry(before.get(key), row, recorded), journal.table)


@hypothesis.settings(UNHURRIED)
@hypothesis.given(data=st.data())
def test_folding_twice_changes_nothing(
    data: st.DataObject, any_fields: AnyFields, record: Record, fold: Fold
) -> None:
    history = data.draw(histories(any_fields=any_fields, record=record))

    for read_model in projections.PROJECTIONS:
        once = fold(read_model, history)
        assert fold(read_model, [one for one in history for _ in range(2)]) == once
        assert fold(read_model, history + history) == once


@pytest.mark.parametrize("name", TABLES)
def test_keys_and_indexes_name_columns_that_are_never_null(name: str) -> None:
    required = {one.name for one in TABLES[name].columns if not one.is_nullable}

    assert required.issuperset(TABLES[name].primary_key)
    assert all(required.issuperset(index.columns) for index in TABLES[name].indexes)


def test_journals_follow_read_models_that_are_kept() -> None:
    assert all(one.follows in projections.PROJECTIONS for one in projections.JOURNALS)


def is_filled(row: Row, table: Table) -> bool:
    return set(row) == {column.name for column in table.columns} and all(
        column.is_nullable or row[column.name] is not None for column in table.columns
    )
