"""Vendors that throttle, forget, lose replies, stall and tell things twice. Open it to add a vendor's trouble.

The switches are the simulators' own (`connectors/kit/simulator/faults.py`), and strike a share of all requests while
orders are handed in, posted, shipped, billed and paid.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.cli.demo.vendors import Body
from tests.faults.ground import Ground, NeverHappened

ORDERS = 30
LOOKS = 12
"""Looks while the vendors are in trouble, in each of which the ERP's people go on."""
POSTED_LIMIT = timedelta(seconds=60)
ERP_WRITES: Body = {"method": "PUT", "path": "salesOrder"}
CRM_WRITES: Body = {"method": "POST", "path": "/composite$"}


@dataclass(frozen=True, slots=True)
class VendorTrouble:
    """Faults of both vendors at a time."""

    name: str
    erp: Sequence[Body]
    crm: Sequence[Body]

    async def strike(self, ground: Ground, seed: int) -> None:
        batch = await ground.draw(seed, ORDERS)
        await ground.erp.arm(_drawn(self.erp, seed))
        await ground.crm.arm(_drawn(self.crm, seed + 1))
        try:
            await ground.submit(batch)
            for _ in range(LOOKS):
                await ground.advance(batch.order_ids)
                await ground.pause()
            hits = Counter(await ground.erp.hits()) + Counter(await ground.crm.hits())
        finally:
            await ground.calm_vendors()
        spared = {str(fault["kind"]) for fault in (*self.erp, *self.crm)} - hits.keys()
        if spared:
            raise NeverHappened(f"{', '.join(sorted(spared))} struck nothing")


@dataclass(frozen=True, slots=True)
class VendorStandsStill:
    """The CRM takes half a minute over every request; what has nothing to do with it must not notice."""

    seconds: int = 30

    @property
    def name(self) -> str:
        return "one vendor stands still"

    async def strike(self, ground: Ground, seed: int) -> None:
        batch = await ground.draw(seed, ORDERS)
        await ground.crm.arm([{"kind": "slow", "count": 0, "seconds": self.seconds}])

        async def posted() -> bool:
            states = await ground.tables.order_states()
            return all(states.get(order_id, "RECEIVED") != "RECEIVED" for order_id in batch.order_ids)

        try:
            await ground.submit(batch)
            await ground.until("the ERP gets its orders while the CRM stands still", posted, POSTED_LIMIT)
        finally:
            await ground.calm_vendors()


def _drawn(faults: Sequence[Body], seed: int) -> list[Body]:
    """Each fault hits other requests."""
    return [{"seed": seed * 100 + place, **fault} for place, fault in enumerate(faults)]


def throttling() -> Iterator[Body]:
    """Pauses asked for in every way there is, sensible or not; long ones are left to tests that have a clock."""
    asked = ("1", "0", "-5", "soon", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", None)
    for retry_after in asked:
        hint: Body = {} if retry_after is None else {"retryAfter": retry_after}
        yield {"kind": "throttle", "probability": "0.03", **hint}


def vendor_troubles() -> Iterator[VendorTrouble]:
    lost: Sequence[Body] = (
        {"kind": "lose_reply", "probability": "0.3"},
        {"kind": "unavailable_after", "probability": "0.1"},
        {"kind": "reset", "probability": "0.1"},
    )
    yield VendorTrouble(
        "vendors lose replies",
        [{**fault, **ERP_WRITES} for fault in lost],
        [{**fault, **CRM_WRITES} for fault in lost],
    )
    yield VendorTrouble("vendors throttle", list(throttling()), list(throttling()))
    stall: Body = {"kind": "slow", "probability": "0.2", "seconds": 6}
    yield VendorTrouble("vendors stall", [{**stall, **ERP_WRITES}], [{**stall, **CRM_WRITES}])
    expired: Body = {"kind": "expired_token", "probability": "0.05"}
    yield VendorTrouble("tokens expire", [expired], [expired])
    feed: Sequence[Body] = (
        {"kind": "duplicate", "probability": "0.4"},
        {"kind": "out_of_order", "probability": "0.4"},
    )
    yield VendorTrouble("feeds repeat and turn round", feed, feed)
    away: Body = {"kind": "unavailable", "probability": "0.4"}
    yield VendorTrouble("vendors are away", [away], [away])
