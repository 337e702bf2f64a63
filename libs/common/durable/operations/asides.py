"""A parked change from outside that a person decides about. Open this file to bring a decision of another kind.

The decision itself is a service's own; here the change is found, and made due again so that it is taken in as decided.
"""

from ordermesh.connector.v1 import change_pb2

from libs.common.durable.aside import CHANGE_TYPE, opened_change
from libs.common.durable.operations.commands import NOTHING_ASKED, change, due_again, parked
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.errors import Refused

CARRIED = "SELECT data FROM event WHERE tenant = $1 AND event_id = $2"


async def change_that_waits(
    tx: Tx, delivery_id: int, kind: change_pb2.Kind.ValueType, reason: str
) -> tuple[Row, change_pb2.ExternalChange]:
    """The parked item and the change it carries. Refused with NOT_FOUND, STATE_FORBIDS when it is none of these,
    ORIGINAL_UNREADABLE."""
    row = await parked(tx, delivery_id)
    if row["type"] != CHANGE_TYPE or row["reason"] != reason:
        raise Refused("STATE_FORBIDS", f"the item does not wait with {reason}")
    data = row["edited_data"]
    if data is None:
        data = await tx.driver.fetchval(CARRIED, tx.context.tenant, row["event_id"])
    carried = opened_change(tx, data)  # type: ignore[arg-type]
    if carried.kind != kind:
        raise Refused("STATE_FORBIDS", "the item carries something else")
    return row, carried


async def take_in_as_decided(tx: Tx, row: Row, decision: str, reason: str) -> Row:
    """The row, due now; the decision stands in its history."""
    tx.targets.add(str(row["target"]))
    said = f"{decision}: {reason}" if reason else decision
    return await change(
        tx, row, {**due_again(row, tx.now, str(row["pinned_mapping"])), **NOTHING_ASKED}, said
    )
