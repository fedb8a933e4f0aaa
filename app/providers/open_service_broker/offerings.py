"""A broker's catalogue, as offerings of this installation.

Only services that the configuration names are taken. A service or plan that cannot be used here
is left out, and the log says why: a broker's mistake must not keep the product from starting.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import jsonschema
import msgspec
from referencing import exceptions as referencing_errors

from app import catalogue
from app.providers.open_service_broker import configuration, order

STAND_IN = "open_service_broker"
"""The provider of offerings in the file that a broker may take over."""

_DRAFT_4 = "http://json-schema.org/draft-04/schema#"  # what brokers mean that do not say
_ANYTHING: Mapping[str, object] = {"$schema": _DRAFT_4, "type": "object"}
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_LONGEST_NAME = 63
_LONGEST_TEXT = 2000
_LARGEST_SCHEMA = 64 * 1024  # bytes, as the specification has it

_logger = logging.getLogger(__name__)


class _Plan(msgspec.Struct, frozen=True):
    id: str
    name: str
    description: str = ""
    metadata: dict[str, Any] | None = None  # whatever the broker likes
    bindable: bool | None = None
    plan_updateable: bool | None = None
    binding_rotatable: bool | None = None
    maximum_polling_duration: float | None = None
    schemas: dict[str, Any] | None = None  # looked at piece by piece


class _Service(msgspec.Struct, frozen=True):
    id: str
    name: str
    plans: list[_Plan]
    description: str = ""
    bindable: bool = True
    metadata: dict[str, Any] | None = None  # as above
    plan_updateable: bool | None = None
    bindings_retrievable: bool | None = None
    instances_retrievable: bool | None = None


class CatalogueUnreadableError(Exception):
    """A broker's catalogue is none."""


def provider_name(broker: str) -> str:
    """Return the name of the provider that a broker is."""
    return f"{STAND_IN}/{broker}"


def taken(
    *, name: str, broker: configuration.Broker, document: Mapping[str, object]
) -> list[catalogue.Offering]:
    """Return what is taken from a broker's catalogue; raises CatalogueUnreadableError."""
    services = document.get("services")
    if not isinstance(services, list):
        raise CatalogueUnreadableError("its catalogue has no list of services")
    found = {}
    for entry in services:
        service = entry.get("name") if isinstance(entry, dict) else None
        wish = broker.offerings.get(service) if isinstance(service, str) else None
        if wish is not None:
            try:
                found[service] = _offering(name, wish, msgspec.convert(entry, type=_Service))
            except (msgspec.ValidationError, _UnusableError) as error:
                _logger.warning("broker %s: service %s is left out: %s", name, service, error)
    for missing in sorted(broker.offerings.keys() - found.keys()):
        _logger.warning("broker %s does not offer %s, or not so that it can be used", name, missing)
    return list(found.values())


def with_known(
    *, fresh: list[catalogue.Offering], known: list[catalogue.Offering]
) -> list[catalogue.Offering]:
    """Return what a broker offers, and what it offered before, since instances may be of that.

    An offering that is gone is retired; a plan that is gone comes after those that are there.
    """
    before = {offering.name: offering for offering in known}
    offered = [
        replace(offering, plans=(*offering.plans, *_gone(offering, before.get(offering.name))))
        for offering in fresh
    ]
    names = {offering.name for offering in fresh}
    gone = [replace(each, is_retired=True) for each in known if each.name not in names]
    return [*offered, *gone]


class _UnusableError(Exception):
    pass


def _offering(
    broker: str, wish: configuration.TakenOffering, service: _Service
) -> catalogue.Offering:
    name = wish.name or service.name
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise _UnusableError(f"{name!r} is no name for an offering here: give another one")
    plans = list(_plans(broker, wish, service))
    if not plans:
        raise _UnusableError("it has no plan that can be used")
    default = next((p for p in plans if p.name == _slug(wish.default_plan or "")), plans[0])
    return catalogue.Offering(
        name=name,
        title=_title(service.metadata, service.name),
        description=_described(service.description, service.name),
        kind=wish.kind,
        provider=provider_name(broker),
        regions=catalogue.DEFAULT_REGIONS,
        is_retired=False,
        plans=tuple(replace(plan, is_default=plan is default) for plan in plans),
    )


def _plans(
    broker: str, wish: configuration.TakenOffering, service: _Service
) -> Iterator[catalogue.Plan]:
    names: set[str] = set()
    for plan in service.plans:
        name = _slug(plan.name)
        try:
            _require_usable(service, plan, name, names)
            schema = _schema(plan)
        except _UnusableError as error:
            _logger.warning(
                "broker %s: plan %s of %s is left out: %s", broker, plan.name, service.name, error
            )
            continue
        names.add(name)
        yield catalogue.Plan(
            name=name,
            title=_title(plan.metadata, plan.name),
            description=_described(plan.description, plan.name),
            is_default=False,
            settings=msgspec.to_builtins(_settings(wish, service, plan)),
            parameters=schema,
        )


def _require_usable(service: _Service, plan: _Plan, name: str, names: set[str]) -> None:
    if not (service.bindable if plan.bindable is None else plan.bindable):
        raise _UnusableError("it gives no credentials")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise _UnusableError("its name has nothing that a name here could be made from")
    if name in names:
        raise _UnusableError(f"another one is called {name} here")


def _settings(
    wish: configuration.TakenOffering, service: _Service, plan: _Plan
) -> order.BrokerPlan:
    can_change = service.plan_updateable if plan.plan_updateable is None else plan.plan_updateable
    return order.BrokerPlan(
        service_id=service.id,
        plan_id=plan.id,
        credential=wish.credential,
        can_change=bool(can_change),
        binding_rotatable=bool(plan.binding_rotatable),
        bindings_retrievable=bool(service.bindings_retrievable),
        instances_retrievable=bool(service.instances_retrievable),
        maximum_polling_duration=plan.maximum_polling_duration,
    )


def _schema(plan: _Plan) -> Mapping[str, object]:
    found: object = plan.schemas
    for step in ("service_instance", "create", "parameters"):
        found = found.get(step) if isinstance(found, dict) else None
    if not found:
        return _ANYTHING  # the broker does not say, and checks for itself
    if not isinstance(found, dict):
        raise _UnusableError("the schema of its parameters is no object")
    if len(json.dumps(found).encode()) > _LARGEST_SCHEMA:
        raise _UnusableError("the schema of its parameters is larger than 64 kB")
    schema = {"$schema": _DRAFT_4, **found}
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise _UnusableError("the schema of its parameters refers to another document")
    try:
        validator = catalogue.validator_for(schema)
        type(validator).check_schema(schema)
        list(validator.iter_errors({}))
    except jsonschema.SchemaError as error:
        raise _UnusableError(f"the schema of its parameters is none: {error.message}") from error
    except (RecursionError, referencing_errors.Unresolvable) as error:
        raise _UnusableError("the schema of its parameters leads nowhere") from error
    return schema


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in {"$ref", "$dynamicRef", "$recursiveRef"} and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _gone(
    offering: catalogue.Offering, before: catalogue.Offering | None
) -> Iterator[catalogue.Plan]:
    names = {plan.name for plan in offering.plans}
    for plan in before.plans if before else ():
        if plan.name not in names:
            yield replace(plan, is_default=False)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_")


def _title(metadata: Mapping[str, object] | None, name: str) -> str:
    title = (metadata or {}).get("displayName")
    return _described(title if isinstance(title, str) else "", name)


def _described(text: str, name: str) -> str:
    return (text.strip() or name)[:_LONGEST_TEXT]
