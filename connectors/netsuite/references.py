"""NetSuite's ids of currencies, tax codes and items. Open it when a reference is not found.

Lists are short and change rarely: read whole, kept for a while, and read again at once when a code is asked for that
they lack. A cache and no more; what is forgotten is read again.

Items are read anew each time, those that several orders ask for at once by one call: an account bears few at a time.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from connectors.netsuite import queries
from connectors.netsuite.client import PARAMETERS_MAX, NetSuiteClient
from connectors.netsuite.mapping.values import Row
from libs.common.clock import Clock
from libs.common.together import Together

KEPT = timedelta(minutes=10)
READ_AGAIN_AFTER = timedelta(seconds=5)
"""A code that is asked for over and over although NetSuite lacks it costs one call in this time."""


class CodeList:
    """One list: code → id, read by one caller for all who wait."""

    def __init__(self, client: NetSuiteClient, clock: Clock, statement: str, code: str) -> None:
        self._client = client
        self._clock = clock
        self._statement = statement
        self._code = code
        self._ids: Mapping[str, str] = {}
        self._read_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def ids(self, codes: Iterable[str]) -> Mapping[str, str]:
        """The whole list; fresh when it lacked one of the codes. Raises NotDone when it cannot be read."""
        wanted = set(codes)
        async with self._lock:
            age = None if self._read_at is None else self._clock.now() - self._read_at
            limit = KEPT if wanted <= self._ids.keys() else READ_AGAIN_AFTER
            if wanted and (age is None or age > limit):
                page = await self._client.query(self._statement)
                self._ids = {row[self._code]: row["id"] for row in page.rows if self._code in row}
                self._read_at = self._clock.now()
            return self._ids


class References:
    """What a change may refer to."""

    def __init__(self, client: NetSuiteClient, clock: Clock) -> None:
        self._client = client
        self._currencies = CodeList(client, clock, queries.CURRENCIES, "symbol")
        self._tax_codes = CodeList(client, clock, queries.TAX_CODES, "itemid")
        self._items = self._together(queries.ITEMS_BY_SKU)
        self._stock = self._together(queries.STOCK_BY_SKU)

    async def currencies(self, codes: Iterable[str]) -> Mapping[str, str]:
        return await self._currencies.ids(codes)

    async def tax_codes(self, codes: Iterable[str]) -> Mapping[str, str]:
        return await self._tax_codes.ids(codes)

    async def items(self, skus: Iterable[str]) -> Mapping[str, Row]:
        """Items by SKU, those that NetSuite has: whether they are sold is about now."""
        found = await self._items.get(set(skus))
        return {sku: rows[0] for sku, rows in found.items()}

    async def stock(self, skus: Iterable[str]) -> Mapping[str, Sequence[Row]]:
        """Items by SKU, a row for each location that has a stock of it and at least one."""
        return await self._stock.get(set(skus))

    def _together(self, statement: str) -> Together[str, Sequence[Row]]:
        return Together(partial(self._by_sku, statement), keys_max=PARAMETERS_MAX)

    async def _by_sku(self, statement: str, skus: Sequence[str]) -> Mapping[str, Sequence[Row]]:
        found: dict[str, list[Row]] = {}
        for row in await self._client.query_all(statement, sorted(skus)):
            found.setdefault(row["itemid"], []).append(row)
        return found
