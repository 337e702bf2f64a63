"""The outermost layer: every HTTP request enters and leaves here. Open this file for what holds on every route.

Each answer carries `X-Correlation-Id` and `Cache-Control: no-store`; each failure becomes a problem; HEAD and
OPTIONS are answered from what GET and the route table say. Routes that want a caller stand in one table; what is not
in it goes to the pages (`pages.py`), ordinary Starlette routes that are open to everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import exchange as wire
from gateway.auth import Admission
from gateway.exchange import AtTheEdge, Exchange, Reply, exchange_of
from gateway.limits import CallerGone
from gateway.problems import NOWHERE, Place, problem_reply
from gateway.routes import Route, RouteTable, allow_header
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.telemetry import is_recording, span

LOG = structlog.get_logger(__name__)
HEADERS_WITH_LISTS = frozenset({b"accept", b"if-match", b"if-none-match", b"prefer", b"tracestate"})
NO_STORE = (b"cache-control", b"no-store")


@dataclass(slots=True)
class Load:
    """How many requests are under way, and whether the process is about to stop."""

    requests_max: int
    under_way: int = 0
    draining: bool = False


class Edge:
    """The ASGI application."""

    def __init__(self, table: RouteTable, pages: ASGIApp, admission: Admission, load: Load) -> None:
        self._table = table
        self._pages = pages
        self._admission = admission
        self._load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        verb: str = scope["method"]
        exchange = exchange_of(
            "GET" if verb == "HEAD" else verb,
            scope["path"],
            scope["query_string"],
            _joined(scope["headers"]),
            cast(wire.Receive, receive),
        )
        self._load.under_way += 1
        try:
            reply = await self._reply(exchange, scope, receive, send)
        except CallerGone:
            return
        finally:
            self._load.under_way -= 1
        if reply is not None:
            await _send(reply, exchange, send, body=verb != "HEAD")

    async def _reply(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """None when a page has answered already."""
        if exchange.verb == "OPTIONS" and (verbs := self._table.verbs(exchange.path)):
            return Reply(204, headers=((b"allow", allow_header(verbs).encode()),))
        try:
            found = self._table.find(exchange.verb, exchange.path)
            if found is None:
                return await self._page(exchange, scope, receive, send)
        except OrdermeshError as error:
            return _failed(error, exchange, NOWHERE)
        try:
            if self._load.under_way > self._load.requests_max:
                raise NotDone("OVERLOADED", "too many requests are under way")
            self._admission.admit(exchange, found.route.roles)
            if not is_recording():
                return await found.route.answer(exchange, found.variables)
            return await _recorded(found.route, exchange, found.variables)
        except OrdermeshError as error:
            return _failed(error, exchange, found.route.place)
        except CallerGone:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost layer
            return _crashed(error, exchange, effect=exchange.verb != "GET")

    async def _page(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], NO_STORE, *_ids(exchange)]
            await send(message)

        try:
            await self._pages({**scope, "app": self}, receive, stamped)
        except HTTPException as error:
            return _http_refused(error, exchange)
        except OrdermeshError:
            raise
        except Exception as error:
            if started:
                raise
            return _crashed(error, exchange, effect=False)
        return None


async def _recorded(route: Route, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
    attributes = {"http.request.method": exchange.verb, "http.route": route.template.text}
    with span(f"{exchange.verb} {route.template.text}", exchange.traceparent, attributes) as traceparent:
        exchange.traceparent = traceparent
        return await route.answer(exchange, variables)


def _failed(error: OrdermeshError, exchange: Exchange, place: Place) -> Reply:
    if error.policy.failure_class == "technical":
        LOG.warning("request failed", verb=exchange.verb, path=exchange.path, error=error)
    else:
        LOG.info("request refused", verb=exchange.verb, path=exchange.path, error=error)
    return problem_reply(error, exchange, place)


def _crashed(error: Exception, exchange: Exchange, *, effect: bool) -> Reply:
    """A bug. The caller learns the correlation id and nothing else; the stack is in the log under it."""
    LOG.error(
        "request crashed",
        verb=exchange.verb,
        path=exchange.path,
        correlation_id=exchange.correlation_id,
        error=error,
        exc_info=error,
    )
    kind = OutcomeUnknown if effect else Refused
    return problem_reply(kind("INTERNAL", "a fault of ours; its details are in the log"), exchange)


def _http_refused(error: HTTPException, exchange: Exchange) -> Reply:
    """What Starlette says of a page: the path exists, the verb does not."""
    allowed = allow_header(verb.strip() for verb in (error.headers or {}).get("Allow", "").split(",") if verb)
    if exchange.verb == "OPTIONS":
        return Reply(204, headers=((b"allow", allowed.encode()),))
    return problem_reply(
        AtTheEdge(error.status_code, "METHOD_NOT_ALLOWED", headers={"Allow": allowed}), exchange
    )


async def _send(reply: Reply, exchange: Exchange, send: Send, *, body: bool) -> None:
    headers = [NO_STORE, *_ids(exchange), *reply.headers]
    if reply.status not in (204, 304):
        headers += [(b"content-type", reply.media_type), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body if body else b""})


def _ids(exchange: Exchange) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"x-correlation-id", exchange.correlation_id.encode()),)


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """By name. A second one of a header that may stand only once makes it unusable: NUL is in no valid value."""
    joined = dict(headers)
    if len(joined) != len(headers):
        joined = {}
        for name, value in headers:
            separator = b", " if name in HEADERS_WITH_LISTS else b"\0"
            joined[name] = joined[name] + separator + value if name in joined else value
    return joined
