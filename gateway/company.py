"""How many of a tenant's orders are worked on at once while other tenants are about. Open this file when one tenant's
orders take longer because another sends many.

An order that has begun stands before everything that comes after it: in the loop here, in the order service's and in
the commit they share. So the rest of a backlog waits before its bodies are parsed.

    alone                                                as many as come
    while others hand orders in                          `IN_COMPANY_MAX`
    while one of them has little here, and all it sent   `YIELDING_MAX`: who sends little goes first

Lower bounds hold up a light tenant less and cost more: batches are smaller, and cores wait. With 8 and 1 a tenant that
sent 200 orders a second left another that flooded a seventh of its rate.
"""

import asyncio
from collections import Counter, deque
from types import TracebackType
from typing import Self

from libs.common.turns import Neighbours

IN_COMPANY_MAX = 16
YIELDING_MAX = 8
"""Also what is little. Never none: a tenant that sends much goes on, however many send little."""
WAIT_SECONDS_MAX = 5.0
"""After that an order goes on whatever the bound: what is under way does not end, and has a deadline of its own."""
ALONE_AFTER = 256
"""Orders in a row after which a tenant is taken to be alone."""


class Company:
    """Which tenants are about, and what each has under way and waiting."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        """Of those who have any."""
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Of those who have any; all of them have something under way, for whose end they wait."""
        self._neighbours = Neighbours(ALONE_AFTER)

    def place(self, tenant: str) -> "Place":
        """For one order; it is given back at the end of the block, if not before."""
        return Place(self, tenant)

    async def enter(self, tenant: str) -> None:
        """Takes a place, in the order of asking; `leave` gives it back."""
        self._neighbours.note((tenant,))
        if tenant not in self._waiting and self._under_way[tenant] < self._bound(tenant):
            self._under_way[tenant] += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        self._admit(tenant)
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await turn
        except TimeoutError:
            if turn.cancelled():
                self._under_way[tenant] += 1
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(tenant)
            raise

    def leave(self, tenant: str) -> None:
        self._under_way[tenant] -= 1
        self._admit(tenant)
        if not self._under_way[tenant]:
            del self._under_way[tenant]
            for other in tuple(self._waiting):
                self._admit(other)

    def _bound(self, tenant: str) -> float:
        if not self._neighbours.are_about:
            return float("inf")
        yields = any(
            other != tenant and other not in self._waiting and count <= YIELDING_MAX
            for other, count in self._under_way.items()
        )
        return YIELDING_MAX if yields else IN_COMPANY_MAX

    def _admit(self, tenant: str) -> None:
        """Whoever has given up meanwhile is passed over."""
        queue = self._waiting.get(tenant)
        while queue and self._under_way[tenant] < self._bound(tenant):
            turn = queue.popleft()
            if not turn.done():
                self._under_way[tenant] += 1
                turn.set_result(None)
        if queue is not None and not queue:
            del self._waiting[tenant]


class Place:
    """A place of one order, taken or not."""

    __slots__ = ("_company", "_is_taken", "_tenant")

    def __init__(self, company: Company, tenant: str) -> None:
        self._company = company
        self._tenant = tenant
        self._is_taken = False

    async def take(self) -> None:
        """Waits until there is one."""
        await self._company.enter(self._tenant)
        self._is_taken = True

    def give_back(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._company.leave(self._tenant)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()
