"""What every endpoint does before its own work: who calls, is the body JSON, how a refusal is answered."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from connectors.kit.simulator import JsonObject, read_object
from connectors.netsuite.simulator.errors import NetSuiteError, malformed, unexpected

Handler = Callable[[Request], Awaitable[Response]]
Authenticate = Callable[[Request], None]
"""Raises NetSuiteError 401 unless the request carries a valid token or signature."""

LOG = logging.getLogger(__name__)
PAGE_MAX = 1000
_JSON_TYPES = ("application/json", "application/vnd.oracle.resource+json")


def endpoint(handler: Handler, authenticate: Authenticate | None = None) -> Handler:
    """authenticate: None for what needs no login."""

    async def answer(request: Request) -> Response:
        try:
            if authenticate is not None:
                authenticate(request)
            return await handler(request)
        except NetSuiteError as error:
            return error.response()
        except Exception:  # the outermost place: a bug of ours looks like one of NetSuite's
            LOG.exception("%s %s", request.method, request.url.path)
            return unexpected().response()

    return answer


async def json_body(request: Request) -> JsonObject:
    content_type = request.headers.get("Content-Type", "application/json").split(";")[0].strip().lower()
    if content_type not in _JSON_TYPES:
        raise NetSuiteError(
            415, "INVALID_HEADER", "The content type is not supported.", header="Content-Type"
        )
    try:
        return await read_object(request)
    except ValueError:
        raise malformed() from None


def base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def paging(query: Mapping[str, str]) -> tuple[int, int]:
    """`limit` and `offset`. Raises NetSuiteError: the offset must be a multiple of the limit."""
    limit, offset = _whole(query, "limit", PAGE_MAX), _whole(query, "offset", 0)
    if not 1 <= limit <= PAGE_MAX:
        raise NetSuiteError(400, "INVALID_PARAMETER", f"limit must be 1 to {PAGE_MAX}.", parameter="limit")
    if offset % limit:
        detail = "Invalid query parameter offset. The offset must be divisible by the limit."
        raise NetSuiteError(400, "INVALID_PARAMETER", detail, parameter="offset")
    return limit, offset


def page(items: list[JsonObject], limit: int, offset: int, url: str) -> JsonObject:
    """The collection envelope around one page of `items`. url: the resource, without query."""
    total = len(items)
    chosen = items[offset : offset + limit]
    more = offset + len(chosen) < total
    last = (total - 1) // limit * limit if total else 0
    places = {"self": offset, "first": 0, "last": last}
    if more:
        places["next"] = offset + limit
    if offset:
        places["prev"] = max(0, offset - limit)
    links = [{"rel": rel, "href": f"{url}?limit={limit}&offset={place}"} for rel, place in places.items()]
    envelope = {"count": len(chosen), "hasMore": more, "offset": offset, "totalResults": total}
    return {"links": links, "items": chosen} | envelope


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit():
        detail = f"Invalid query parameter {name}: {value}."
        raise NetSuiteError(400, "INVALID_PARAMETER", detail, parameter=name)
    return int(value)
