"""The API as an ASGI application: the addresses, and what answers there."""

import functools
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence

import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from app import answers, bootstrap, callbacks
from app import settings as configuration
from app.audit import serving as auditing
from app.audit import streaming
from app.eventlog import command, log
from app.graphiql import serving
from app.graphql import http, limits, mutations, reading, trusted
from app.graphql import schema as schemas
from app.graphql import streams as open_streams


def create(parts: bootstrap.Parts) -> Starlette:
    """Return the application over the parts of the program. Raises ManifestError."""
    settings = parts.settings
    api = _api(parts)
    application = Starlette(
        exception_handlers=answers.HANDLERS,
        middleware=answers.middleware(
            allowed_origins=settings.allowed_origins, busiest=("/graphql", api)
        ),
        routes=[
            Route("/graphql", api),
            WebSocketRoute("/graphql", api),
            *_audit_routes(parts, streams=api.streams),
            *callbacks.routes(parts.application.receivers),
            Route("/healthz", _alive),
            Route("/readyz", _readiness(parts.event_log)),
            *serving.routes(),
        ],
    )
    application.state.streams = api.streams
    return application


def sdl() -> str:
    """Return the schema of the API as text."""
    return schemas.sdl(mutation=mutations.Mutation)


@functools.cache
def _schema(allowed: limits.Limits = limits.Limits()) -> strawberry.Schema:  # noqa: B008  it is frozen
    return schemas.build(mutation=mutations.Mutation, allowed=allowed)


def _limits(settings: configuration.Settings) -> limits.Limits:
    return limits.Limits(
        body=settings.limit_body,
        tokens=settings.limit_tokens,
        depth=settings.limit_depth,
        fields=settings.limit_fields,
        aliases=settings.limit_aliases,
        directives=settings.limit_directives,
        page=settings.limit_page,
        errors=settings.limit_errors,
        seconds=settings.limit_seconds,
        cost=settings.limit_cost,
        budget=settings.limit_budget,
        operations=settings.limit_operations,
    )


def _api(parts: bootstrap.Parts) -> http.GraphQLApp:
    settings = parts.settings
    schema = _schema(_limits(settings))
    plain = schema._schema  # noqa: SLF001  strawberry offers no other way
    return http.GraphQLApp(
        schema=schema,
        parts=http.Parts(
            reader=reading.Reader(
                pool=parts.read_pool,
                event_log=parts.event_log,
                texts=parts.texts,
                schema=plain,
                seconds=settings.limit_seconds,
            ),
            event_log=parts.event_log,
            application=parts.application,
            authenticate=parts.sign_in.authenticate,
            remembered=parts.sign_in.remembered,
            proofs=parts.audit.proofs,
            documents=trusted.load(
                settings.trusted_documents,
                is_exclusive=settings.only_trusted_documents,
                schema=plain,
            ),
            is_introspection_open=settings.introspection,
            conduct=http.Conduct(
                allowed_origins=(*settings.allowed_origins, _origin(settings.own_url)),
                seconds_to_begin=settings.websocket_init_timeout,
                seconds_between_checks=settings.token_check_interval,
            ),
        ),
    )


def _audit_routes(parts: bootstrap.Parts, *, streams: open_streams.Streams) -> Sequence[Route]:
    return auditing.Outside(
        authenticate=parts.sign_in.authenticate,
        proofs=parts.audit.proofs,
        stream=streaming.Stream(feed=parts.audit.feed, log_id=parts.audit.log_id, streams=streams),
        verifier_key=parts.audit.verifier_key,
        place=parts.event_log.place,
    ).routes()


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _alive(_request: Request) -> Response:
    return JSONResponse({"alive": True})


def _readiness(event_log: log.EventLog) -> Callable[[Request], Awaitable[Response]]:
    async def ready(_request: Request) -> Response:
        """Tell whether commands and queries can be answered now."""
        try:
            position = await event_log.check()
        except command.LogUnavailableError as error:
            return JSONResponse({"ready": False, "reason": error.message}, status_code=503)
        return JSONResponse({"ready": True, "position": str(position)})

    return ready
