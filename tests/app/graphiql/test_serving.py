"""The explorer's page and assets as a client gets them."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from app.graphiql import serving

pytestmark = pytest.mark.anyio

_CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
_GRAPHIQL = "application/graphql-response+json, application/json;q=0.9"


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(serving, "_DIST", tmp_path)
    return tmp_path


async def _get(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=serving.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://servicebook") as client:
        return await client.get(path)


@pytest.mark.parametrize("accept", [_CHROME, "text/html", "application/json;q=0.5, text/html"])
async def test_a_browser_wants_the_page(accept: str) -> None:
    assert serving.wants_page({"accept": accept})


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        _GRAPHIQL,
        "text/event-stream",
        "text/html;q=0.5, application/json",
        "text/html;q=nonsense",
        "text/html;q=0",
        "text/html, application/json",
    ],
)
async def test_a_client_of_the_api_does_not(accept: str) -> None:
    assert not serving.wants_page({"accept": accept})


async def test_the_page_comes_with_its_policy(dist: Path) -> None:
    (dist / "index.html").write_text("<title>Explorer</title>")

    response = await _get("/")

    assert response.text == "<title>Explorer</title>"
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"


async def test_assets_are_kept_for_ever_and_obey_the_policy(dist: Path) -> None:
    (dist / "assets").mkdir()
    (dist / "assets" / "worker-Ab12.js").write_text("postMessage(1)")

    response = await _get("/graphiql/assets/worker-Ab12.js")

    assert "javascript" in response.headers["content-type"]
    assert "immutable" in response.headers["cache-control"]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.usefixtures("dist")
async def test_without_a_build_the_page_says_how_to_get_one() -> None:
    response = await _get("/")

    assert response.status_code == 200
    assert "pip install --no-deps -e ." in response.text
    assert "<script" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.usefixtures("dist")
async def test_without_a_build_an_asset_is_not_found() -> None:
    response = await _get("/graphiql/assets/index-Ab12.js")

    assert response.status_code == 404
