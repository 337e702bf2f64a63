"""NetSuite's wire format: records and SuiteQL over HTTP. Open it to see or change a call.

Every method raises what `errors.py` makes of a refusal, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from connectors.kit.exact_json import JsonObject, dumps, loads_object
from connectors.kit.http import Answer, Call, VendorHttp
from connectors.netsuite.errors import ToField, error_of
from connectors.netsuite.mapping.values import Row
from libs.common.errors import NotDone, OutcomeUnknown

RECORD = "/services/rest/record/v1"
SUITEQL = "/services/rest/query/v1/suiteql"
PAGE_MAX = 1000
ROWS_MAX = 100_000
"""NetSuite gives no more for one query, and nobody holds more for one question: what goes on beyond is broken."""
PARAMETERS_MAX = 500
"""Values in one `IN (…)`; the database behind bears 1,000."""
_STRICT = {
    "Content-Type": "application/json",
    "X-NetSuite-PropertyNameValidation": "Error",  # else a misspelt field is dropped and the rest is saved
}


@dataclass(frozen=True, slots=True)
class Saved:
    """A record was written."""

    id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a query, and whether there are more."""

    rows: Sequence[Row]
    has_more: bool


def external(key: str) -> str:
    """How a record is named by its external id."""
    return f"eid:{key}"


class NetSuiteClient:
    """One account."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    async def read(
        self, record_type: str, name: str, *, fields: str = "", expand: bool = False
    ) -> tuple[JsonObject, Answer] | None:
        """A record by internal id or `external(key)`, with enums as bare ids; None when there is none."""
        params = {"simpleEnumFormat": "true"}
        if fields:
            params["fields"] = fields
        if expand:
            params["expandSubResources"] = "true"
        answer = await self._http.send(Call("GET", _path(record_type, name), effect=False, params=params))
        if answer.status == 404:
            return None
        return await self._body(answer), answer

    async def upsert(
        self, record_type: str, key: str, body: JsonObject, *, replace: str, to_field: ToField
    ) -> Saved:
        """Creates or changes the record with this external id. replace: the sublist that is sent whole.

        Without `replace` the lines of a repeated request would be added to those that are there.
        """
        call = Call(
            "PUT",
            _path(record_type, external(key)),
            effect=True,
            params={"replace": replace} if replace else {},
            headers=_STRICT,
            content=dumps(body),
        )
        answer = await self._http.send(call)
        if answer.status not in (200, 204):
            raise await self._error(answer, to_field)
        return Saved(_id_in_location(answer), answer)

    async def change(self, record_type: str, id_: str, body: JsonObject, *, to_field: ToField) -> Answer:
        """Changes what the body names; of a sublist the lines that it names."""
        call = Call("PATCH", _path(record_type, id_), effect=True, headers=_STRICT, content=dumps(body))
        answer = await self._http.send(call)
        if answer.status not in (200, 204):
            raise await self._error(answer, to_field)
        return answer

    async def query(
        self, statement: str, parameters: Sequence[str] = (), *, limit: int = PAGE_MAX, offset: int = 0
    ) -> Page:
        """Up to `limit` rows from `offset`, a multiple of it. Parameters are bound to the `?` in order."""
        call = Call(
            "POST",
            SUITEQL,
            effect=False,  # a POST that only reads
            params={"limit": str(limit), "offset": str(offset)},
            headers={"Content-Type": "application/json", "Prefer": "transient"},
            content=dumps({"q": statement, "params": list(parameters)}),
        )
        body = await self._body(await self._http.send(call))
        items = body.get("items")
        if not isinstance(items, list):
            raise NotDone("SYSTEM_UNAVAILABLE", "NetSuite's answer has no rows")
        rows = [{name: str(value) for name, value in item.items() if name != "links"} for item in items]
        return Page(rows, body.get("hasMore") is True)

    async def query_all(self, statement: str, ids: Sequence[str]) -> list[Row]:
        """All rows for many ids: `{ids}` in the statement stands for the places of a chunk of them.

        NotDone SYSTEM_UNAVAILABLE when they do not end.
        """
        rows: list[Row] = []
        for start in range(0, len(ids), PARAMETERS_MAX):
            chunk = ids[start : start + PARAMETERS_MAX]
            text = statement.replace("{ids}", ", ".join("?" * len(chunk)))
            offset, more = 0, True
            while more:
                if offset >= ROWS_MAX:
                    raise NotDone("SYSTEM_UNAVAILABLE", "NetSuite's answer has no end")
                page = await self.query(text, chunk, offset=offset)
                rows += page.rows
                offset, more = offset + PAGE_MAX, page.has_more
                if len(rows) > ROWS_MAX:
                    raise NotDone(
                        "SYSTEM_UNAVAILABLE", f"NetSuite tells of more than {ROWS_MAX} lines at once"
                    )
        return rows

    async def close(self) -> None:
        await self._http.close()

    async def _body(self, answer: Answer) -> JsonObject:
        if answer.status != 200:
            raise await self._error(answer)
        try:
            return loads_object(answer.content)
        except ValueError as error:
            raise NotDone("SYSTEM_UNAVAILABLE", "NetSuite's answer cannot be read") from error

    async def _error(self, answer: Answer, to_field: ToField = lambda path: path) -> Exception:
        error = error_of(answer, to_field)
        if isinstance(error, NotDone) and error.retry_after is not None:
            await self._http.pause(error.retry_after)
        return error


def _path(record_type: str, name: str) -> str:
    return f"{RECORD}/{record_type}/{quote(name, safe=':')}"


def _id_in_location(answer: Answer) -> str:
    """The id at the end of `Location`. Raises OutcomeUnknown: saved, but as what?"""
    location: str = answer.headers.get("Location", "")
    id_ = location.rstrip("/").rsplit("/", maxsplit=1)[-1]
    if not id_:
        raise OutcomeUnknown("OUTCOME_UNKNOWN", "NetSuite named no record")
    return id_
