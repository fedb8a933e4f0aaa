import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app import catalogue
from app.providers import contract, postgres_limits
from domain import values

KINDS = values.ServiceKind


@pytest.fixture(scope="module")
def ours() -> catalogue.Catalogue:
    return catalogue.load()


def test_ours_offers_what_the_product_promises(ours: catalogue.Catalogue) -> None:
    kinds = {offering.name: offering.kind for offering in ours.offerings}

    assert kinds == {
        "postgres": KINDS.DATABASE,
        "mysql": KINDS.DATABASE,
        "s3": KINDS.STORAGE,
        "redis": KINDS.CACHE,
        "rabbitmq": KINDS.QUEUE,
        "elasticsearch": KINDS.SEARCH,
        "opensearch": KINDS.SEARCH,
    }
    assert all(offering.regions == ("local",) for offering in ours.offerings)
    assert not any(offering.is_retired for offering in ours.offerings)


@pytest.mark.parametrize(
    ("kind", "own", "default"),
    [
        (KINDS.DATABASE, ("OLD_DATABASE_DSN",), ("DEFAULT_DATABASE_DSN", "DATABASE_URL")),
        (KINDS.STORAGE, ("OLD_STORAGE_DSN",), ("DEFAULT_STORAGE_DSN",)),
        (KINDS.SEARCH, ("OLD_HAYSTACK_URL",), ("DEFAULT_HAYSTACK_URL",)),
        (KINDS.QUEUE, ("OLD_AMQP_BROKER_URL",), ("DEFAULT_AMQP_BROKER_URL", "BROKER_URL")),
        (KINDS.CACHE, ("OLD_CACHE_URL",), ("DEFAULT_CACHE_URL",)),
    ],
)
def test_variables_follow_from_kind_and_prefix(
    ours: catalogue.Catalogue,
    kind: values.ServiceKind,
    own: tuple[str, ...],
    default: tuple[str, ...],
) -> None:
    assert ours.variable_names(kind=kind, prefix="OLD") == own
    assert ours.variable_names(kind=kind, prefix="DEFAULT") == default
    assert ours.kinds[kind].credential == "uri"


def test_a_plan_is_found_by_name_or_is_the_default(ours: catalogue.Catalogue) -> None:
    postgres = ours.offering("postgres")
    assert postgres

    default, large = ours.plan(postgres, None), ours.plan(postgres, "large")

    assert default
    assert large
    assert (default.name, default.settings["connections"]) == ("small", 20)
    assert (large.name, large.settings["connections"]) == ("large", 100)
    assert ours.plan(postgres, "none such") is None
    assert ours.plan(postgres, "") is None
    assert ours.offering("none such") is None


@pytest.mark.parametrize(
    ("parameters", "paths"),
    [
        ({}, []),
        ({"extensions": []}, []),
        ({"extensions": ["citext", "unaccent"]}, []),
        ({"extensions": ["vector"]}, ["parameters.extensions.0"]),
        ({"extensions": ["dblink"]}, ["parameters.extensions.0"]),
        ({"extensions": "citext"}, ["parameters.extensions"]),
        ({"extensions": ["citext", "citext"]}, ["parameters.extensions"]),
        ({"colour": "red"}, ["parameters"]),
        ({"colour": "red", "extensions": [1]}, ["parameters", "parameters.extensions.0"]),
    ],
)
def test_parameters_are_checked_by_the_schema_of_the_plan(
    ours: catalogue.Catalogue, parameters: dict[str, Any], paths: list[str]
) -> None:
    postgres = ours.offering("postgres")
    assert postgres

    for plan in postgres.plans:
        problems = ours.check_parameters(postgres, plan, parameters)
        assert [problem.path for problem in problems] == paths


def test_long_values_are_not_repeated_in_full(ours: catalogue.Catalogue) -> None:
    postgres = ours.offering("postgres")
    assert postgres

    problems = ours.check_parameters(postgres, postgres.plans[0], {"extensions": "x" * 10_000})

    assert len(problems[0].message) < 500


def test_the_provider_understands_every_plan_of_ours(ours: catalogue.Catalogue) -> None:
    plans = [
        plan
        for offering in ours.offerings
        if offering.provider == "postgres"
        for plan in offering.plans
    ]

    for plan in plans:
        allowed: Any = plan.parameters["properties"]
        wanted = {"extensions": allowed["extensions"]["items"]["enum"]}
        request = contract.ResourceRequest(
            service_instance_id=uuid4(), plan=plan.settings, parameters=wanted
        )
        limits = postgres_limits.Limits.of(request)
        assert limits.connections == plan.settings["connections"]


