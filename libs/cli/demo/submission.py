"""How a sales system hands orders in: at most 32 at a time, the same key on every repeat, one in ten twice.

Open it to see what a well-behaved client does about 429, 503, 504 and a lost connection.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import httpx

from libs.cli.demo.goods import DraftOrder, Line
from libs.common.clock import Clock
from libs.common.ids import new_id

CONCURRENCY = 32
CALL_SECONDS = 30.0
REPEAT_EVERY = 10
"""One order in so many is sent twice."""
WAIT_MIN = timedelta(milliseconds=100)
WAIT_MAX = timedelta(seconds=2)
ACCEPTED = 202
REPEATABLE = frozenset({429, 502, 503, 504})
CONFLICT = 409


class Refused(Exception):
    """The gateway refused an order that should be fine."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request to hand an order in, ready to be sent any number of times."""

    order: DraftOrder
    path: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An order that was acknowledged."""

    order: DraftOrder
    order_id: str
    sent: datetime
    """When it was first sent."""
    took: timedelta
    """From the first sending to the acknowledgement, repeats included."""


@dataclass
class Tally:
    """What the client went through."""

    accepted: list[Acceptance] = field(default_factory=list)
    repeats: int = 0
    """Requests sent again because no usable answer came."""
    sent_twice: int = 0
    unequal: list[str] = field(default_factory=list)
    """Purchase order numbers whose second answer differed from the first."""


def canonical_parcel(order: DraftOrder, sold_to: Mapping[str, str]) -> Parcel:
    """`POST /v1/orders`; sold_to: the customer's `system` and `externalId`."""
    currency = order.company.currency
    body = {
        "soldTo": {"external": dict(sold_to)},
        "currencyCode": currency,
        "purchaseOrderNumber": order.purchase_order,
        "lines": [_line(place, line, currency) for place, line in enumerate(order.lines, start=1)],
        "total": money(order.total, currency),
    }
    return Parcel(order, "/v1/orders", new_id("demo"), json.dumps(body).encode())


def native_parcel(order: DraftOrder, system: str, callout: bytes) -> Parcel:
    """`POST /v1/systems/{system}/inbound` with what the vendor itself would send."""
    return Parcel(order, f"/v1/systems/{system}/inbound", new_id("demo"), callout)


def money(amount: Decimal, currency: str) -> dict[str, object]:
    """google.type.Money in JSON: whole units as text, billionths as a number."""
    units = int(amount)
    nanos = int((amount - units).scaleb(9))
    return {"currencyCode": currency, "units": str(units), "nanos": nanos}


def _line(place: int, line: Line, currency: str) -> dict[str, object]:
    return {
        "lineNumber": place,
        "sku": line.article.sku,
        "quantity": {"value": format(line.quantity, "f")},
        "unitCode": line.article.unit,
        "unitPrice": money(line.unit_price, currency),
        "taxCode": line.tax_code,
    }


class Submitter:
    """Hands parcels in. progress: called after each acknowledgement."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, progress: Callable[[int], None]) -> None:
        self._client = client
        self._clock = clock
        self._progress = progress
        self._never = asyncio.Event()
        self.tally = Tally()

    async def submit_all(self, parcels: Sequence[Parcel]) -> None:
        """Returns when all are acknowledged. Raises Refused for the first that is not."""
        waiting = iter(parcels)

        async def sender() -> None:
            for parcel in waiting:
                await self._submit(parcel)
                self._progress(len(self.tally.accepted))

        async with asyncio.TaskGroup() as senders:
            for _ in range(min(CONCURRENCY, len(parcels))):
                senders.create_task(sender())

    async def _submit(self, parcel: Parcel) -> None:
        """Once, or twice with the same key: half of the doubles at the same moment, half after the answer."""
        sent = self._clock.now()
        number = parcel.order.number
        if number % REPEAT_EVERY:
            answers = [await self._send(parcel)]
        elif number % (2 * REPEAT_EVERY):
            answers = list(await asyncio.gather(self._send(parcel), self._send(parcel)))
        else:
            answers = [await self._send(parcel), await self._send(parcel)]
        took = self._clock.now() - sent
        if len(answers) > 1:
            self.tally.sent_twice += 1
            if answers[0] != answers[1]:
                self.tally.unequal.append(parcel.order.purchase_order)
        order_id = _order_id(answers[0])
        self.tally.accepted.append(Acceptance(parcel.order, order_id, sent, took))

    async def _send(self, parcel: Parcel) -> bytes:
        """The body of the acknowledgement, however often it takes; the caller's deadline ends it."""
        headers = {"Idempotency-Key": f'"{parcel.key}"', "Content-Type": "application/json"}
        attempt = 0
        while True:
            wait = min(WAIT_MAX, WAIT_MIN * (1 << min(attempt, 5)))
            try:
                response = await self._client.post(
                    parcel.path, content=parcel.body, headers=headers, timeout=CALL_SECONDS
                )
            except httpx.TransportError:
                pass  # it may have arrived; the key makes a repeat safe
            else:
                if response.status_code == ACCEPTED:
                    return response.content
                if not _may_repeat(response):
                    problem = response.text[:500]
                    raise Refused(f"{parcel.order.purchase_order}: {response.status_code} {problem}")
                wait = _asked_wait(response) or wait
            attempt += 1
            self.tally.repeats += 1
            await self._clock.wait(self._never, wait)


def _may_repeat(response: httpx.Response) -> bool:
    """Of 409 those that say so: the first request still runs, or other changes kept coming in between."""
    if response.status_code == CONFLICT:
        return response.json()["retryable"] is True
    return response.status_code in REPEATABLE


def _asked_wait(response: httpx.Response) -> timedelta | None:
    """Retry-After in seconds, within bounds; None when absent or a date."""
    text = response.headers.get("Retry-After", "")
    return min(WAIT_MAX, timedelta(seconds=int(text))) if text.isdigit() else None


def _order_id(answer: bytes) -> str:
    told = json.loads(answer)
    order_id = told.get("orderId") if isinstance(told, dict) else None
    if not isinstance(order_id, str) or not order_id:
        raise Refused(f"an acknowledgement without order id: {answer[:300]!r}")
    return order_id
