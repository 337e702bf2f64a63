"""A commit that is taken back. Open this file to learn what a preview of our own steps is made of."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from libs.common.context import CallContext, using
from libs.common.durable.store import nothing_committed
from libs.common.durable.tx import Group, Tx
from libs.common.durable.unit import Unit

T = TypeVar("T", bound=Tx)


async def rehearse(
    unit: Unit[T], context: CallContext, rule: str, work: Callable[[T], Awaitable[object]]
) -> T:
    """Runs `work` as a commit would and takes it back; what it would have changed stands in the transaction.

    Raises what `work` raises, and NotDone while the database is away or another transaction is in the way.
    """
    with nothing_committed():
        async with unit.store.session() as session:
            try:
                tx = unit.open(Group(session, unit.clock.now(), unit.new_id, unit.sealer), context, rule)
                with using(context):
                    await work(tx)
                return tx
            finally:
                await session.roll_back()
