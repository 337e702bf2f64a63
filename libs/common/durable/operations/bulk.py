"""Many parked items at once, at a measured pace. Open this file to see why two operators never replay one item twice.

Bulk replays of a tenant take turns: the second waits for the first one's commit, finds only what is still parked, and
its first item is due after the first one's last. So what a target bears is asked for once, whoever asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from libs.common.durable import tables
from libs.common.durable.operations import commands
from libs.common.durable.operations.trail import read_chains
from libs.common.durable.rows import Row
from libs.common.durable.tx import Tx
from libs.common.durable.tx.proposals import PROPOSAL

TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.replay.' || $1, 0))"
LAST_DUE = "SELECT max(last_due_time) FROM replay WHERE tenant = $1"


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
    """How many are due again, when the last one is, and how many are only asked for. No id where none is due."""

    replay_id: str
    count: int
    last_due_time: datetime | None
    awaiting_approval: int


async def replay_exceptions(command: ReplayMany, tx: Tx) -> Replayed:
    """Parked items that nobody has replayed, oldest first, due one after the other."""
    await tx.driver.execute(TAKE_TURNS, tx.context.tenant)
    rows = await _chosen(command, tx)
    await read_chains(tx, [int(str(row["delivery_id"])) for row in rows])
    asked = [row for row in rows if commands.four_eyes(row)]
    for row in asked:
        pin = {"pinned_mapping": command.pinned_mapping}
        await commands.ask_for(tx, row, commands.REPLAY, command.reason, pin)
    due = [row for row in rows if not commands.four_eyes(row)]
    if not due:
        return Replayed("", 0, None, len(asked))
    replay_id, first = tx.new_id("rpl"), await _first_due(command, tx)
    for number, row in enumerate(due):
        due_time = first + timedelta(seconds=number / command.per_second)
        changes = commands.due_again(row, due_time, command.pinned_mapping)
        await commands.change(tx, row, {**changes, "replay_id": replay_id}, command.reason)
        tx.targets.add(str(row["target"]))
    last = first + timedelta(seconds=(len(due) - 1) / command.per_second)
    _keep(command, tx, replay_id, len(due), first, last)
    return Replayed(replay_id, len(due), last, len(asked))


async def _chosen(command: ReplayMany, tx: Tx) -> list[Row]:
    """What this commit has not touched yet; of items that need a second person, those not asked for yet.

    A proposed value waits for a steward's word and not for a repetition.
    """
    touched = cast(frozenset[int], tx.recall(_place("touched", tx)) or frozenset())
    terms = " ".join(f"AND {column} = ${index}" for index, column in enumerate(command.where, 5))
    found = await tx.driver.fetch(
        f"SELECT {tables.LISTED} FROM delivery d"  # noqa: S608
        " WHERE tenant = $1 AND state = 'PARKED' AND delivery_id <> ALL($3::bigint[])"
        f" AND target NOT LIKE '{PROPOSAL}%' AND (request_id = '' OR request_expire_time <= $4) {terms}"
        " ORDER BY delivery_id LIMIT $2 FOR UPDATE SKIP LOCKED",
        tx.context.tenant,
        command.items_max,
        list(touched),
        tx.now,
        *command.where.values(),
    )
    rows: list[Row] = [row for row in found if commands.as_left(tx, row["delivery_id"]) is None]
    tx.remember(_place("touched", tx), touched | {int(str(row["delivery_id"])) for row in rows})
    return rows


async def _first_due(command: ReplayMany, tx: Tx) -> datetime:
    """Now, or once the bulk replay before this one is through."""
    known = tx.recall(_place("replay", tx)) or await tx.driver.fetchval(LAST_DUE, tx.context.tenant)
    last = cast(datetime | None, known)
    if last is None or last < tx.now:
        return tx.now
    return last + timedelta(seconds=1 / command.per_second)


def _keep(command: ReplayMany, tx: Tx, replay_id: str, items: int, first: datetime, last: datetime) -> None:
    tx.remember(_place("replay", tx), last)
    tx.writes.inserts.setdefault(tables.REPLAY, []).append(
        {
            "replay_id": replay_id,
            "tenant": tx.context.tenant,
            "requested_by": tx.context.actor,
            "reason": command.reason,
            "items": items,
            "per_second": command.per_second,
            "first_due_time": first,
            "last_due_time": last,
            "create_time": tx.now,
        }
    )


def _place(what: str, tx: Tx) -> tuple[str, str, str]:
    return what, tx.context.tenant, "bulk replay"
