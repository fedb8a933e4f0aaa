"""A small server with the explorer in front of it, and a real browser to look at it."""

import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import strawberry
import uvicorn
from selenium import webdriver
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from app.graphiql import serving

_CHROMIUM = shutil.which("chromium")
_CHROMEDRIVER = shutil.which("chromedriver")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-color-scheme=light",
    "--window-size=1280,900",
)
_NOTE_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (violation) =>
        window.violations.push(`${violation.violatedDirective} ${violation.blockedURI}`));
"""
_PATIENCE_IN_SECONDS = 30


@strawberry.type
class Query:
    @strawberry.field(description="Say who asks, as the request's header has it.")
    def caller(self, info: strawberry.Info) -> str:
        return str(info.context["request"].headers.get("authorization", "nobody"))


@strawberry.type
class Subscription:
    @strawberry.subscription(description="Count to three, for whoever opened the connection.")
    async def count(self, info: strawberry.Info) -> AsyncIterator[str]:
        caller = info.context["connection_params"].get("authorization", "nobody")
        for number in range(1, 4):
            yield f"{number} for {caller}"


class _Api:
    """The API, refusing one token, with the explorer for whoever wants a page."""

    def __init__(self) -> None:
        schema = strawberry.Schema(query=Query, subscription=Subscription)
        self._graphql: ASGIApp = GraphQL(
            schema, graphql_ide=None, subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._graphql
        if scope["type"] == "http":
            request = Request(scope)
            if request.method == "GET" and serving.wants_page(request.headers):
                answer = await serving.page(request)
            elif request.headers.get("authorization") == "Bearer refused":
                answer = JSONResponse({"errors": [{"message": "no"}]}, status_code=401)
        await answer(scope, receive, send)


@pytest.fixture(scope="session")
def origin() -> Iterator[str]:
    api = _Api()
    routes = [*serving.routes(), Route("/graphql", api), WebSocketRoute("/graphql", api)]
    config = uvicorn.Config(
        Starlette(routes=routes), port=0, log_level="error", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def announce(*arguments: Any, **named: Any) -> None:  # noqa: ANN401  uvicorn's own
        await startup(*arguments, **named)
        started.set()

    server.startup = announce  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(_PATIENCE_IN_SECONDS)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(_PATIENCE_IN_SECONDS)


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    if not (_CHROMIUM and _CHROMEDRIVER):
        _give_up("no chromium: apt-get install chromium chromium-driver")
    if not Path(serving.__file__).with_name("dist").is_dir():
        _give_up("the explorer is not built: pip install --no-deps -e .")
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in _FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(_CHROMEDRIVER))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _NOTE_VIOLATIONS})
    yield browser
    browser.quit()


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
