"""Completing orders: received → posted → paid, through an ERP stub that takes 5 ms a call, 16 at a time. Open this file
to see what waits, what is timed and what counts as done.

Orders are handed in while the workers stand still; then one system's worker runs until all of them are paid. ordermesh
asks the ERP through its connector process; the invoice service is stood in for by this file, which tells the order
service that an invoice is paid once it sees an order posted. The peers book the payment without asking anybody.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from time import perf_counter

import asyncpg
import httpx
from google.type import money_pb2

from benchmarks import orders
from benchmarks.accept import accepted_by
from benchmarks.cast import COMPLETE, ERP, RELAYS
from benchmarks.ground import CONNECTOR, Child, Ground
from benchmarks.hurry import TIMES
from benchmarks.load import Run
from benchmarks.sample import Found, Sample, Say, Unexpected, rate_ratio, rounds
from libs.cli.ports import LOOPBACK
from libs.common.ids import new_id

PRODUCT = "ordermesh"
TABLE = "complete"
CALLS_PER_ORDER = 4
IN_FLIGHT, ERP_SECONDS = 16, 0.005
POLL_SECONDS = 0.02
WATCHED_MAX = 128
"""Orders that a poll looks at by their keys, the oldest of those that are left. Reading all that were ever stored, 50
times a second, would be up to a quarter of what PostgreSQL does."""
ORDER_SECONDS_MAX = 120.0
"""An order that is not paid after that time ends the run."""
AWAY_SECONDS = 3600.0
"""By the clock of order service and relays, which hurries meanwhile."""
FIRST = 24
"""Orders of the first round of each system, which is mostly its beginning and its end."""
SECOND_SECONDS = 0.5
"""Length of the second, by the rate of the first. Neither is measured; the third goes by the second."""


class Completing:
    """The ways to complete orders. `open` it on a ground whose processes run and whose workers stand still."""

    def __init__(
        self, ground: Ground, load: Child, own: asyncpg.Connection, peer: asyncpg.Connection
    ) -> None:
        self._ground = ground
        self._load = load
        self._own = own
        self._peer = peer
        self._token = ground.token()
        self._waiting = httpx.AsyncClient(
            base_url=f"http://{LOOPBACK}:{ground.ports['peers']}", timeout=ORDER_SECONDS_MAX, trust_env=False
        )
        self.latest: dict[str, Sample] = {}
        """What each system made last, which tells how many orders its next round needs."""

    @classmethod
    async def open(cls, ground: Ground, bodies: str, peers: Sequence[str]) -> "Completing":
        load = await ground.lasting_child("benchmarks.load", bodies)
        await ground.tell(orders.reference_events(orders.goods()), order="complete-order")
        ways = cls(ground, load, await ground.connect(COMPLETE), await ground.connect())
        for name in (PRODUCT, *peers):
            await ways.complete(name, FIRST)
            await ways.complete(name, ways.count(name, SECOND_SECONDS))
        return ways

    def count(self, name: str, seconds: float) -> int:
        """Orders that should take about so long."""
        return max(FIRST, round(self.latest[name].rate * seconds))

    async def complete(self, name: str, count: int, relays: int = 1) -> Sample:
        """So many orders from received to paid."""
        sample = await (self._by_ordermesh(count, relays) if name == PRODUCT else self._by_peer(name, count))
        self.latest[name] = sample
        return sample

    async def _by_ordermesh(self, count: int, relays: int) -> Sample:
        received = await self._received(count)
        workers = RELAYS[:relays]
        processes = (*workers, "complete-order", CONNECTOR, "postgres")
        before, began = self._ground.cpu(*processes), perf_counter()
        async with self._ground.awake(*workers):
            await until_done(received, self._pay_posted)
            took, after = perf_counter() - began, self._ground.cpu(*processes)
        await self._check_paid()
        return _sample(count, took, before, after)

    async def complete_after_outage(self, count: int) -> tuple[int, float, float]:
        """Of orders that came in an hour in which the ERP was away and a relay tried: how many they are, seconds from
        its return to the first that is posted, and from there to the last that is paid."""
        first = 0.0

        async def pay_posted(watched: Sequence[str]) -> Collection[str]:
            nonlocal first
            posted = await self._pay_posted(watched)
            if posted and not first:
                first = perf_counter()
            return posted

        relay = RELAYS[0]
        async with self._ground.awake(relay):
            async with self._ground.away(ERP), self._ground.hurrying("complete-order", relay):
                received = await self._received(count, AWAY_SECONDS / TIMES)
            began = perf_counter()
            await until_done(received, pay_posted)
            ended = perf_counter()
        await self._check_paid()
        return len(received), first - began, ended - first

    async def _received(self, count: int, seconds: float = 0.0) -> Sequence[str]:
        """Orders that are handed in now; none is posted yet. Raises Unexpected.

        seconds: over which they are spread, and then there may be one more or less; else as fast as may be.
        """
        count = await self._hand_in(count, seconds)
        rows = await self._own.fetch(
            "SELECT record_id FROM ordermesh_order.orders WHERE state = 'RECEIVED' ORDER BY record_id"
        )
        if len(rows) != count:
            raise Unexpected(f"{count} orders were handed in, and {len(rows)} were received")
        return [row["record_id"] for row in rows]

    async def _check_paid(self) -> None:
        unpaid = await self._own.fetchval("SELECT count(*) FROM ordermesh_order.orders WHERE state <> 'PAID'")
        if unpaid:
            raise Unexpected(f"{unpaid} orders are not paid")

    async def _hand_in(self, count: int, seconds: float) -> int:
        run = Run(
            self._ground.ports["complete-gateway"],
            self._token,
            new_id("run"),
            seconds or 60.0,
            min(32, count),
            count / seconds if seconds else 0.0,
            count,
        )
        return accepted_by(PRODUCT, await self._load.ask(json.dumps(asdict(run))))

    async def _pay_posted(self, watched: Sequence[str]) -> Collection[str]:
        """Tells of a paid invoice for each order that is posted."""
        posted = await self._own.fetch(
            "SELECT record_id, record->>'currency' AS currency, record->'total'->>'amount' AS amount"
            " FROM ordermesh_order.orders WHERE tenant = $1 AND record_id = ANY($2) AND state = 'POSTED'",
            orders.TENANT,
            watched,
        )
        if posted:
            events = [orders.paid_event(row["record_id"], _money(row)) for row in posted]
            await self._ground.tell(events, order="complete-order")
        return {row["record_id"] for row in posted}

    async def _by_peer(self, name: str, count: int) -> Sample:
        answer = await self._waiting.post("/waiting", params={"peer": name, "count": count})
        answer.raise_for_status()
        processes = (name, "postgres")
        before, began = self._ground.cpu(*processes), perf_counter()
        async with self._ground.awake(name):
            await until_done(answer.json(), self._paid_by_peer)
            took, after = perf_counter() - began, self._ground.cpu(*processes)
        return _sample(count, took, before, after)

    async def _paid_by_peer(self, watched: Sequence[str]) -> Collection[str]:
        paid = await self._peer.fetch(
            "SELECT id FROM peer_order WHERE id = ANY($1) AND state = 'PAID'", watched
        )
        return {row["id"] for row in paid}


async def until_done(
    left: Sequence[str], done: Callable[[Sequence[str]], Awaitable[Collection[str]]]
) -> None:
    """Returns once `done` has told of all. TimeoutError when that takes too long."""
    async with asyncio.timeout(ORDER_SECONDS_MAX):
        while left:
            await asyncio.sleep(POLL_SECONDS)
            some = await done(left[:WATCHED_MAX])
            left = [order for order in left if order not in some]


def _money(row: Mapping[str, str]) -> money_pb2.Money:
    units, _, rest = row["amount"].partition(".")
    return money_pb2.Money(
        currency_code=row["currency"], units=int(units), nanos=int(rest.ljust(9, "0")[:9] or "0")
    )


def _sample(count: int, took: float, before: Mapping[str, float], after: Mapping[str, float]) -> Sample:
    cpu = {process: 1e6 * (after[process] - before[process]) / count for process in before}
    return Sample(count, count / took, cpu)


async def measure(ways: Completing, count: int, seconds: float, until: float, say: Say) -> Found:
    """Rounds of all systems, and what they come to."""
    measured = await rounds(
        {
            name: (lambda wanted, name=name: ways.complete(name, ways.count(name, wanted)))  # type: ignore[misc]
            for name in ways.latest
        },
        count,
        seconds,
        until,
        say,
    )
    found = Found(rounds={TABLE: measured})
    found.ratios = {
        f"complete_vs_{peer}": rate_ratio(measured, PRODUCT, peer) for peer in ways.latest if peer != PRODUCT
    }
    found.ratios["complete_share_of_limit"] = median(share_of_limit(each[PRODUCT].rate) for each in measured)
    found.figures["Per call to the ERP, over the 5 ms that it takes"] = {
        name: {
            "calls/s": median(CALLS_PER_ORDER * each[name].rate for each in measured),
            "ms over, at 16 at a time": median(over_ms(each[name].rate) for each in measured),
            "CPU µs": median(each[name].cpu_total_us / CALLS_PER_ORDER for each in measured),
        }
        for name in ways.latest
    }
    found.notes.append(
        f"Completing: {len(measured)} rounds of about {seconds:g} s for each system, which has one worker process;"
        " ordermesh its order service and connector besides. Each order asks the ERP four times."
    )
    return found


def share_of_limit(rate: float) -> float:
    """Calls per second over what 16 at a time could make if nothing but the ERP took time."""
    return CALLS_PER_ORDER * rate / (IN_FLIGHT / ERP_SECONDS)


def over_ms(rate: float) -> float:
    """What a step takes over the ERP's own time, were 16 always in flight."""
    return 1000 * (IN_FLIGHT / (CALLS_PER_ORDER * rate) - ERP_SECONDS)


async def catch_up(ways: Completing, count: int, steady: Found) -> Found:
    """Orders that came while the ERP was away for an hour, from the first that is posted on, over the usual rate.

    It comes last: whoever takes part is an hour ahead of the other relays then.
    """
    received, until_first, took = await ways.complete_after_outage(count)
    usual = median(each[PRODUCT].rate for each in steady.rounds[TABLE])
    return Found(
        ratios={"catch_up_vs_steady": received / took / usual},
        figures={
            "Catching up": {
                f"{received:,} orders that came in the hour in which the ERP was away": {
                    "orders/s": received / took,
                    "s until the first": until_first,
                },
                "usual": {"orders/s": usual},
            }
        },
    )


async def scale_out(ways: Completing, seconds: float, numbers: Sequence[int], say: Say) -> Found:
    """The same orders with more relays."""
    rates = {}
    for relays in numbers:
        say(f"{relays} relays")
        sample = await ways.complete(PRODUCT, ways.count(PRODUCT, seconds), relays)
        rates[f"{relays} relay{'s' if relays > 1 else ''}"] = {
            "orders/s": sample.rate,
            "CPU µs per order": sample.cpu_total_us,
        }
    return Found(figures={"Completing with more relays": rates})
