"""What an operator may do about a parked delivery. Each is one commit with its audit row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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
class ReplayMany:
    """Make many due again, `per_second` of them each second."""

    where: Mapping[str, str]
    """Column of `delivery` to value."""
    items_max: int
    per_second: int
    pinned_mapping: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many are due again, and when the last one is."""

    count: int
    last_due_time: datetime | None


@dataclass(frozen=True, slots=True)
class Comment:
    """Leave a remark."""

    delivery_id: int
    comment: str


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
    changes = _due_again(row, tx.now, command.pinned_mapping)
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


async def comment_exception(command: Comment, tx: Tx) -> Row:
    """The row as it was; the remark stands in its history."""
    row = await _parked(tx, command.delivery_id)
    await _audit(tx, command.delivery_id, "comment", "", command.comment)
    return row


async def replay_exceptions(command: ReplayMany, tx: Tx) -> Replayed:
    """Parked items that nobody else is replaying right now, oldest first, due one after the other."""
    terms = " ".join(f"AND {column} = ${index}" for index, column in enumerate(command.where, 3))
    rows = await tx.driver.fetch(
        f"SELECT * FROM delivery WHERE tenant = $1 AND state = 'PARKED' {terms}"  # noqa: S608
        " ORDER BY delivery_id LIMIT $2 FOR UPDATE SKIP LOCKED",
        tx.context.tenant,
        command.items_max,
        *command.where.values(),
    )
    due_time = tx.now
    chosen = [row for row in rows if tx.recall(_place("delivery", tx, row["delivery_id"])) is None]
    for number, row in enumerate(chosen):
        due_time = tx.now + timedelta(seconds=number / command.per_second)
        await _change(tx, row, _due_again(row, due_time, command.pinned_mapping), command.reason)
        tx.targets.add(row["target"])
    return Replayed(len(chosen), due_time if chosen else None)


def _due_again(row: Row, due_time: datetime, pinned_mapping: str) -> Row:
    return {
        "state": "IN_DOUBT" if str(row["target"]).startswith("connector:") else "RETRYING",
        "due_time": due_time,
        "attempt": 0,
        "park_time": None,
        "pinned_mapping": pinned_mapping,
    }


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
    old = ", ".join(f"{name}={row[name]}" for name in changes)
    new = ", ".join(f"{name}={value}" for name, value in changes.items())
    told = f"{new}, because: {said}" if said else new
    await _audit(tx, delivery_id, next(iter(changes)), old, told)
    changed = {**row, **changes}
    tx.remember(_place("delivery", tx, delivery_id), changed)
    return changed


async def _audit(tx: Tx, delivery_id: int, name: str, old: str, new: str) -> None:
    """One row after the last one of the item, which may have been written earlier in this commit."""
    subject, place = audit_subject(delivery_id), _place("chain", tx, delivery_id)
    chain = tx.recall(place)
    if chain is None:
        chain = await tx.driver.fetchval(LAST_HASH, tx.context.tenant, subject) or b""
    tx.remember(place, tx.add_audit(subject, name, old, new, cast(bytes, chain)))


def _place(what: str, tx: Tx, delivery_id: int) -> tuple[str, str, str]:
    return what, tx.context.tenant, str(delivery_id)


def audit_subject(delivery_id: int) -> str:
    """What an operator's act is audited under."""
    return f"deliveries/{delivery_id}"
