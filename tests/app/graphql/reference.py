"""The API once more, naively: all rows in memory, field by field, no compiler and no SQL.

It knows the schema as text and the rows of the read models, and nothing of how the product
reads. What it does not take on raises `Unknown`: plans, which the domain draws up, and the past.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import graphql
import psycopg
from psycopg import rows, sql

from tests.app.graphql import naive_pages

Row = dict[str, Any]
_SCHEMA = graphql.build_schema(
    (Path(__file__).parents[3] / "schema.graphql").read_text(), assume_valid=True
)
_TABLES = {
    "Project": ("prj", "read", "projects"), "Environment": ("env", "read", "environments"),
    "ServiceInstance": ("svc", "read", "service_instances"),
    "Deployment": ("dep", "read", "deployments"),
    "LifecycleEntry": ("", "read", "lifecycle_history"),
    "AuditEvent": ("", "ledger", "events"), "Offering": ("", "read", "offerings"),
    "Member": ("", "read", "members"), "SubscriptionLine": ("", "read", "subscriptions"),
    "Revision": ("", "read", "revisions"), "ApiToken": ("tok", "read", "api_tokens"),
}  # fmt: skip
_NODES = ("Project", "Environment", "ServiceInstance", "Deployment")
_COLUMNS = {
    ("Environment", "deleted"): "is_deleted", ("ServiceInstance", "usableByApplication"): "usable",
    ("Offering", "configured"): "is_configured", ("Offering", "retired"): "is_retired",
    ("Plan", "default"): "is_default", ("AuditEvent", "id"): "event_id",
    ("AuditEvent", "event"): "topic", ("DeployerSettings", "settings"): "deployer_settings",
    ("DeployerSettings", "secretsSet"): "deployer_secret_names",
    ("DeploymentRole", "role"): "deployment_role",
}  # fmt: skip
_PREFIXED = {
    "Operation": "operation_",
    "OperationError": "operation_error_",
    "DeploymentError": "error_",
}

_RELATED = {
    ("Environment", "project"): ("Project", "project_id"),
    ("Environment", "runningDeployment"): ("Deployment", "running_deployment_id"),
    ("ServiceInstance", "environment"): ("Environment", "environment_id"),
    ("LifecycleEntry", "deployment"): ("Deployment", "deployment_id"),
    ("Deployment", "environment"): ("Environment", "environment_id"),
    ("DeploymentRole", "deployment"): ("Deployment", "deployment_id"),
}
_OF_ITS_OWN = {  # objects made of the row itself, if the column is not null
    ("Environment", "deployer"): "id",
    ("ServiceInstance", "operation"): "operation_id",
    ("ServiceInstance", "inDeployment"): "deployment_id",
    ("Operation", "error"): "operation_error_code",
    ("Deployment", "error"): "error_code",
}


class Unknown(Exception):  # noqa: N818  it is no error
    """The reference does not take it on."""


class Reference:
    """Answers queries of whoever sees everything."""

    def __init__(self, dsn: str) -> None:
        with psycopg.connect(dsn, row_factory=rows.dict_row) as connection:
            self._rows = {
                name: [
                    {**row, "__typename": name}
                    for row in connection.execute(
                        sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
                    )
                ]
                for name, (_, schema, table) in _TABLES.items()
            }

    def answer(self, text: str, variables: Row) -> Any:  # noqa: ANN401  JSON
        """Return the data; None where there are errors. Raises Unknown."""
        result = graphql.graphql_sync(
            _SCHEMA,
            text,
            variable_values=variables,
            field_resolver=self._resolve,
            type_resolver=lambda value, *_: value["__typename"],
        )
        for error in result.errors or ():
            if isinstance(error.original_error, Unknown | KeyError):
                raise Unknown
        return None if result.errors else result.data

    def _resolve(self, parent: Any, info: graphql.GraphQLResolveInfo[Any], **given: Any) -> Any:  # noqa: ANN401  values of any type
        name, field = info.parent_type.name, info.field_name
        if name == "Query":
            return self._root(field, given)
        if name.endswith(("Connection", "Edge")) or name == "PageInfo":
            return parent[field]
        special: Callable[[Row, Row], Any] | None = getattr(self, f"_{name}_{field}", None)
        if special is not None:
            return special(parent, given)
        if (name, field) in _RELATED:
            there, column = _RELATED[name, field]
            return self._by_id(there, parent[column])
        if (name, field) in _OF_ITS_OWN:
            return None if parent[_OF_ITS_OWN[name, field]] is None else parent
        if field == "id" and "id" in parent:
            return self._id(parent)
        column = _COLUMNS.get((name, field)) or _PREFIXED.get(name, "") + _snake(field)
        if column not in parent:
            raise Unknown
        named = str(graphql.get_named_type(info.return_type))
        return _written(parent[column], is_position=named == "Position")

    def _root(self, field: str, given: Row) -> Any:  # noqa: ANN401  as above
        match field:
            case "node":
                return self._node(given["id"])
            case "nodes":
                return [self._node(each) for each in given["ids"]]
            case "project" | "deployment" | "serviceInstance":
                if given.get("at") is not None:
                    raise Unknown
                return self._node(given["id"], only=field[0].upper() + field[1:])
            case "environment":
                return self._environment(given["by"])
            case "catalogue":
                found = self._rows["Offering"]
                return sorted(found, key=lambda row: (row["position_in_list"], row["name"]))
            case "projects":
                return naive_pages.page(
                    self._rows["Project"], given, "PROJECTS", "created_at", "id"
                )
            case "serviceInstances":
                return self._services(lambda _: True, given)
            case "unfinishedRemovals":
                return self._services(
                    lambda row: (
                        row["resource"] == "DELETING"
                        or (row["removal_requested"] and row["state"] != "REMOVED")
                    ),
                    given,
                )
            case "orphans":
                return self._services(lambda row: row["abandoned"], given)
            case "tokens":
                return naive_pages.page(
                    self._rows["ApiToken"], given, "API_TOKENS", "created_at", "id"
                )
            case _:
                raise Unknown

    def _by_age(self, name: str, given: Row, order: str) -> Row:
        return naive_pages.page(self._rows[name], given, order, "created_at", "id")

    def _environment(self, by: Row) -> Row | None:
        if "id" in by:
            return self._node(by["id"], only="Environment")
        project = self._node(by["named"]["project"], only="Project")
        return self._one(
            "Environment",
            lambda row: (
                project is not None
                and row["project_id"] == project["id"]
                and row["name"] == by["named"]["name"]
                and not row["is_deleted"]
            ),
        )

    def _services(self, wanted: Callable[[Row], bool], given: Row) -> Row:
        filter_ = {k: v for k, v in (given.get("filter") or {}).items() if v is not None}
        order = given.get("orderBy", "CREATED_AT_ASC")
        column = _snake_upper(order)
        found = [
            row
            for row in self._rows["ServiceInstance"]
            if wanted(row) and all(_fits(row, name, value) for name, value in filter_.items())
        ]
        return naive_pages.page(found, given, order, column, "id", is_down=order.endswith("DESC"))

    def _node(self, text: str, *, only: str | None = None) -> Row | None:
        for name in _NODES if only is None else (only,):
            for row in self._rows[name]:
                if self._id(row) == text:
                    return row
        return None

    def _id(self, row: Row) -> str:
        mark = _TABLES[row["__typename"]][0]
        return f"{mark}_{row['id'].hex}" if mark else str(row["id"])

    def _one(self, name: str, wanted: Callable[[Row], bool]) -> Row | None:
        return next(filter(wanted, self._rows[name]), None)

    def _by_id(self, name: str, id_: UUID | None) -> Row | None:
        return self._one(name, lambda row: row["id"] == id_)

    def _offering(self, name: str, kind: str) -> Row:
        found = self._one("Offering", lambda row: row["name"] == name)
        if found is None:
            raise Unknown
        return {**found, "kind": kind}

    def _Project_environments(self, row: Row, _: Row) -> list[Row]:  # noqa: N802  as the schema writes it
        found = [
            each
            for each in self._rows["Environment"]
            if each["project_id"] == row["id"] and not each["is_deleted"]
        ]
        return sorted(found, key=lambda each: (each["created_at"], each["id"]))

    def _Project_members(self, row: Row, _: Row) -> list[Row]:  # noqa: N802  as above
        found = [each for each in self._rows["Member"] if each["project_id"] == row["id"]]
        return sorted(found, key=lambda each: str(each["subject"]))

    def _Project_subscription(self, row: Row, _: Row) -> list[Row]:  # noqa: N802  as above
        found = [each for each in self._rows["SubscriptionLine"] if each["project_id"] == row["id"]]
        return sorted(found, key=lambda each: str(each["offering"]))

    def _SubscriptionLine_offering(self, row: Row, _: Row) -> Row | None:  # noqa: N802  as above
        return self._one("Offering", lambda each: each["name"] == row["offering"])

    def _SubscriptionLine_overQuota(self, row: Row, _: Row) -> bool:  # noqa: N802  as above
        return bool(row["used"] > row["units"])

    def _Environment_serviceInstances(self, row: Row, given: Row) -> Row:  # noqa: N802  as above
        return self._services(lambda each: each["environment_id"] == row["id"], given)

    def _Environment_deployments(self, row: Row, given: Row) -> Row:  # noqa: N802  as above
        found = [each for each in self._rows["Deployment"] if each["environment_id"] == row["id"]]
        return naive_pages.page(found, given, "DEPLOYMENTS", "number", "id", is_down=True)

    def _DeployerSettings_kind(self, row: Row, _: Row) -> str:  # noqa: N802  as above
        return str(row["deployer"]).upper()

    def _ServiceInstance_offering(self, row: Row, _: Row) -> Row:  # noqa: N802  as above
        return self._offering(row["offering"], row["kind"])

    def _ServiceInstance_history(self, row: Row, given: Row) -> Row:  # noqa: N802  as above
        found = [
            each
            for each in self._rows["LifecycleEntry"]
            if each["service_instance_id"] == row["id"]
        ]
        return naive_pages.page(found, given, "HISTORY", "version")

    def _Deployment_plan(self, _row: Row, _: Row) -> Row:  # noqa: N802  as above
        raise Unknown


def _fits(row: Row, name: str, value: Any) -> bool:  # noqa: ANN401  a value of any type
    match name:
        case "state" | "kind" | "offering":
            return row[name] in value
        case "prefix":
            return bool(row["prefix"] == value.strip().upper())
        case "wanted" | "parked":
            return bool(row[name] == value)
        case "project" | "environment":
            mark = _TABLES[name.capitalize()][0]
            return bool(f"{mark}_{row[f'{name}_id'].hex}" == value)
        case _:
            raise Unknown


def _written(value: Any, *, is_position: bool) -> Any:  # noqa: ANN401  a value of any type
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value) if isinstance(value, UUID) or is_position else value


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _snake_upper(order: str) -> str:
    return order.removesuffix("_ASC").removesuffix("_DESC").lower()
