"""Where the simulator's parts meet; open it to build one in a test or to add an endpoint."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.kit.simulator import (
    Clock,
    Document,
    ExactJSONResponse,
    Faults,
    JsonObject,
    Simulator,
    Store,
    system_clock,
)
from connectors.netsuite.simulator.account import Account, Preferences, stored_kind, text
from connectors.netsuite.simulator.advance import advancer
from connectors.netsuite.simulator.auth import TOKEN_PATH, Gate, GuardedReplies, Integration
from connectors.netsuite.simulator.endpoints import endpoint
from connectors.netsuite.simulator.errors import unknown_resource
from connectors.netsuite.simulator.record_service import RecordService
from connectors.netsuite.simulator.record_types import RECORD_TYPES
from connectors.netsuite.simulator.rendering import display_name
from connectors.netsuite.simulator.seed import seeder
from connectors.netsuite.simulator.suiteql.service import SuiteQlService

SYSTEM_PATH = "/services/rest/system/v1/"


def build(
    state: Path | None = None,
    *,
    preferences: Preferences | None = None,
    integration: Integration | None = None,
    latency_seconds: float = 0.0,
    clock: Clock = system_clock,
) -> Simulator:
    """A simulated account. state: SQLite file, None = memory only."""
    preferences = preferences or Preferences()
    store = Store(state, clock)
    account = Account(store, preferences)
    account.open()
    faults = Faults(spared_paths=[TOKEN_PATH])
    gate = Gate(store, integration or Integration())
    routes = [
        *gate.routes(),
        *SuiteQlService(account, faults, gate.authenticate).routes(),
        *_system_routes(account, gate),
        *RecordService(account, gate.authenticate).routes(),
        Route("/{path:path}", endpoint(_unknown)),
    ]
    return Simulator(
        system="netsuite",
        store=store,
        faults=faults,
        routes=routes,
        replies=GuardedReplies(gate),
        facts=_Ledger(account).facts,
        seed=seeder(account),
        advance=advancer(account),
        token_paths=[TOKEN_PATH],
        concurrency_limit=preferences.concurrency_limit,
        latency_seconds=latency_seconds,
    )


def _system_routes(account: Account, gate: Gate) -> list[BaseRoute]:
    async def limits(request: Request) -> Response:
        limit = account.preferences.concurrency_limit
        body = {"accountConcurrencyLimit": limit, "accountUnallocatedConcurrencyLimit": limit}
        return ExactJSONResponse(
            body | {"integrationConcurrencyLimit": limit, "integrationLimitType": "accountLimit"}
        )

    async def server_time(request: Request) -> Response:
        now = account.store.now()
        return ExactJSONResponse(
            {"serverTime": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z"}
        )

    return [
        Route(SYSTEM_PATH + "governanceLimits", endpoint(limits, gate.authenticate), methods=["GET"]),
        Route(SYSTEM_PATH + "serverTime", endpoint(server_time, gate.authenticate), methods=["GET"]),
    ]


async def _unknown(request: Request) -> Response:
    raise unknown_resource(request.url.path)


class _Ledger:
    """What `/_sim/ledger` tells of a document."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def facts(self, document: Document) -> JsonObject | None:
        record_type = RECORD_TYPES.get(document.kind)
        if record_type is None:
            return None
        body = document.body
        number = text(body, "tranId") or text(body, "entityId") or text(body, "itemId")
        facts: JsonObject = {"number": number, "name": display_name(document)}
        if record_type.suiteql_type:
            facts["status"] = text(body, "status")
        if "total" in body:
            facts["total"] = str(body["total"])
        currency = self._account.store.get(stored_kind("currency"), text(body, "currency"))
        if currency is not None:
            facts["currency"] = text(currency.body, "symbol")
        if text(body, "otherRefNum"):
            facts["reference"] = text(body, "otherRefNum")
        if text(body, "createdFrom"):
            order = self._account.store.get("salesOrder", text(body, "createdFrom"))
            facts["createdFrom"] = text(body, "createdFrom")
            facts["orderExternalId"] = None if order is None else order.key
        return facts
