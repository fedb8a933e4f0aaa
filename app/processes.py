"""The long-running commands: the API, the worker, and both in one process."""

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TypeAlias

import uvicorn

from app import (
    asgi,
    bootstrap,
    cancellation,
    database,
    first_token,
    garbage,
    http_protocol,
    object_storage,
    websocket_protocol,
)
from app import settings as configuration
from app.graphql import streams as open_streams
from app.work import worker

Say = Callable[[str], None]
_Assembled: TypeAlias = contextlib.AbstractAsyncContextManager[bootstrap.Parts]
_Meanwhile: TypeAlias = contextlib.AbstractAsyncContextManager[None]

_DRAIN = 1  # seconds that open requests get to end
_SILENT_PEER = 30_000  # milliseconds


class PortTakenError(Exception):
    """The API cannot listen where it should."""


def serve(*, settings: configuration.Settings, has_worker: bool, say: Say) -> None:
    """Serve the API until SIGINT or SIGTERM, with a worker beside it if wanted."""
    _start_logging(settings)
    with (
        _listening(settings) as listener,
        object_storage.available(settings=settings, progress=say) as storage,
        database.available(settings=settings, progress=say) as found,
    ):
        parts = bootstrap.assembled(
            settings=_reached_at(settings, listener), found=found, storage=storage, progress=say
        )
        asyncio.run(_serve(assembled=parts, listener=listener, has_worker=has_worker, say=say))


def work(*, settings: configuration.Settings, say: Say) -> None:
    """Run tasks until SIGINT or SIGTERM."""
    _start_logging(settings)
    with (
        object_storage.available(settings=settings, progress=say) as storage,
        database.available(settings=settings, progress=say) as found,
    ):
        parts = bootstrap.assembled(settings=settings, found=found, storage=storage, progress=say)
        asyncio.run(_work(assembled=parts, say=say))


async def _serve(
    *, assembled: _Assembled, listener: socket.socket, has_worker: bool, say: Say
) -> None:
    async with assembled as parts:
        application = asgi.create(parts)
        server = _Server(
            uvicorn.Config(
                application,
                lifespan="off",
                http=http_protocol.Protocol,
                ws=websocket_protocol.Protocol,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN,
                ws_max_size=parts.settings.limit_body,
                # A context for each connection costs more memory than what it saves is worth.
                ws_per_message_deflate=False,
            ),
            streams=application.state.streams,
        )
        async with _sealing(parts), _working(parts) if has_worker else contextlib.nullcontext():
            with _stopped_by_signals(server.stop):
                invitation = await _invitation(parts, listener)
                garbage.spare_what_stays()
                say(invitation)
                await server.serve(sockets=[listener])


def _reached_at(
    settings: configuration.Settings, listener: socket.socket
) -> configuration.Settings:
    """Fill in the port that the system chose."""
    return dataclasses.replace(settings, port=listener.getsockname()[1])


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again, before anything else is closed."""

    def __init__(self, config: uvicorn.Config, *, streams: open_streams.Streams) -> None:
        super().__init__(config)
        self._streams = streams

    def stop(self) -> None:
        """Serve no longer than it takes to end."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams first: requests that never end are no reason to wait."""
        self._streams.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change nothing."""
        yield


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first signal stop what runs; a second one does what signals do."""
    loop = asyncio.get_running_loop()
    signs = (signal.SIGINT, signal.SIGTERM)

    def release() -> None:
        for sign in signs:
            loop.remove_signal_handler(sign)

    def heed() -> None:
        release()
        stop()

    for sign in signs:
        loop.add_signal_handler(sign, heed)
    try:
        yield
    finally:
        release()


async def _work(*, assembled: _Assembled, say: Say) -> None:
    is_over = asyncio.Event()
    async with assembled as parts, _sealing(parts), _working(parts):
        with _stopped_by_signals(is_over.set):
            garbage.spare_what_stays()
            say("The worker is ready")
            await is_over.wait()


def _sealing(parts: bootstrap.Parts) -> _Meanwhile:
    return cancellation.beside(parts.audit.sealer.run())


def _working(parts: bootstrap.Parts) -> _Meanwhile:
    running = worker.run(
        queue=parts.queue,
        pool=parts.pool,
        clock=parts.clock,
        concurrency=parts.settings.worker_concurrency,
    )
    return cancellation.beside(running, grace=worker.TO_END)


async def _invitation(parts: bootstrap.Parts, listener: socket.socket) -> str:
    """Return what the person who started this wants to know: where to go, with which token."""
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    token = await first_token.find_or_make(parts)
    if token is None:
        explore = (
            f"{address}/\n"
            f"Operators have tokens already. To make another: {first_token.HOW_TO_MAKE_ANOTHER}"
        )
    else:
        explore = f"{address}/#token={token}"
    return f"Servicebook is ready: the API at {address}/graphql\nExplore it: {explore}"


@contextlib.contextmanager
def _listening(settings: configuration.Settings) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise PortTakenError(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}. Choose"
            " another with SERVICEBOOK_PORT or --port."
        ) from error
    # Connections inherit both. asyncio does not set this one on a listener that it did not make:
    # the body of an answer would wait up to 40 ms for the client to acknowledge its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Who takes nothing of what is sent for so long is given up:
        # otherwise a stream to a client that stopped reading would be held for ever.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_PEER)
    with listener:
        yield listener


def _start_logging(settings: configuration.Settings) -> None:
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if settings.log_level == "debug":
        logging.getLogger("uvicorn").setLevel(logging.INFO)  # it shows frames, with tokens in them
    if settings.log_level == "info":
        for chatty in ("httpx", "procrastinate", "uvicorn"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
