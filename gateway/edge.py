"""The outermost layer: every HTTP request enters and leaves here. Open this file for what holds on every route.

Each answer carries `X-Correlation-Id` and `Cache-Control: no-store`; each failure becomes a problem; HEAD and
OPTIONS are answered from what GET and the route table say. Routes that want a caller stand in one table; what is not
in it goes to the pages (`pages.py`), ordinary Starlette routes that are open to everybody.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import cast

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import exchange as wire
from gateway.auth import Admission
from gateway.exchange import LINE, AtTheEdge, Exchange, Line, Reply, exchange_of
from gateway.lanes import Load
from gateway.limits import CallerGone
from gateway.problems import NOWHERE, Place, problem_reply
from gateway.rates import Rates
from gateway.routes import Route, RouteTable, allow_header
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.metrics import HTTP_REFUSED, HTTP_SERVER
from libs.common.telemetry import is_recorded, span

LOG = structlog.get_logger(__name__)
HEADERS_WITH_LISTS = frozenset({b"accept", b"if-match", b"if-none-match", b"prefer", b"tracestate"})
NO_STORE = (b"cache-control", b"no-store")
VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
CALLER_GONE = 499
"""Nobody was there any more to be answered."""


class Edge:
    """The ASGI application."""

    def __init__(
        self, table: RouteTable, pages: ASGIApp, admission: Admission, load: Load, rates: Rates
    ) -> None:
        self._table = table
        self._pages = pages
        self._admission = admission
        self._load = load
        self._rates = rates

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
        # Taken out, as the line knows the scope, too: as a circle each request would wait for the garbage collector.
        line: Line | None = scope.get("extensions", {}).pop(LINE, None)
        if line is not None:
            exchange.arrived = line.arrived()
        began = perf_counter()
        self._load.under_way += 1
        try:
            reply = await self._reply(exchange, scope, receive, send)
        except CallerGone:
            _count(verb, exchange, CALLER_GONE, began)
            return
        finally:
            self._load.under_way -= 1
        if reply is not None:
            await _send(reply, exchange, line, send, body=verb != "HEAD")
            _count(verb, exchange, reply.status, began)

    async def _reply(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """None when a page has answered already."""
        if exchange.header(b"expect").lower() not in ("", "100-continue"):
            return _failed(
                AtTheEdge(417, "INVALID_FIELD", "only 100-continue can be expected"), exchange, NOWHERE
            )
        if exchange.verb == "OPTIONS" and (verbs := self._table.verbs(exchange.path)):
            return Reply(204, headers=((b"allow", allow_header(verbs).encode()),))
        try:
            found = self._table.find(exchange.verb, exchange.path)
            if found is None:
                return await self._page(exchange, scope, receive, send)
        except OrdermeshError as error:
            return _failed(error, exchange, NOWHERE)
        exchange.route = found.route.template.text
        try:
            if self._load.under_way > self._load.requests_max:
                raise NotDone("OVERLOADED", "too many requests are under way")
            self._admission.admit(exchange, found.route.roles)
            return await self._answer(found.route, exchange, found.variables)
        except OrdermeshError as error:
            return _failed(error, exchange, found.route.place)
        except CallerGone:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost layer
            return _crashed(error, exchange, effect=exchange.verb != "GET")

    async def _answer(self, route: Route, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        """A place first, which is free of charge, then the rate: who is refused for being too many spends nothing."""
        caller = exchange.caller
        self._load.enter(route.lane, caller.tenant, caller.actor)
        try:
            await self._rates.spend(exchange, route.lane)
            if not is_recorded(exchange.traceparent):
                return await route.answer(exchange, variables)
            return await _recorded(route, exchange, variables)
        finally:
            self._load.leave(route.lane, caller.tenant, caller.actor)

    async def _page(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*_stored_as_said(message["headers"]), *_ids(exchange)]
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


def _count(verb: str, exchange: Exchange, status: int, began: float) -> None:
    """A verb that nobody knows is a word of the caller's, and no label."""
    known = verb if verb in VERBS else "_OTHER"
    HTTP_SERVER.at(known, exchange.route, status).observe(perf_counter() - began)


def _failed(error: OrdermeshError, exchange: Exchange, place: Place) -> Reply:
    HTTP_REFUSED.at(error.reason).inc()
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
    HTTP_REFUSED.at("INTERNAL").inc()
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


async def _send(reply: Reply, exchange: Exchange, line: Line | None, send: Send, *, body: bool) -> None:
    headers = (NO_STORE, *_ids(exchange), *exchange.told, *reply.headers)
    if reply.status not in (204, 304):
        headers += ((b"content-type", reply.media_type), (b"content-length", b"%d" % len(reply.body)))
    content = reply.body if body else b""
    if line is not None:
        await line.answer(reply.status, headers, content)
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _stored_as_said(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """A page may be kept where it says so."""
    return headers if any(name == b"cache-control" for name, _ in headers) else [*headers, NO_STORE]


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
