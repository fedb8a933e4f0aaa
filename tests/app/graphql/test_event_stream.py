"""What is read for an event stream ends with it, not when somebody tidies up."""

import asyncio

import pytest
from starlette import types
from strawberry.types import ExecutionResult

from app.graphql import context, event_stream, groups, streams
from tests.app.graphql.asking import OPERATOR, Api

pytestmark = pytest.mark.anyio


class Endless(groups.Groups):
    """Has always one result more; notes when nobody wants it."""

    is_left = False

    def results(
        self, asked: groups.Asked, *, who: context.Context, listener: groups.Listener
    ) -> groups.Results:
        del asked, who, listener
        self._held = self._results()  # so that nothing ends because it is forgotten
        return self._held

    async def _results(self) -> groups.Results:
        try:
            while True:
                yield ExecutionResult(data={"n": 1}, errors=None)
        finally:
            self.is_left = True


async def nobody(token: str) -> None:
    del token


async def test_results_are_left_before_the_stream_has_ended(api: Api) -> None:
    """Also those that wait until a client takes them, which has gone instead."""
    endless = Endless(api.schema)
    stream = event_stream.EventStream(
        asked=groups.Asked("subscription { auditEvents { position } }", None, None),
        who=api.context(OPERATOR),
        groups=endless,
        streams=streams.Streams(
            authenticate=nobody, renewed=lambda _: None, seconds_between_checks=60
        ),
    )
    is_full = asyncio.Event()

    async def send(message: types.Message) -> None:
        if message.get("body", b"").startswith(b"event: next"):
            is_full.set()
            await asyncio.sleep(0)

    async def receive() -> types.Message:
        await is_full.wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(10):
        await stream({}, receive, send)

    assert endless.is_left
