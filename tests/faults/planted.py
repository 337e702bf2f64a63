"""Bugs planted on purpose into real parts, run for real: the checker must object to each. Open it to plant another.

Every variant is one of the mistakes that integration code is known for. The same day is traded with each of them, and
once with nothing broken: two orders, one of them sent again because its answer was lost; the ERP's first reply is lost;
a second process of the order service relays while the first one's call is under way.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg

from libs.common.durable import claims, tables
from libs.common.durable.model import Delivered, Delivery, Outcome, State
from libs.common.durable.rows import Row
from libs.common.durable.session import Session
from libs.common.durable.targets import ConnectorTarget
from libs.common.durable.tx import Group
from libs.common.errors import OrdermeshError
from libs.common.testing.history import check
from tests.builders import ERP
from tests.faults.day import DoublingErp, trade
from tests.faults.worlds import Worlds

ERP_TARGET = f"connector:{ERP}"
Deliver = Callable[[ConnectorTarget, Delivery], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """One mistake. `plant` breaks the part inside its block."""

    name: str
    rule: str
    """The objection that must come; empty when none may."""
    plant: Callable[[], AbstractContextManager[object]]


async def verdict_on(bug: PlantedBug, worlds: Worlds) -> set[str]:
    """The rules that the checker sees broken after a day with the bug."""
    erp = DoublingErp(ERP)
    async with worlds.world({ERP: erp}) as (world, tables_of_world):
        history = await trade(world, erp, tables_of_world, bug.plant)
    return {objection.rule for objection in check(history)}


@contextmanager
def swapped(owner: object, name: str, variant: object) -> Iterator[None]:
    """`owner.name` is the variant inside the block."""
    real = getattr(owner, name)
    setattr(owner, name, variant)
    try:
        yield
    finally:
        setattr(owner, name, real)


def publish_after_commit() -> AbstractContextManager[object]:
    """Events were to be published once the state is committed; the process dies in between."""
    flush = Group.flush

    async def flush_state_only(group: Group) -> None:
        for table in (tables.EVENT, tables.DELIVERY):
            group._writes.inserts.pop(table, None)
        await flush(group)

    return swapped(Group, "flush", flush_state_only)


def blind_repeat() -> AbstractContextManager[object]:
    """What timed out is simply sent again."""
    deliver: Deliver = ConnectorTarget.deliver

    async def repeat(target: ConnectorTarget, delivery: Delivery) -> Outcome:
        return await deliver(target, replace(delivery, state=State.RETRYING))

    return swapped(ConnectorTarget, "deliver", repeat)


@contextmanager
def missing_lease() -> Iterator[None]:
    """Due rows are read, not taken: two processes try the same."""
    claim, still_held = claims.claim, claims.still_held

    async def look_only(
        driver: asyncpg.Connection, free: Mapping[str, int], now: datetime, lease_id: str, lease: timedelta
    ) -> list[Delivery]:
        transaction = driver.transaction()
        await transaction.start()
        try:
            return await claim(driver, free, now, lease_id, lease)
        finally:
            await transaction.rollback()

    async def held_by_anybody(
        driver: Session, deliveries: Sequence[Delivery], table: str = "", asked: claims.Keys = ()
    ) -> tuple[set[claims.Held], list[asyncpg.Record]]:
        _, records = await still_held(driver, deliveries, table, asked)
        return {(delivery.delivery_id, delivery.lease_id) for delivery in deliveries}, records

    with ExitStack() as swaps:
        swaps.enter_context(swapped(claims, "claim", look_only))
        swaps.enter_context(swapped(claims, "still_held", held_by_anybody))
        yield


def unlinked_answer() -> AbstractContextManager[object]:
    """The ERP's answer settles the delivery, and its document number is thrown away."""
    deliver: Deliver = ConnectorTarget.deliver

    async def deliver_only(target: ConnectorTarget, delivery: Delivery) -> Outcome:
        outcome = await deliver(target, delivery)
        if delivery.target == ERP_TARGET and isinstance(outcome, Delivered):
            return replace(outcome, follow=None)
        return outcome

    return swapped(ConnectorTarget, "deliver", deliver_only)


def forgotten_key() -> AbstractContextManager[object]:
    """The answer is not stored with the change it belongs to: a repetition is a new order."""
    add = Group.add

    def add_all_but_keys(group: Group, table: object, row: Row) -> None:
        if table is not tables.IDEMPOTENCY:
            add(group, table, row)  # type: ignore[arg-type]

    return swapped(Group, "add", add_all_but_keys)


def swallowed_error() -> AbstractContextManager[object]:
    """An error is caught and taken for success."""
    deliver: Deliver = ConnectorTarget.deliver

    async def deliver_calmly(target: ConnectorTarget, delivery: Delivery) -> Outcome:
        try:
            return await deliver(target, delivery)
        except OrdermeshError:
            return Delivered()

    return swapped(ConnectorTarget, "deliver", deliver_calmly)


def unaudited_change() -> AbstractContextManager[object]:
    """The audit is written to a log of its own, some of which is lost."""
    flush = Group.flush

    async def flush_without_audit(group: Group) -> None:
        group._writes.inserts.get(tables.AUDIT, [])[:1] = []
        await flush(group)

    return swapped(Group, "flush", flush_without_audit)


SOUND = PlantedBug("nothing is broken", "", nullcontext)
PLANTED = (
    PlantedBug("publish after commit", "event lost", publish_after_commit),
    PlantedBug("blind repeat on time-out", "doubled document", blind_repeat),
    PlantedBug("missing lease", "doubled document", missing_lease),
    PlantedBug("unlinked answer", "unlinked answer", unlinked_answer),
    PlantedBug("key not stored with the change", "doubled order", forgotten_key),
    PlantedBug("error taken for success", "no outcome", swallowed_error),
    PlantedBug("audit row lost", "audit broken", unaudited_change),
)
