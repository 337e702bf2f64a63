"""What an operator may do about a parked delivery. Each is one commit with its audit row."""

from dataclasses import dataclass
from typing import cast

from libs.common.durable import tables
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.errors import Refused

LAST_HASH = "SELECT hash FROM audit WHERE tenant = $1 AND subject = $2 ORDER BY position DESC LIMIT 1"
PARKED = (
    "SELECT d.*, e.type, e.correlation_id FROM delivery d JOIN event e USING (event_id)"
    " WHERE d.tenant = $1 AND d.delivery_id = $2 FOR UPDATE OF d"
)


@dataclass(frozen=True, slots=True)
class Replay:
    """Make it due again."""

    delivery_id: int
    pinned_mapping: str
    reason: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Decide against it."""

    delivery_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Put a person in charge."""

    delivery_id: int
    assignee: str


async def replay_exception(command: Replay, tx: Tx) -> Row:
    """The row, due now. A write outside is looked up first, whatever happened before."""
    row = await _parked(tx, command.delivery_id)
    state = "IN_DOUBT" if str(row["target"]).startswith("connector:") else "RETRYING"
    changes = {
        "state": state,
        "due_time": tx.now,
        "attempt": 0,
        "park_time": None,
        "pinned_mapping": command.pinned_mapping,
    }
    tx.targets.add(str(row["target"]))
    return await _change(tx, row, changes, command.reason)


async def discard_exception(command: Discard, tx: Tx) -> Row:
    """The row, closed; followers of the same record go on."""
    row = await _parked(tx, command.delivery_id)
    tx.targets.add(str(row["target"]))
    changes = {"state": "DISCARDED", "park_time": None, "settle_time": tx.now}
    return await _change(tx, row, changes, command.reason)


async def assign_exception(command: Assign, tx: Tx) -> Row:
    """The row with its person in charge."""
    row = await _parked(tx, command.delivery_id)
    return await _change(tx, row, {"assignee": command.assignee}, "")


async def _parked(tx: Tx, delivery_id: int) -> Row:
    """The row as this commit leaves it so far: several operators may act on one item in one commit."""
    known = tx.recall(_place("delivery", tx, delivery_id))
    row: Row | None = (
        cast(Row, known) if known else await tx.driver.fetchrow(PARKED, tx.context.tenant, delivery_id)
    )
    if row is None:
        raise Refused("NOT_FOUND")
    if row["state"] != "PARKED":
        raise Refused("STATE_FORBIDS", f"the item is {str(row['state']).lower()} and not parked")
    return row


async def _change(tx: Tx, row: Row, changes: Row, said: str) -> Row:
    delivery_id = int(str(row["delivery_id"]))
    tx.writes.updates.setdefault(tables.DELIVERY, []).append(
        {"delivery_id": delivery_id, **changes, "was_state": row["state"]}
    )
    subject = audit_subject(delivery_id)
    chain = tx.recall(_place("chain", tx, delivery_id))
    if chain is None:
        chain = await tx.driver.fetchval(LAST_HASH, tx.context.tenant, subject) or b""
    old = ", ".join(f"{name}={row[name]}" for name in changes)
    new = ", ".join(f"{name}={value}" for name, value in changes.items())
    told = f"{new}, because: {said}" if said else new
    tx.remember(
        _place("chain", tx, delivery_id),
        tx.add_audit(subject, next(iter(changes)), old, told, cast(bytes, chain)),
    )
    changed = {**row, **changes}
    tx.remember(_place("delivery", tx, delivery_id), changed)
    return changed


def _place(what: str, tx: Tx, delivery_id: int) -> tuple[str, str, str]:
    return what, tx.context.tenant, str(delivery_id)


def audit_subject(delivery_id: int) -> str:
    """What an operator's act is audited under."""
    return f"deliveries/{delivery_id}"
