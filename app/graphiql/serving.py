"""The explorer's page and assets, for Starlette."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_DIST: Final = Path(__file__).parent / "dist"

# Everything comes from this origin, the workers and the WebSocket included. Monaco writes its
# theme into style elements, which is why inline styles are let in, and scripts are not.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; font-src 'self' data:; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The page names the assets of one build, so it is asked for again; and the address /graphql
# answers with something else to clients of the API.
_PAGE_HEADERS: Final = {**_SECURITY_HEADERS, "Cache-Control": "no-cache", "Vary": "Accept"}
# A worker obeys the policy of its own response. Names contain a hash of the content.
_ASSET_HEADERS: Final = {
    **_SECURITY_HEADERS,
    "Cache-Control": "public, max-age=31536000, immutable",
}

_PAGE_TYPES: Final = ("text/html", "application/xhtml+xml")
_API_TYPES: Final = ("application/json", "application/graphql-response+json", "text/event-stream")

_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Servicebook</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem }</style>
</head>
<body>
<h1>Servicebook</h1>
<p>The API answers at <code>/graphql</code>. The explorer was not built when this server was
installed: that needs the npm registry, once.</p>
<p>To get it, run one of these where the server was installed, and load this page again:</p>
<pre>make graphiql
pip install --no-deps -e .</pre>
</body>
</html>
"""


class _Assets(StaticFiles):
    async def check_config(self) -> None:
        """Accept a missing directory: the explorer may be built while the server runs."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_ASSET_HEADERS)
        return response


def wants_page(headers: Mapping[str, str]) -> bool:
    """Tell whether a GET of the API's own address comes from somebody who wants to read a page."""
    ranges = _parse_accept(headers.get("accept", ""))
    page = max(_quality(ranges, media_type) for media_type in _PAGE_TYPES)
    api = max(_quality(ranges, media_type) for media_type in _API_TYPES)
    return page > api


async def page(_request: Request) -> Response:
    """Answer with the explorer, or with how to get it."""
    index = _DIST / "index.html"
    if index.is_file():
        return FileResponse(index, headers=_PAGE_HEADERS, media_type="text/html")
    return HTMLResponse(_NOT_BUILT, headers=_PAGE_HEADERS)


def routes() -> list[BaseRoute]:
    """Return the page at / and its assets; the owner of /graphql asks `wants_page` itself."""
    assets = _Assets(directory=_DIST / "assets", check_dir=False)
    return [Route("/", page), Mount("/graphiql/assets", assets)]


def _parse_accept(accept: str) -> dict[str, float]:
    ranges = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            ranges[media_range] = float(quality)
        except ValueError:
            ranges[media_range] = 0.0
    return ranges


def _quality(ranges: Mapping[str, float], media_type: str) -> float:
    family = media_type.partition("/")[0] + "/*"
    for media_range in (media_type, family, "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
