import asyncio

import pytest

from app.graphql import sharing

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [ValueError("wrong"), asyncio.CancelledError()])
async def test_what_was_not_found_is_not_known_at_any_moment(error: BaseException) -> None:
    once = sharing.Once(remembered=1)

    async def find() -> str:
        raise error

    getting = asyncio.create_task(once.get("key", find))
    for _ in range(10):
        assert once.known("key") is None
        await asyncio.sleep(0)

    assert getting.done()
    with pytest.raises(type(error)):
        await getting


async def test_what_was_found_is_known() -> None:
    once = sharing.Once(remembered=1)

    async def find() -> str:
        return "it"

    assert await once.get("key", find) == once.known("key") == "it"
