"""One request and its answer as the gateway passes them on. Open this file to see what a handler gets and gives."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Protocol

from libs.common import ids
from libs.common.context import CallContext, accepted_id
from libs.common.errors import Refused
from libs.common.telemetry import accepted_traceparent, ids_in, new_traceparent
from libs.common.value import value

Message = MutableMapping[str, object]
"""One ASGI message."""
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
Headers = tuple[tuple[bytes, bytes], ...]
LINE = "ordermesh.line"
"""ASGI extension of our own connections: a `Line`."""
PROBLEM_JSON = b"application/problem+json"
TRACESTATE_CHARACTERS_MAX = 512


class Line(Protocol):
    """What our own connections do for a request and its answer besides ASGI, at a lower price."""

    def arrived(self) -> bytes | None:
        """The whole body; None while something of it is missing."""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends an answer that is whole, in one piece. Its headers say how long it is."""


class AtTheEdge(Refused):
    """A refusal for which HTTP has a status or headers of its own; reason, class and owner follow the contract."""

    def __init__(
        self, status: int, reason: str, detail: str = "", *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason, detail)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(slots=True, eq=False)
class Exchange:
    """One request under way."""

    verb: str
    """`GET` also for HEAD; the edge drops the body."""
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    """By lower-case name; where a name comes several times, the values joined by a comma."""
    receive: Receive
    correlation_id: str
    traceparent: str
    tracestate: str = ""
    arrived: bytes | None = None
    """The body, where all of it has come with the headers; else `receive` gives it."""
    stated: str = ""
    """The body as it was understood, in JSON of our own; empty until it is read."""
    route: str = ""
    """Template of the path that answers it. Empty until it is found."""
    token: str = ""
    """As the caller sent it; services verify it again. Empty until it is verified."""
    context: CallContext | None = None
    """Who calls. None until the token is verified."""
    told: Headers = ()
    """Headers that every answer to this caller has, a refusal too."""

    def header(self, name: bytes) -> str:
        """Value as text, empty where absent."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""

    @property
    def caller(self) -> CallContext:
        assert self.context is not None, "the route is open to everybody: there is no caller"
        return self.context

    @property
    def trace_id(self) -> str:
        return ids_in(self.traceparent)[0]


@value()
class Reply:
    """An answer, complete."""

    status: int
    body: bytes = b""
    media_type: bytes = JSON
    headers: Headers = ()

    def with_headers(self, *headers: tuple[bytes, bytes]) -> "Reply":
        return replace(self, headers=self.headers + headers)


Answer = Callable[[Exchange, Mapping[str, str]], Awaitable[Reply]]
"""What a route does: exchange and the variables of its path to a reply."""


def exchange_of(
    verb: str, path: str, query: bytes, headers: Mapping[bytes, bytes], receive: Receive
) -> Exchange:
    """The request with its correlation id and trace: taken over where they are well formed, else made here.

    A trace that begins here is of one request, whose correlation id then names it."""
    stated = headers.get(b"x-correlation-id")
    correlation_id = accepted_id(stated.decode("latin-1")) if stated else ""
    stated = headers.get(b"traceparent")
    traceparent = accepted_traceparent(stated.decode("latin-1")) if stated else ""
    if not traceparent:
        traceparent = new_traceparent()
        correlation_id = correlation_id or f"cor_{ids_in(traceparent)[0]}"
        return Exchange(verb, path, query, headers, receive, correlation_id, traceparent)
    correlation_id = correlation_id or ids.new_id("cor")
    tracestate = headers.get(b"tracestate", b"").decode("latin-1")
    if len(tracestate) > TRACESTATE_CHARACTERS_MAX or not (tracestate.isascii() and tracestate.isprintable()):
        tracestate = ""
    return Exchange(verb, path, query, headers, receive, correlation_id, traceparent, tracestate)
