"""The readable API reference at `/docs`: Swagger UI over `/openapi.json`. Open this file to change how it is served.

    /docs                       the page
    /docs/start.js              opens the document
    /docs/swagger-ui-bundle.js  the viewer, and /docs/swagger-ui.css its looks

The viewer's files come from an installed package, so that nothing is fetched from elsewhere when the page is opened;
the policy sent along forbids the browser to try. A token is typed in by the reader and kept by the page alone.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

PATH = "/docs"
_VIEWER = Path(str(files("mkdocs_swagger_ui_tag"))) / "swagger-ui"
ASSETS: Mapping[str, tuple[Path, str]] = {
    "swagger-ui-bundle.js": (_VIEWER / "javascripts" / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_VIEWER / "stylesheets" / "swagger-ui.css", "text/css"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Styles may stand in the page because the viewer sets some there; scripts may not."""
_GUARDS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_KEPT = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ordermesh: API reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/start.js" defer></script>
</head>
<body>
<main id="reference"></main>
<noscript>The same as a document: <a href="openapi.json">openapi.json</a></noscript>
</body>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null
});
"""


def reference_routes() -> Iterator[BaseRoute]:
    """Open to everybody, as the documents are."""
    yield Route(PATH, _page)
    yield Route(f"{PATH}/start.js", _start)
    for name in ASSETS:
        yield Route(f"{PATH}/{name}", _asset)


async def _page(_request: Request) -> Response:
    return HTMLResponse(_PAGE, headers=_GUARDS)


async def _start(_request: Request) -> Response:
    return Response(_START, media_type="text/javascript", headers=_KEPT)


async def _asset(request: Request) -> Response:
    path, media_type = ASSETS[request.url.path.rpartition("/")[2]]
    return FileResponse(path, media_type=media_type, headers=_KEPT)
