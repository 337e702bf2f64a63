"""`POST /services/rest/query/v1/suiteql`; open it for headers, paging and what the fault switches do to a feed."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.kit.simulator import ExactJSONResponse, FaultKind, Faults, JsonObject
from connectors.netsuite.simulator.account import Account
from connectors.netsuite.simulator.endpoints import Authenticate, base_url, endpoint, json_body, page, paging
from connectors.netsuite.simulator.errors import NetSuiteError, malformed
from connectors.netsuite.simulator.suiteql.engine import run
from connectors.netsuite.simulator.suiteql.parser import parse
from connectors.netsuite.simulator.suiteql.syntax import Query

QUERY_PATH = "/services/rest/query/v1/suiteql"
ROWS_MAX = 100_000
_PARSED_MAX = 200


class SuiteQlService:
    def __init__(self, account: Account, faults: Faults, authenticate: Authenticate) -> None:
        self._account = account
        self._faults = faults
        self._authenticate = authenticate
        self._parsed: dict[str, Query] = {}

    def routes(self) -> list[BaseRoute]:
        return [Route(QUERY_PATH, endpoint(self.query, self._authenticate), methods=["POST"])]

    async def query(self, request: Request) -> Response:
        preferences = [word.strip() for word in request.headers.get("Prefer", "").split(",")]
        if "transient" not in preferences:
            detail = "The 'Prefer' header must be set to 'transient'."
            raise NetSuiteError(400, "INVALID_HEADER", detail, header="Prefer")
        limit, offset = paging(request.query_params)
        body = await json_body(request)
        text, parameters = body.get("q"), body.get("params", [])
        if not isinstance(text, str) or not isinstance(parameters, list):
            raise malformed()
        rows = run(self._account, self._parse(text), [str(parameter) for parameter in parameters])[:ROWS_MAX]
        if "lastmodifieddate" in text.lower():
            rows = self._disturbed(request, rows)
        items: list[JsonObject] = [{"links": [], **row} for row in rows]
        return ExactJSONResponse(page(items, limit, offset, base_url(request) + QUERY_PATH))

    def _parse(self, text: str) -> Query:
        query = self._parsed.get(text)
        if query is None:
            query = parse(text)
            if len(self._parsed) < _PARSED_MAX:
                self._parsed[text] = query
        return query

    def _disturbed(self, request: Request, rows: list[dict[str, str]]) -> list[dict[str, str]]:
        """What a change feed may do to its reader: tell a row twice, or tell the newest before the one before it.

        The latter is what a reader meets when a transaction commits late: a row turns up behind the reader's cursor.
        """
        method, path = request.method, request.url.path
        if rows and self._faults.for_feed(FaultKind.DUPLICATE, method, path):
            rows = [rows[0], *rows]
        if len(rows) > 1 and self._faults.for_feed(FaultKind.OUT_OF_ORDER, method, path):
            rows = [*rows[:-2], rows[-1]]
        return rows
