"""The application around a vendor's routes: `/_sim/*`, request counting, and acting on faults.

Open it to see what every simulator answers under `/_sim`, or what a vendor's simulator has to supply.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from connectors.kit.simulator.exact import ExactJSONResponse, JsonObject, loads, read_object
from connectors.kit.simulator.faults import Fault, FaultKind, Faults
from connectors.kit.simulator.serving import hang_up
from connectors.kit.simulator.store import Document, Store

CONTROL = "/_sim/"

Hook = Callable[[JsonObject], JsonObject | Awaitable[JsonObject]]
"""What `/_sim/seed` and `/_sim/advance` run: body in, answer out. Raises Refusal for what it cannot do.

Long work is better async, one change at a time with a yield in between: the vendor has other callers.
"""


class Refusal(Exception):
    """A `/_sim` request that cannot be carried out; its text goes to the caller with status 400."""


class VendorReplies(Protocol):
    """How this vendor words the failures that the kit produces. The kit adds `Retry-After` where asked to."""

    def throttled(self, request: Request) -> Response:
        """Too many requests, in the vendor's status and body."""
        ...

    def unavailable(self, request: Request) -> Response:
        """503 in the vendor's body."""
        ...

    def expired_token(self, request: Request) -> Response:
        """401 in the vendor's body. Also forgets the presented token, so that only a new one helps."""
        ...


@dataclass
class Traffic:
    """What went over the vendor's wire since the process started."""

    total: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    dropped: int = 0
    in_flight: int = 0
    concurrency_max: int = 0

    def enter(self) -> None:
        self.total += 1
        self.in_flight += 1
        self.concurrency_max = max(self.concurrency_max, self.in_flight)

    def as_json(self) -> JsonObject:
        by_status = {str(status): count for status, count in sorted(self.by_status.items())}
        return {"total": self.total, "byStatus": by_status, "dropped": self.dropped}


