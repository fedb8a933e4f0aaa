"""One mutation over the eventsourcing library as it comes, behind strawberry.

The aggregate is the product's; the recorder is the library's, in a thread for each of 64 at most.
There is no read model and no record of the command: what is answered is the aggregate itself.
"""

import asyncio
import contextlib
import functools
import os
import uuid
from concurrent import futures
from datetime import UTC, datetime
from typing import Any

import strawberry
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from domain import service_instance
from tests.benchmarks.contenders import stock
from tests.benchmarks.peers import serving

_THREADS = futures.ThreadPoolExecutor(64)


@strawberry.type
class Service:
    id: strawberry.ID
    protected: bool
    version: int


@strawberry.type
class Changed:
    service_instance: Service


@strawberry.input
class Wanted:
    id: strawberry.ID
    protected: bool


class Application(GraphQL[Any, None]):
    """The API over the services of a database."""

    def __init__(self, dsn: str) -> None:
        self._services = stock.Stock()
        self._services.prepare(dsn)

        @strawberry.type
        class Query:
            ids: list[strawberry.ID] = strawberry.field(
                resolver=lambda: [f"svc_{id_.hex}" for id_ in self._services.ids]
            )

        @strawberry.type
        class Mutation:
            @strawberry.mutation
            async def set_deletion_protection(self, input: Wanted) -> Changed:  # noqa: A002  as the API has it
                running = asyncio.get_running_loop()
                return await running.run_in_executor(_THREADS, functools.partial(change, input))

        def change(wanted: Wanted) -> Changed:
            found: service_instance.ServiceInstance = self._services.application.repository.get(
                uuid.UUID(wanted.id[4:])
            )
            found.change_protection(protected=wanted.protected, at=datetime.now(tz=UTC))
            self._services.application.save(found)
            return Changed(
                service_instance=Service(
                    id=wanted.id, protected=found.facts.protected, version=found.version
                )
            )

        schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])
        super().__init__(schema, graphql_ide=None)


if __name__ == "__main__":
    serving.serve(Application(os.environ["DATABASE_URL"]), contextlib.nullcontext())
