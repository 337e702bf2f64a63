"""What people may do about one parked delivery. Each is one commit with its audit rows.

Where the reason demands four eyes, a replay or a discard is only asked for; somebody who neither asked for it nor
edited the payload approves it, and then it is done. An edit withdraws what was asked for: it was asked for another
payload.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from ordermesh.common.v1 import difference_pb2

from libs.common.durable import tables
from libs.common.durable.operations.trail import audit
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.durable.tx.proposals import PROPOSAL
from libs.common.errors import POLICIES, NotDone, Refused
from libs.common.masking import MASK
from libs.common.personal import hidden

APPROVAL_TIME = timedelta(days=3)
"""How long an approver has."""
REPLAY, DISCARD = "replay", "discard"
AUDITED_FIELDS_MAX = 100
"""Of an edit; what differs beyond is counted."""
NOTHING_ASKED: Row = {
    "request_id": "",
    "requested_act": "",
    "requested_by": "",
    "requested_reason": "",
    "request_expire_time": None,
}
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


@dataclass(frozen=True, slots=True)
class Edit:
    """Let it carry something else."""

    delivery_id: int
    data: bytes | None
    """None: what it carried at first."""
    replaces: bytes | None
    """The edit it was checked against, None for the original."""
    differences: Sequence[difference_pb2.FieldDifference]
    shown: Sequence[difference_pb2.FieldDifference]
    """The same as the caller may see them."""
    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """The row as edited, and what differs."""

    row: Row
    shown: Sequence[difference_pb2.FieldDifference]


@dataclass(frozen=True, slots=True)
class Approve:
    """Let what somebody else asked for be done."""

    delivery_id: int
    request_id: str
    reason: str


async def replay_exception(command: Replay, tx: Tx) -> Row:
    """The row, due now; or as it was, with the request. A write outside is looked up first, whatever was before."""
    row = await parked(tx, command.delivery_id)
    if four_eyes(row):
        return await ask_for(tx, row, REPLAY, command.reason, {"pinned_mapping": command.pinned_mapping})
    return await _replay(tx, row, command.pinned_mapping, command.reason)


async def discard_exception(command: Discard, tx: Tx) -> Row:
    """The row, closed, and followers of the same record go on; or as it was, with the request.

    Refused with STATE_FORBIDS for a proposal.
    """
    row = await parked(tx, command.delivery_id)
    if str(row["target"]).startswith(PROPOSAL):
        raise Refused("STATE_FORBIDS", "a proposal is accepted or rejected, so that who proposed it is told")
    if four_eyes(row):
        return await ask_for(tx, row, DISCARD, command.reason, {})
    return await _discard(tx, row, command.reason)


async def approve_exception(command: Approve, tx: Tx) -> Row:
    """The row with what was asked for done.

    Refused with STATE_FORBIDS, APPROVER_IS_REQUESTER, APPROVAL_EXPIRED.
    """
    row = await parked(tx, command.delivery_id)
    if row["request_id"] != command.request_id:
        said = "something else is asked for by now" if row["request_id"] else "nothing is asked for"
        raise Refused("STATE_FORBIDS", said)
    if tx.context.actor in (row["requested_by"], row["edited_by"]):
        raise Refused("APPROVER_IS_REQUESTER")
    expire_time = cast(datetime, row["request_expire_time"])
    if tx.now >= expire_time:
        raise Refused("APPROVAL_EXPIRED", f"it could be approved until {expire_time:%Y-%m-%d %H:%M}Z")
    said = f"asked for by {row['requested_by']}: {row['requested_reason']}"
    told = f"{command.reason} ({said})" if command.reason else said
    if row["requested_act"] == DISCARD:
        return await _discard(tx, row, told)
    return await _replay(tx, row, str(row["pinned_mapping"]), told)


async def assign_exception(command: Assign, tx: Tx) -> Row:
    """The row with its person in charge."""
    row = await parked(tx, command.delivery_id)
    return await change(tx, row, {"assignee": command.assignee}, "")


async def comment_exception(command: Comment, tx: Tx) -> Row:
    """The row as it was; the remark stands in its history."""
    row = await parked(tx, command.delivery_id)
    await audit(tx, command.delivery_id, "comment", "", command.comment)
    return row


async def edit_exception(command: Edit, tx: Tx) -> Edited:
    """The row, still parked, with what it carries from now on.

    NotDone CONFLICT when somebody else has edited it meanwhile.
    """
    row = await parked(tx, command.delivery_id)
    if row["edited_data"] != command.replaces:
        raise NotDone("CONFLICT", "somebody else has edited the item meanwhile")
    for each in command.differences[:AUDITED_FIELDS_MAX]:
        old, new = (MASK, MASK) if each.sensitive else (hidden(each.old_value), hidden(each.new_value))
        await audit(tx, command.delivery_id, f"payload.{each.path}", old, new)
    edited_by = tx.context.actor if command.data is not None else ""
    told = f"{len(command.differences)} fields differ, because: {command.reason}"
    await audit(tx, command.delivery_id, "payload", "", told)
    changes = {"edited_data": command.data, "edited_by": edited_by, **NOTHING_ASKED}
    return Edited(_write(tx, row, changes), command.shown)


def four_eyes(row: Row) -> bool:
    """Whether a second person must approve what is done about it."""
    policy = POLICIES.get(str(row["reason"]))
    return policy is not None and policy.four_eyes


async def ask_for(tx: Tx, row: Row, act: str, reason: str, more: Row) -> Row:
    """The row with the request; an earlier one gives way to it."""
    request = {
        "requested_act": act,
        "request_id": tx.new_id("req"),
        "requested_by": tx.context.actor,
        "requested_reason": reason,
        "request_expire_time": tx.now + APPROVAL_TIME,
    }
    return await change(tx, row, {**request, **more}, reason)


def due_again(row: Row, due_time: datetime, pinned_mapping: str) -> Row:
    """What makes a parked row due."""
    return {
        "state": "IN_DOUBT" if str(row["target"]).startswith("connector:") else "RETRYING",
        "due_time": due_time,
        "attempt": 0,
        "park_time": None,
        "pinned_mapping": pinned_mapping,
        **NOTHING_ASKED,
    }


async def change(tx: Tx, row: Row, changes: Row, said: str) -> Row:
    """The row changed, and audited as far as a person did something to it."""
    told_of = [name for name in changes if name not in NOTHING_ASKED or changes[name]]
    old = ", ".join(f"{name}={row[name]}" for name in told_of)
    new = ", ".join(f"{name}={changes[name]}" for name in told_of)
    told = f"{new}, because: {said}" if said else new
    await audit(tx, int(str(row["delivery_id"])), next(iter(changes)), old, told)
    return _write(tx, row, changes)


def as_left(tx: Tx, delivery_id: int) -> Row | None:
    """The row as earlier acts of this commit leave it; None where there was none."""
    return cast(Row | None, tx.recall(_place(tx, delivery_id)))


async def _replay(tx: Tx, row: Row, pinned_mapping: str, reason: str) -> Row:
    tx.targets.add(str(row["target"]))
    return await change(tx, row, due_again(row, tx.now, pinned_mapping), reason)


async def _discard(tx: Tx, row: Row, reason: str) -> Row:
    tx.targets.add(str(row["target"]))
    changes = {"state": "DISCARDED", "park_time": None, "settle_time": tx.now, **NOTHING_ASKED}
    return await change(tx, row, changes, reason)


async def parked(tx: Tx, delivery_id: int) -> Row:
    """The row as this commit leaves it so far: several operators may act on one item in one commit."""
    row: Row | None = as_left(tx, delivery_id) or await tx.driver.fetchrow(
        PARKED, tx.context.tenant, delivery_id
    )
    if row is None:
        raise Refused("NOT_FOUND")
    if row["state"] != "PARKED":
        raise Refused("STATE_FORBIDS", f"the item is {str(row['state']).lower()} and not parked")
    return row


def _write(tx: Tx, row: Row, changes: Row) -> Row:
    delivery_id = int(str(row["delivery_id"]))
    tx.writes.updates.setdefault(tables.DELIVERY, []).append(
        {"delivery_id": delivery_id, **changes, "was_state": row["state"]}
    )
    changed = {**row, **changes}
    tx.remember(_place(tx, delivery_id), changed)
    return changed


def _place(tx: Tx, delivery_id: int) -> tuple[str, str, str]:
    return "delivery", tx.context.tenant, str(delivery_id)
