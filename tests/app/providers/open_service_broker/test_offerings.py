import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from app import catalogue
from app.providers.open_service_broker import configuration, offerings, order
from domain import values

DRAFT_4 = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "definitions": {"size": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
    "properties": {"size": {"$ref": "#/definitions/size"}},
    "additionalProperties": False,
}


def plan(name: str, **more: object) -> dict[str, Any]:
    return {"id": f"{name}-id", "name": name, "description": f"It is {name}.", **more}


def with_schema(name: str, schema: object) -> dict[str, Any]:
    return plan(name, schemas={"service_instance": {"create": {"parameters": schema}}})


def document(*plans: Mapping[str, Any], **more: object) -> dict[str, Any]:
    service = {
        "id": "search-id",
        "name": "search",
        "description": "Finds things.",
        "bindable": True,
        "plans": list(plans),
        **more,
    }
    return {"services": [{"id": "x", "name": "not asked for", "plans": 7}, service]}


def broker(**wish: object) -> configuration.Broker:
    taken = configuration.TakenOffering(**({"kind": values.ServiceKind.SEARCH} | wish))
    return configuration.Broker(
        url="https://broker.example", username="me", offerings={"search": taken}
    )


def taken(found: Mapping[str, Any], **wish: object) -> list[catalogue.Offering]:
    return offerings.taken(name="acme", broker=broker(**wish), document=found)


def test_a_service_becomes_an_offering_with_its_plans() -> None:
    found = document(
        plan("Small (free)", metadata={"displayName": "Tiny", "bullets": []}),
        plan("large", plan_updateable=False, maximum_polling_duration=600, binding_rotatable=True),
        plan_updateable=True,
        bindings_retrievable=True,
        metadata={"displayName": "Search!"},
        vendor_extension={"any": "thing"},
    )

    (offering,) = taken(found, default_plan="large", name="elasticsearch", credential="url")

    assert (offering.name, offering.title, offering.kind, offering.provider) == (
        "elasticsearch",
        "Search!",
        values.ServiceKind.SEARCH,
        "open_service_broker/acme",
    )
    small, large = offering.plans
    assert (small.name, small.title, small.is_default) == ("small-free", "Tiny", False)
    assert (large.name, large.description, large.is_default) == ("large", "It is large.", True)
    assert order.broker_plan(small.settings).can_change
    assert order.broker_plan(large.settings) == order.BrokerPlan(
        service_id="search-id",
        plan_id="large-id",
        credential="url",
        can_change=False,
        binding_rotatable=True,
        bindings_retrievable=True,
        maximum_polling_duration=600,
    )


def test_parameters_are_checked_in_the_draft_that_the_schema_names() -> None:
    without_draft = {name: value for name, value in DRAFT_4.items() if name != "$schema"}
    ours = catalogue.load().joined(
        taken(document(with_schema("small", DRAFT_4), with_schema("large", without_draft))),
        stand_in=offerings.STAND_IN,
    )
    offering = ours.offering("search")
    assert offering

    for chosen in offering.plans:
        assert ours.check_parameters(offering, chosen, {"size": 1}) == []
        problems = ours.check_parameters(offering, chosen, {"size": 0})
        assert [problem.path for problem in problems] == ["parameters.size"]
        assert ours.check_parameters(offering, chosen, {"colour": "red"})


def test_a_plan_without_a_schema_leaves_the_check_to_the_broker() -> None:
    ours = catalogue.load().joined(taken(document(plan("small"))), stand_in=offerings.STAND_IN)
    offering = ours.offering("search")
    assert offering

    assert ours.check_parameters(offering, offering.plans[0], {"any": ["thing"]}) == []


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(with_schema("odd", {"type": "object", "title": "x" * 65_536}), id="large"),
        pytest.param(
            with_schema("odd", {"properties": {"a": {"$ref": "http://127.0.0.1:1/s"}}}), id="remote"
        ),
        pytest.param(
            with_schema("odd", {"properties": {"a": {"$ref": "other.json#/a"}}}), id="elsewhere"
        ),
        pytest.param(with_schema("odd", {"$ref": "#/definitions/none"}), id="nowhere"),
        pytest.param(
            with_schema(
                "odd",
                {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}},
            ),
            id="endless",
        ),
        pytest.param(with_schema("odd", {"type": "wish"}), id="no type"),
        pytest.param(with_schema("odd", ["no object"]), id="no schema"),
        pytest.param(plan("odd", bindable=False), id="no credentials"),
        pytest.param(plan("small"), id="same name"),
        pytest.param(plan("SMALL"), id="almost the same name"),
        pytest.param(plan("???"), id="no name"),
        pytest.param(plan("x" * 64), id="long name"),
    ],
)
def test_a_plan_that_cannot_be_used_is_left_out(
    unusable: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        (offering,) = taken(document(plan("small"), unusable))

    assert [each.name for each in offering.plans] == ["small"]
    assert "left out" in caplog.text


@pytest.mark.parametrize(
    "found",
    [
        {"services": []},
        document(),
        document(plan("small"), bindable=False),
        document(plan("small"), id=7),
        document({"id": "small-id"}),
        document(plan("small"), name="Search"),
        {"services": ["search", None, {"name": ["search"]}]},
    ],
)
def test_a_service_that_cannot_be_used_is_left_out(
    found: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert taken(found) == []

    assert "broker acme does not offer search" in caplog.text


@pytest.mark.parametrize("found", [{}, {"services": {}}])
def test_a_catalogue_that_is_none_is_told(found: Mapping[str, Any]) -> None:
    with pytest.raises(offerings.CatalogueUnreadableError):
        taken(found)


def test_what_a_broker_no_longer_offers_stays_for_those_who_have_it() -> None:
    before = taken(document(plan("small"), plan("large")))
    gone = dataclasses.replace(before[0], name="gone")

    now = offerings.with_known(fresh=taken(document(plan("large"))), known=[*before, gone])

    search, retired = now
    assert [each.name for each in search.plans] == ["large", "small"]
    assert [each.is_default for each in search.plans] == [True, False]
    assert (retired.name, retired.is_retired, search.is_retired) == ("gone", True, False)


def test_a_broker_takes_the_place_of_a_stand_in_and_of_nothing_else() -> None:
    ours = catalogue.load()
    places = [offering.name for offering in ours.offerings]

    joined = ours.joined(
        taken(document(plan("small")), name="elasticsearch"), stand_in=offerings.STAND_IN
    )

    assert [offering.name for offering in joined.offerings] == places
    found = joined.offering("elasticsearch")
    assert found
    assert found.provider == "open_service_broker/acme"
    for there, name in ((ours, "postgres"), (joined, "elasticsearch")):
        with pytest.raises(catalogue.CatalogueError, match="offered by"):
            there.joined(taken(document(plan("s")), name=name), stand_in=offerings.STAND_IN)
