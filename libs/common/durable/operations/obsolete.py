"""Parked items that a later success made obsolete. Open this file to learn how one is closed without hands."""

from collections.abc import Sequence

from libs.common.durable import tables
from libs.common.durable.operations.trail import audit, read_chains
from libs.common.durable.tx import Tx
from libs.common.errors import POLICIES

SUPERSEDED = "SUPERSEDED"
OBSOLETE = """
SELECT d.delivery_id, d.reason FROM event e JOIN delivery d USING (event_id)
WHERE e.tenant = $1 AND e.subject = $2 AND d.target LIKE ANY($3::text[]) AND d.state = 'PARKED'
ORDER BY d.delivery_id FOR UPDATE OF d
"""


async def close_parked(tx: Tx, subject: str, targets: Sequence[str]) -> None:
    """Closes what is parked of a record on its way to these targets, patterns as in SQL. Followers go on."""
    rows = await tx.driver.fetch(OBSOLETE, tx.context.tenant, subject, list(targets))
    policy = POLICIES[SUPERSEDED]
    for row in rows:
        tx.writes.updates.setdefault(tables.DELIVERY, []).append(
            {
                "delivery_id": row["delivery_id"],
                "state": "DISCARDED",
                "reason": SUPERSEDED,
                "failure_class": policy.failure_class,
                "owner": policy.owner,
                "park_time": None,
                "settle_time": tx.now,
                "was_state": "PARKED",
            }
        )
    await tell_closed(tx, [row["delivery_id"] for row in rows])


async def tell_closed(tx: Tx, delivery_ids: Sequence[int]) -> None:
    """Audits that deliveries were closed because a later success made them obsolete."""
    await read_chains(tx, delivery_ids)
    for delivery_id in delivery_ids:
        await audit(tx, delivery_id, "state", "", f"state=DISCARDED, because: {SUPERSEDED}")
