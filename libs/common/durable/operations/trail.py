"""What was done about parked items, in the audit. Open this file to learn where an act on a delivery is told.

Each delivery has an audit chain of its own, `deliveries/<number>`: what operators did, and what closed it without them.
"""

from collections.abc import Sequence
from typing import cast

from libs.common.durable.tx import Tx
from libs.common.durable.tx.ahead import DELIVERIES

LAST_HASHES = """
SELECT DISTINCT ON (subject) subject, hash FROM (
    SELECT subject, hash, position FROM audit WHERE tenant = $1 AND subject = ANY($2::text[])
    UNION ALL
    SELECT subject, hash, 0 FROM audit_anchor WHERE tenant = $1 AND subject = ANY($2::text[])
) AS known
ORDER BY subject, position DESC
"""


def audit_subject(delivery_id: int) -> str:
    """What an act on a delivery is audited under."""
    return f"{DELIVERIES}/{delivery_id}"


async def read_chains(tx: Tx, delivery_ids: Sequence[int]) -> None:
    """Reads the ends of the chains of many deliveries at once, for the rows that will be added to them."""
    unread = [audit_subject(each) for each in delivery_ids if tx.recall(_place(tx, each)) is None]
    ends = dict.fromkeys(unread, b"")
    for row in await tx.driver.fetch(LAST_HASHES, tx.context.tenant, unread) if unread else []:
        ends[row["subject"]] = row["hash"]
    for subject, end in ends.items():
        tx.remember(("chain", tx.context.tenant, subject), end)


async def audit(tx: Tx, delivery_id: int, name: str, old: str, new: str) -> None:
    """One row after the last one of the delivery, which may have been written earlier in this commit."""
    await read_chains(tx, [delivery_id])
    place = _place(tx, delivery_id)
    chain = cast(bytes, tx.recall(place))
    tx.remember(place, tx.add_audit(audit_subject(delivery_id), name, old, new, chain))


def _place(tx: Tx, delivery_id: int) -> tuple[str, str, str]:
    return "chain", tx.context.tenant, audit_subject(delivery_id)
