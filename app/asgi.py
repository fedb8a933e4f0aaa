"""The API as an ASGI application: the addresses, and what answers there."""

import functools

import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from app import bootstrap, callbacks
from app.access import caller, tokens
from app.eventlog import command
from app.graphiql import serving
from app.graphql import http, mutations, reading, trusted
from app.graphql import schema as schemas


def create(parts: bootstrap.Parts) -> Starlette:
    """Return the application over the parts of the program. Raises ManifestError."""
    schema = _schema()
    documents = trusted.load(
        parts.settings.trusted_documents,
        is_exclusive=parts.settings.only_trusted_documents,
        schema=schema._schema,  # noqa: SLF001  strawberry offers no other way
    )

    async def authenticate(token: str) -> caller.Caller | None:
        async with parts.pool.connection() as connection:
            return await tokens.authenticate(connection=connection, token=token)

    async def ready(_request: Request) -> Response:
        """Tell whether commands and queries can be answered now."""
        try:
            position = await parts.event_log.head()
        except command.LogUnavailableError as error:
            return JSONResponse({"ready": False, "reason": error.message}, status_code=503)
        return JSONResponse({"ready": True, "position": str(position)})

    api = http.GraphQLApp(
        schema=schema,
        parts=http.Parts(
            reader=reading.Reader(
                pool=parts.pool,
                event_log=parts.event_log,
                schema=schema._schema,  # noqa: SLF001  strawberry offers no other way
            ),
            event_log=parts.event_log,
            application=parts.application,
            authenticate=authenticate,
            documents=documents,
            is_introspection_open=parts.settings.introspection,
        ),
    )
    return Starlette(
        routes=[
            Route("/graphql", api),
            WebSocketRoute("/graphql", api),
            *callbacks.routes(parts.application.receivers),
            Route("/healthz", _alive),
            Route("/readyz", ready),
            *serving.routes(),
        ]
    )


def sdl() -> str:
    """Return the schema of the API as text."""
    return schemas.sdl(mutation=mutations.Mutation)


@functools.cache
def _schema() -> strawberry.Schema:
    return schemas.build(mutation=mutations.Mutation)


async def _alive(_request: Request) -> Response:
    return JSONResponse({"alive": True})
