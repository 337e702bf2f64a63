"""One request and its answer as the gateway passes them on. Open this file to see what a handler gets and gives."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from libs.common import ids
from libs.common.context import CallContext, accepted_id
from libs.common.errors import Refused
from libs.common.telemetry import accepted_traceparent, ids_in, new_traceparent

Message = MutableMapping[str, object]
"""One ASGI message."""
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
TRACESTATE_CHARACTERS_MAX = 512


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
    route: str = ""
    """Template of the path that answers it. Empty until it is found."""
    token: str = ""
    """As the caller sent it; services verify it again. Empty until it is verified."""
    context: CallContext | None = None
    """Who calls. None until the token is verified."""
    told: tuple[tuple[bytes, bytes], ...] = ()
    """Headers that every answer to this caller has, a refusal too."""

    def header(self, name: bytes) -> str:
        """Value as text, empty where absent."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def caller(self) -> CallContext:
        assert self.context is not None, "the route is open to everybody: there is no caller"
        return self.context

    @property
    def trace_id(self) -> str:
        return ids_in(self.traceparent)[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, complete."""

    status: int
    body: bytes = b""
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())

    def with_headers(self, *headers: tuple[bytes, bytes]) -> "Reply":
        return replace(self, headers=self.headers + headers)


Answer = Callable[[Exchange, Mapping[str, str]], Awaitable[Reply]]
"""What a route does: exchange and the variables of its path to a reply."""


def exchange_of(
    verb: str, path: str, query: bytes, headers: Mapping[bytes, bytes], receive: Receive
) -> Exchange:
    """The request with its correlation id and trace: taken over where they are well formed, else made here."""
    correlation_id = accepted_id(headers.get(b"x-correlation-id", b"").decode("latin-1")) or ids.new_id("cor")
    traceparent = accepted_traceparent(headers.get(b"traceparent", b"").decode("latin-1"))
    if not traceparent:
        return Exchange(verb, path, query, headers, receive, correlation_id, new_traceparent())
    tracestate = headers.get(b"tracestate", b"").decode("latin-1")
    if len(tracestate) > TRACESTATE_CHARACTERS_MAX or not (tracestate.isascii() and tracestate.isprintable()):
        tracestate = ""
    return Exchange(verb, path, query, headers, receive, correlation_id, traceparent, tracestate)
