"""Making every path regular before it is routed: open this when a client's odd URL is not understood.

Clients call with and without a trailing slash, in any letter case of the fixed words, and simple-salesforce can only be
pointed at a local port with a first path segment that ends in `.salesforce.com`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

_FIRST_SEGMENT = re.compile(rb"/[^/]*\.salesforce\.com(?=/|$)")
_FIXED_WORDS = re.compile(rb"/services/(data|oauth2|soap/u)(?=/|$)", re.IGNORECASE)


def regular(raw_path: bytes) -> bytes:
    path = _FIRST_SEGMENT.sub(b"", raw_path, count=1)
    path = re.sub(rb"/{2,}", b"/", path)
    path = _FIXED_WORDS.sub(lambda match: match[0].lower().replace(b"soap", b"Soap"), path)
    return path.rstrip(b"/") or b"/"


def with_regular_paths(app: ASGIApp) -> ASGIApp:
    """The same application, which only ever sees regular paths."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw = regular(scope["raw_path"])
            scope = {**scope, "raw_path": raw, "path": _decoded(raw)}
        await app(scope, receive, send)

    return wrapped


def _decoded(raw: bytes) -> str:
    """As the server decodes it: percent escapes, then UTF-8."""
    return unquote_to_bytes(raw).decode("utf-8", "replace")