class Simulator:
    """One simulated vendor as an ASGI application: hand it to `run` or, in a test, to `serving`.

    system: the name in the ledger. routes: the vendor's own.
    store: kinds that begin with an underscore are the vendor's inner bookkeeping, no ledger shows them.
    facts: the few fields the ledger shows of a document beside those of the store (number, status, total as
    decimal text, currency …); None = leave the document out.
    token_paths: where tokens are issued; the concurrency limit does not count against them. Give the same
    paths to `Faults`, so that a fault hits them only if its `path` says so.
    concurrency_limit: requests the vendor handles at a time; one more is answered `throttled`.
    latency_seconds: how long every vendor request takes at least.
    lifespan: what else lives as long as the server; the store is closed after it.
    """

    def __init__(  # noqa: PLR0913  everything a vendor supplies, each named at the call
        self,
        *,
        system: str,
        store: Store,
        faults: Faults,
        routes: Sequence[BaseRoute],
        replies: VendorReplies,
        facts: Callable[[Document], JsonObject | None],
        seed: Hook,
        advance: Hook,
        token_paths: Collection[str] = (),
        concurrency_limit: int | None = None,
        latency_seconds: float = 0.0,
        lifespan: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.system, self.store, self.faults = system, store, faults
        self.traffic = Traffic()
        self.latency_seconds = latency_seconds
        self._vendor = Starlette(routes=routes)
        self._replies = replies
        self._facts = facts
        self._token_paths = frozenset(token_paths)
        self._concurrency_limit = concurrency_limit
        self._lifespan = lifespan
        self._control = Starlette(routes=self._control_routes(seed, advance), lifespan=self._live)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._control(scope, receive, send)
            return
        self.traffic.enter()
        try:
            await self._vendor_request(scope, receive, send)
        finally:
            self.traffic.in_flight -= 1

    @contextlib.asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        async with self._lifespan():
            yield
        self.store.close()

    # The vendor's side

    async def _vendor_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.traffic.by_status[message["status"]] += 1
            await send(message)

        path: str = scope["path"]
        request = Request(scope)
        over_limit = self._concurrency_limit is not None and self.traffic.in_flight > self._concurrency_limit
        if over_limit and path not in self._token_paths:
            await self._replies.throttled(request)(scope, receive, counting_send)
            return
        struck = self.faults.for_request(scope["method"], path)
        delay = self.latency_seconds + sum(fault.seconds for fault in struck)
        if delay:
            receive = await _read_ahead(receive)
            await asyncio.sleep(delay)
        last = struck[-1] if struck else None
        if last is None or last.kind is FaultKind.SLOW:
            await self._vendor(scope, receive, counting_send)
        elif last.kind is FaultKind.RESET:
            self.traffic.dropped += 1
            await hang_up(scope, receive, rudely=True)
        elif last.kind is FaultKind.LOSE_REPLY:
            await self._vendor(scope, receive, _into_the_void)
            self.traffic.dropped += 1
            await hang_up(scope, receive, rudely=False)
        else:
            if last.kind is FaultKind.UNAVAILABLE_AFTER:
                await self._vendor(scope, receive, _into_the_void)
            await self._failure(last, request)(scope, receive, counting_send)

    def _failure(self, fault: Fault, request: Request) -> Response:
        if fault.kind is FaultKind.EXPIRED_TOKEN:
            return self._replies.expired_token(request)
        throttled = fault.kind is FaultKind.THROTTLE
        response = self._replies.throttled(request) if throttled else self._replies.unavailable(request)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = fault.retry_after
        return response

    # The operator's side

    def _control_routes(self, seed: Hook, advance: Hook) -> list[Route]:
        return [
            Route(CONTROL + "health", self._health, methods=["GET"]),
            Route(CONTROL + "ledger", self._ledger, methods=["GET"]),
            Route(CONTROL + "faults", self._list_faults, methods=["GET"]),
            Route(CONTROL + "faults", self._arm_faults, methods=["POST"]),
            Route(CONTROL + "faults", self._clear_faults, methods=["DELETE"]),
            Route(CONTROL + "seed", _hook_endpoint(seed), methods=["POST"]),
            Route(CONTROL + "advance", _hook_endpoint(advance), methods=["POST"]),
        ]

    async def _health(self, _: Request) -> Response:
        return ExactJSONResponse({"system": self.system, "status": "ok"})

    async def _ledger(self, request: Request) -> Response:
        kinds = [kind for kind in self.store.kinds() if not kind.startswith("_")]
        only_kind = request.query_params.get("kind")
        only_key = request.query_params.get("externalId")
        entries = [
            entry
            for kind in kinds
            if only_kind in (None, kind)
            for document in self.store.all(kind)
            if only_key in (None, document.key)
            if (entry := self._entry(document)) is not None
        ]
        ledger = {
            "system": self.system,
            "counts": {kind: self.store.count(kind) for kind in kinds},
            "documents": entries,
            "writes": self.store.writes,
            "requests": self.traffic.as_json(),
            "concurrencyMax": self.traffic.concurrency_max,
        }
        return ExactJSONResponse(ledger)

    def _entry(self, document: Document) -> JsonObject | None:
        facts = self._facts(document)
        if facts is None:
            return None
        entry: JsonObject = {
            "kind": document.kind,
            "id": document.id,
            "externalId": document.key,
        }
        entry |= {
            "createdAt": document.created.isoformat(),
            "modifiedAt": document.modified.isoformat(),
        }
        return entry | facts

    async def _list_faults(self, _: Request) -> Response:
        return ExactJSONResponse({"faults": [fault.as_json() for fault in self.faults.armed()]})

    async def _arm_faults(self, request: Request) -> Response:
        try:
            armed = self.faults.arm(loads(await request.body()))
        except ValueError as error:
            return ExactJSONResponse({"error": str(error)}, status_code=400)
        return ExactJSONResponse({"faults": [fault.as_json() for fault in armed]}, status_code=201)

    async def _clear_faults(self, _: Request) -> Response:
        return ExactJSONResponse({"cleared": self.faults.clear()})


def _hook_endpoint(hook: Hook) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            answer = hook(await read_object(request))
            return ExactJSONResponse(await answer if isinstance(answer, Awaitable) else answer)
        except (Refusal, ValueError) as error:
            return ExactJSONResponse({"error": str(error)}, status_code=400)

    return endpoint


async def _read_ahead(receive: Receive) -> Receive:
    """Takes the whole body in, so that the request can still be handled after its caller has left."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    waiting = iter(messages)

    async def replay() -> Message:
        return next(waiting, None) or await receive()

    return replay


async def _into_the_void(_: Message) -> None:
    """Where the answer goes when the fault is that nobody hears it."""
