"""/query and /queryAll: open this for paging, locators and the shape of a result."""

from __future__ import annotations

import re
from collections import OrderedDict

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors, soql
from connectors.salesforce.simulator.ids import make_id
from connectors.salesforce.simulator.org import Transaction

from .calls import Call, Reply

PAGE_DEFAULT, PAGE_MIN, PAGE_MAX = 2_000, 200, 2_000
_CURSORS_MAX = 50  # The oldest is dropped, as an org drops a user's oldest.
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)


class Cursors:
    """Results that are still being paged through. They die with the process, as an org's die after two days."""

    def __init__(self, page_min: int = PAGE_MIN) -> None:
        self._open: OrderedDict[str, list[JsonObject]] = OrderedDict()
        self._opened = 0
        self._page_min = page_min

    def answer(self, tx: Transaction, call: Call) -> Reply:
        if call.method != "GET":
            raise errors.method_not_allowed(call.method, "HEAD,GET")
        page = self._page_size(call)
        if len(call.segments) == 2:
            return self._next_page(call, call.segments[1], page)
        text = call.query.get("q")
        if text is None:
            raise errors.malformed_query("A query string has to be specified")
        query = soql.parse(text)
        rows = soql.run(tx, query, call.base, deleted_too=call.segments[0].lower() == "queryall")
        if query.aggregates and len(rows.records) > page:
            raise errors.aggregate_too_long()
        if len(rows.records) <= page:
            return Reply(200, {"totalSize": rows.total, "done": True, "records": rows.records})
        self._opened += 1
        locator = make_id("01g", self._opened)
        self._open[locator] = rows.records
        while len(self._open) > _CURSORS_MAX:
            self._open.popitem(last=False)
        return self._page(call, locator, rows.records, 0, page)

    def _page_size(self, call: Call) -> int:
        wanted = _BATCH_SIZE.search(call.headers.get("sforce-query-options", ""))
        return min(max(int(wanted[1]), self._page_min), PAGE_MAX) if wanted else PAGE_DEFAULT

    def _next_page(self, call: Call, text: str, page: int) -> Reply:
        locator, _, start = text.partition("-")
        records = self._open.get(locator)
        if records is None or not start.isdigit() or int(start) >= len(records):
            raise errors.invalid_query_locator()
        return self._page(call, locator, records, int(start), page)

    def _page(self, call: Call, locator: str, records: list[JsonObject], start: int, page: int) -> Reply:
        end = start + page
        body: JsonObject = {"totalSize": len(records), "done": end >= len(records)}
        if end < len(records):
            body["nextRecordsUrl"] = f"{call.base}query/{locator}-{end}"
        body["records"] = records[start:end]
        return Reply(200, body)
