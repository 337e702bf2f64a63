"""The simulated org as one application: open this to see how its parts are put together.

Beside what every simulator answers under `/_sim` (seed, advance, ledger, faults, health) there are
`GET /_sim/callout/order/{id}` and `POST | GET | DELETE /_sim/locks`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.kit.simulator import (
    Clock,
    ExactJSONResponse,
    Faults,
    Refusal,
    Simulator,
    Store,
    loads,
    system_clock,
)

from .auth import Sessions
from .fixtures import furnish
from .locks import Locks
from .org import Org
from .paths import with_regular_paths
from .seeding import Seeding
from .sights import Sights
from .tls import Tls, serving_tls
from .web import DAILY_CALLS, SOAP_PATHS, TOKEN_PATH, Replies, Web


@dataclass(frozen=True)
class Options:
    """state: SQLite file that keeps the records; None = memory only.

    client_secret: the only one accepted; "" = any. daily_calls: allowed before REQUEST_LIMIT_EXCEEDED.
    """

    state: Path | None = None
    latency_seconds: float = 0.0
    client_secret: str = ""
    daily_calls: int = DAILY_CALLS
    tls: Tls | None = None


def build(options: Options, clock: Clock = system_clock) -> ASGIApp:
    store = Store(options.state, clock)
    locks = Locks()
    org = Org(store, locks)
    users = furnish(org)
    sessions = Sessions(users, clock, client_secret=options.client_secret)
    login_paths = {TOKEN_PATH, *SOAP_PATHS}
    faults = Faults(login_paths)
    seeding, sights = Seeding(org, users), Sights(org, users)
    simulator = Simulator(
        system="salesforce",
        store=store,
        faults=faults,
        routes=Web(org, sessions, faults, daily_calls=options.daily_calls).routes(),
        replies=Replies(sessions),
        facts=sights.facts,
        seed=seeding.seed,
        advance=seeding.advance,
        token_paths=login_paths,
        latency_seconds=options.latency_seconds,
        lifespan=lambda: _second_door(app, options.tls),
    )
    app = with_regular_paths(_Controls(simulator, sights, locks))
    return app


@contextlib.asynccontextmanager
async def _second_door(app: ASGIApp, tls: Tls | None) -> AsyncIterator[None]:
    """HTTPS for as long as the first door is open, if wanted."""
    if tls is None:
        yield
        return
    async with serving_tls(app, tls) as url:
        print(f"listening on {url}", flush=True)  # noqa: T201  For whoever asked for port 0.
        yield


class _Controls:
    """The two controls only this simulator has; everything else goes on to the kit's application."""

    def __init__(self, simulator: Simulator, sights: Sights, locks: Locks) -> None:
        self._simulator = simulator
        self._sights = sights
        self._locks = locks
        self._own = Starlette(
            routes=[
                Route("/_sim/callout/order/{order_id}", self._callout, methods=["GET"]),
                Route("/_sim/locks", self._locks_endpoint, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        own = path.startswith("/_sim/callout/") or path == "/_sim/locks"
        await (self._own if own else self._simulator)(scope, receive, send)

    async def _callout(self, request: Request) -> Response:
        body = self._sights.callout(str(request.path_params["order_id"]))
        if body is None:
            return ExactJSONResponse({"error": "no such Order"}, status_code=404)
        return ExactJSONResponse(body)

    async def _locks_endpoint(self, request: Request) -> Response:
        if request.method == "GET":
            return ExactJSONResponse(self._locks.as_json())
        if request.method == "DELETE":
            return ExactJSONResponse(self._locks.clear())
        try:
            body = loads(await request.body() or b"{}")
            if not isinstance(body, dict):
                raise Refusal("the body must be a JSON object")
            return ExactJSONResponse(self._locks.arm(body), status_code=201)
        except (Refusal, ValueError) as error:
            return ExactJSONResponse({"error": str(error)}, status_code=400)