MINIMAL = """
reserved = ["PATH"]

[kinds.CACHE]
variable = "{P}_CACHE_URL"
credential = "uri"

[[offerings]]
name = "redis"
title = "Redis"
description = "A cache."
kind = "CACHE"
provider = "redis"

[[offerings.plans]]
name = "small"
title = "Small"
description = "Small."
default = true
parameters = { type = "object", additionalProperties = false }
"""

Change = Callable[[dict[str, Any]], object]


def test_a_catalogue_of_ones_own_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(MINIMAL)

    loaded = catalogue.load(path)

    assert [offering.name for offering in loaded.offerings] == ["redis"]
    assert loaded.reserved == {"PATH"}


@pytest.mark.parametrize("text", ["not toml", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "catalogue.toml"
    if text:
        path.write_text(text)

    with pytest.raises(catalogue.CatalogueError, match=str(path)):
        catalogue.load(path)


def plan(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["offerings"][0]["plans"][0]
    return found


def schema(document: dict[str, Any], **changes: object) -> None:
    plan(document)["parameters"].update(changes)


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (lambda it: it.pop("kinds"), "", "'kinds' is a required property"),
        (lambda it: it.update(more=1), "", "'more' was unexpected"),
        (lambda it: it["offerings"][0].update(name="Redis!"), "offerings.0.name", "match"),
        (lambda it: it["offerings"][0].update(kind="QUEUE"), "offerings.0.kind", "no kind"),
        (lambda it: it["offerings"][0].update(retired="no"), "offerings.0.retired", "boolean"),
        (lambda it: it["offerings"].append(it["offerings"][0]), "offerings", "2 times"),
        (lambda it: plan(it).pop("default"), "offerings.0.plans", "exactly one"),
        (
            lambda it: it["offerings"][0]["plans"].append(plan(it)),
            "offerings.0.plans",
            "2 times",
        ),
        (
            lambda it: it["kinds"]["CACHE"].update(variable="CACHE"),
            "kinds.CACHE.variable",
            "match",
        ),
        (lambda it: it["kinds"].update(FOO=it["kinds"]["CACHE"]), "kinds", "not one of"),
        (lambda it: it["reserved"].append("MY_CACHE_URL"), "kinds.CACHE", "MY_CACHE_URL"),
        (lambda it: it["kinds"]["CACHE"].update(alias="PATH"), "kinds.CACHE", "PATH"),
        (
            lambda it: it["kinds"].update(
                QUEUE={"variable": "{P}_URL", "credential": "uri", "alias": "A_CACHE_URL"}
            ),
            "kinds.CACHE",
            "A_CACHE_URL",
        ),
        (
            lambda it: schema(it, additionalProperties=True),
            "offerings.0.plans.0.parameters.additionalProperties",
            "False was expected",
        ),
        (lambda it: schema(it, required=1), "offerings.0.plans.0.parameters", "no JSON Schema"),
        (
            lambda it: schema(it, properties={"a": {"$ref": "https://example.org/a.json"}}),
            "offerings.0.plans.0.parameters",
            "https://example.org/a.json",
        ),
        (
            lambda it: schema(it, allOf=[{"$ref": "#/$defs/none"}]),
            "offerings.0.plans.0.parameters",
            "#/$defs/none",
        ),
        (
            lambda it: schema(it, description="x" * 70_000),
            "offerings.0.plans.0.parameters",
            "larger",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(change: Change, path: str, message: str) -> None:
    document = copy.deepcopy(tomllib.loads(MINIMAL))
    change(document)

    with pytest.raises(catalogue.CatalogueError) as caught:
        catalogue.parse(document)

    assert any(
        problem.path == path and message in problem.message for problem in caught.value.problems
    ), caught.value.problems


def test_all_mistakes_are_told_at_once() -> None:
    document = tomllib.loads(MINIMAL)
    document["offerings"][0]["title"] = ""
    document["offerings"][0]["plans"][0]["name"] = "SMALL"

    with pytest.raises(catalogue.CatalogueError) as caught:
        catalogue.parse(document)

    assert len(caught.value.problems) == 2
    assert "offerings.0.title" in str(caught.value)
