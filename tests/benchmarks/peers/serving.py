"""A server of its own for a peer: the same protocol, event loop and pool as the product's."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import psycopg_pool
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

_SIZE = 8


def pool() -> psycopg_pool.AsyncConnectionPool[Any]:
    return psycopg_pool.AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        min_size=_SIZE,
        max_size=_SIZE,
        open=False,
        kwargs={"autocommit": True, "cursor_factory": psycopg.AsyncRawCursor},
    )


def serve(endpoint: Any, opened: contextlib.AbstractAsyncContextManager[Any]) -> None:  # noqa: ANN401  a function or an ASGI application
    """Serve until killed, over what is opened meanwhile; say the port first."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with opened:
            yield

    application = Starlette(
        routes=[Route("/graphql", endpoint, methods=["POST"])], lifespan=lifespan
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", access_log=False))
    asyncio.run(server.serve(sockets=[listener]))
