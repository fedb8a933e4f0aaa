"""The same part of the schema with strawberry and data loaders, caches on."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import strawberry
from psycopg import rows
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache

from tests.benchmarks.peers import serving

_POOL = serving.pool()
_SERVICES = """
    SELECT s.* FROM unnest($1::uuid[]) AS e (id), LATERAL (
        SELECT * FROM read.service_instances WHERE environment_id = e.id
        ORDER BY created_at, id LIMIT $2) AS s"""
_HISTORY = """
    SELECT h.* FROM unnest($1::uuid[]) AS s (id), LATERAL (
        SELECT * FROM read.lifecycle_history WHERE service_instance_id = s.id
        ORDER BY version DESC LIMIT $2) AS h ORDER BY h.version"""
_PAGE = """
    SELECT * FROM read.service_instances WHERE (created_at, id) > ($1::timestamptz, $2::uuid)
    ORDER BY created_at, id LIMIT $3"""
_START = "-infinity 00000000-0000-0000-0000-000000000000"
_Row = dict[str, Any]


async def _read(statement: str, *values: object) -> list[_Row]:
    async with (
        _POOL.connection() as connection,
        connection.cursor(row_factory=rows.dict_row) as cursor,
    ):
        await cursor.execute(statement, values, prepare=True)
        return await cursor.fetchall()


def _by(name: str, found: Sequence[_Row], keys: Sequence[uuid.UUID]) -> list[list[_Row]]:
    grouped = defaultdict(list)
    for row in found:
        grouped[row[name]].append(row)
    return [grouped[key] for key in keys]


async def _services(keys: list[tuple[uuid.UUID, int]]) -> list[list["Service"]]:
    ids = [id_ for id_, _ in keys]
    found = _by("environment_id", await _read(_SERVICES, ids, keys[0][1]), ids)
    return [list(map(_service, each)) for each in found]


async def _histories(keys: list[tuple[uuid.UUID, int]]) -> list[list["Entry"]]:
    ids = [id_ for id_, _ in keys]
    found = _by("service_instance_id", await _read(_HISTORY, ids, keys[0][1]), ids)
    return [list(map(_entry, each)) for each in found]


@strawberry.type
class Entry:
    position: str
    event: str
    sentence: str
    actor: str
    recorded_at: str


@strawberry.type
class Entries:
    nodes: list[Entry]


@strawberry.type
class Service:
    key: strawberry.Private[uuid.UUID]
    id: strawberry.ID
    kind: str
    prefix: str
    state: str
    version: int
    created_at: str

    @strawberry.field
    async def history(self, info: strawberry.Info, last: int) -> Entries:
        return Entries(nodes=await info.context["histories"].load((self.key, last)))


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Services:
    nodes: list[Service]
    page_info: PageInfo | None = None


@strawberry.type
class Environment:
    key: strawberry.Private[uuid.UUID]
    id: strawberry.ID
    name: str

    @strawberry.field
    async def service_instances(self, info: strawberry.Info, first: int) -> Services:
        return Services(nodes=await info.context["services"].load((self.key, first)))


def _entry(row: _Row) -> Entry:
    return Entry(
        position=str(row["position"]),
        event=row["event"],
        sentence=row["sentence"],
        actor=row["actor"],
        recorded_at=_moment(row["recorded_at"]),
    )


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _service(row: _Row) -> Service:
    return Service(
        key=row["id"],
        id=strawberry.ID(f"svc_{row['id'].hex}"),
        kind=row["kind"],
        prefix=row["prefix"],
        state=row["state"],
        version=row["version"],
        created_at=_moment(row["created_at"]),
    )


@strawberry.input
class Key:
    id: strawberry.ID


@strawberry.type
class Query:
    @strawberry.field
    async def environment(self, by: Key) -> Environment | None:
        id_ = uuid.UUID(by.id[4:])
        for row in await _read("SELECT * FROM read.environments WHERE id = $1", id_):
            return Environment(key=row["id"], id=by.id, name=row["name"])
        return None

    @strawberry.field
    async def service_instance(self, id: strawberry.ID) -> Service | None:  # noqa: A002  as the API has it
        id_ = uuid.UUID(id[4:])
        for row in await _read("SELECT * FROM read.service_instances WHERE id = $1", id_):
            return _service(row)
        return None

    @strawberry.field
    async def service_instances(self, first: int, after: str | None = None) -> Services:
        found = await _read(_PAGE, *(after or _START).split(" "), first + 1)
        nodes = list(map(_service, found[:first]))
        end = f"{nodes[-1].created_at} {nodes[-1].key}" if nodes else None
        info = PageInfo(has_next_page=len(found) > first, end_cursor=end)
        return Services(nodes=nodes, page_info=info)


class Application(GraphQL[Any, None]):
    async def get_context(self, request: Any, response: Any) -> Any:  # noqa: ANN401  as strawberry has it
        del request, response
        return {"services": DataLoader(_services), "histories": DataLoader(_histories)}


if __name__ == "__main__":
    schema = strawberry.Schema(Query, extensions=[ParserCache, ValidationCache])
    serving.serve(Application(schema, graphql_ide=None), _POOL)
