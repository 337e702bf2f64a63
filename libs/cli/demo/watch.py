"""What the mesh says of the orders meanwhile: states, standstills and the way each one took.

Open it to see how the demo waits. Reads are repeated when a process is away; the story's deadline bounds them
all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import httpx
from ordermesh.order.v1 import order_pb2
from pydantic import BaseModel, ConfigDict, Field

from libs.common.clock import Clock
from libs.common.ids import new_id

CALL_SECONDS = 20.0
PAGE_SIZE = 1000
LOOK_EVERY = timedelta(milliseconds=700)
AGAIN_AFTER = timedelta(milliseconds=300)
LINEAGES_AT_A_TIME = 6
LINEAGES_MAX = 1000
TERMINAL_BAD = frozenset({"REJECTED", "CANCELLED"})

Body = Mapping[str, object]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Standstill(_Model):
    """What stands in the exception queue for an order."""

    exception_id: str = Field(default="", alias="exceptionId")
    reason: str = ""
    owner: str = ""
    detail: str = ""


class SeenOrder(_Model):
    """An order as a list shows it."""

    order_id: str = Field(alias="orderId")
    state: str = ""
    standstill: Standstill | None = None

    @property
    def state_name(self) -> str:
        return self.state.removeprefix("ORDER_STATE_")


class Parked(_Model):
    """An item of the exception queue."""

    delivery_id: str = Field(alias="deliveryId")
    subject: str = ""
    target: str = ""
    reason: str = ""
    failure_class: str = Field(default="", alias="failureClass")
    owner: str = ""
    detail: str = ""
    pointer: str = ""


class _Delivery(_Model):
    delivery_id: str = Field(alias="deliveryId")
    target: str = ""
    state: str = ""


class _Attempt(_Model):
    delivery_id: str = Field(alias="deliveryId")
    outcome: str = ""
    reason: str = ""
    mapping: str = ""


class Lineage(_Model):
    """The way of one order."""

    deliveries: Sequence[_Delivery] = ()
    attempts: Sequence[_Attempt] = ()


class _OrderPage(_Model):
    orders: Sequence[SeenOrder] = ()
    next_page_token: str = Field(default="", alias="nextPageToken")


class _ExceptionPage(_Model):
    exceptions: Sequence[Parked] = ()


class _Link(_Model):
    ref: Mapping[str, str] = Field(default_factory=dict)


class _Master(_Model):
    links: Sequence[_Link] = ()


class _Queue(_Model):
    target: str = ""
    waiting: int = 0


class _Queues(_Model):
    queues: Sequence[_Queue] = ()


class _MasterPage(_Model):
    customers: Sequence[_Master] = ()
    products: Sequence[_Master] = ()


PageT = TypeVar("PageT", bound=_Model)


class Watcher:
    """Reads and mends through the gateway."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._never = asyncio.Event()

    async def waiting_for(self, target: str) -> int:
        """Deliveries that have yet to reach a target, over all services."""
        queues = (await self._get("/v1/queues", _Queues, {})).queues
        return sum(queue.waiting for queue in queues if queue.target == target)

    async def orders(self) -> dict[str, SeenOrder]:
        """All orders by id."""
        found: dict[str, SeenOrder] = {}
        token = ""
        while True:
            params = {"pageSize": str(PAGE_SIZE)} | ({"pageToken": token} if token else {})
            page = await self._get("/v1/orders", _OrderPage, params)
            found |= {order.order_id: order for order in page.orders}
            token = page.next_page_token
            if not token:
                return found

    async def linked(self, kind: str, systems: Iterable[str]) -> int:
        """How many `customers` or `products` are linked in all of `systems`."""
        page = await self._get(f"/v1/{kind}", _MasterPage, {"pageSize": str(PAGE_SIZE)})
        wanted = set(systems)
        return sum(
            wanted <= {link.ref.get("system", "") for link in record.links}
            for record in (*page.customers, *page.products)
        )

    async def parked(self, order_id: str) -> Parked | None:
        """What stands in the exception queue for the order."""
        params = {"filter": f"subject = orders/{order_id}"}
        page = await self._get("/v1/exceptions", _ExceptionPage, params)
        return page.exceptions[0] if page.exceptions else None

    async def lineages(self, order_ids: Iterable[str]) -> list[Lineage]:
        """Of at most 1,000 orders, a few at a time."""
        waiting = iter(list(order_ids)[:LINEAGES_MAX])
        found: list[Lineage] = []

        async def reader() -> None:
            for order_id in waiting:
                lineage = await self._get(f"/v1/orders/{order_id}/lineage", Lineage)
                found.append(lineage)

        async with asyncio.TaskGroup() as readers:
            for _ in range(LINEAGES_AT_A_TIME):
                readers.create_task(reader())
        return found

    async def post(self, path: str, body: Body) -> None:
        """A command, repeated with the same key until it is answered.

        Raises httpx.HTTPStatusError when refused.
        """
        headers = {"Idempotency-Key": new_id("demo")}
        response = await self._answered(
            lambda: self._client.post(path, json=body, headers=headers, timeout=CALL_SECONDS)
        )
        response.raise_for_status()

    async def pause(self, span: timedelta = LOOK_EVERY) -> None:
        """Until the next look."""
        await self._clock.wait(self._never, span)

    async def _get(self, path: str, page: type[PageT], params: Mapping[str, str] | None = None) -> PageT:
        response = await self._answered(lambda: self._client.get(path, params=params, timeout=CALL_SECONDS))
        response.raise_for_status()
        return page.model_validate_json(response.content)

    async def _answered(self, call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """The first answer that is not `later`."""
        while True:
            try:
                response = await call()
            except httpx.TransportError:
                pass
            else:
                if response.status_code not in {429, 502, 503, 504}:
                    return response
            await self.pause(AGAIN_AFTER)


def has_reached(order: SeenOrder | None, state: str) -> bool:
    """Whether the order is in `state` or past it, on the way to PAID."""
    if order is None or order.state_name in TERMINAL_BAD or order.state_name == "ON_HOLD":
        return False
    return order_pb2.OrderState.Value(order.state) >= order_pb2.OrderState.Value(f"ORDER_STATE_{state}")
