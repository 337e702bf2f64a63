"""Claiming deliveries, settling them and handing them back. Open this file with `leases.py`, the statements."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import asyncpg

from libs.common.durable import leases
from libs.common.durable.model import Delivery, Evidence, State, StoredEvent, Tried
from libs.common.durable.probes import lookup_statement
from libs.common.durable.rows import Errand, Row
from libs.common.durable.seal import Sealer
from libs.common.durable.session import Session
from libs.common.durable.tx.kind import COLUMNS
from libs.common.personal import hidden

DETAIL_MAX = 2000
SET_BACK_SPAN = timedelta(minutes=5)
SET_BACK_MAX = 10_000


Keys = Sequence[tuple[str, str]]  # tenant and id of records
Held = tuple[int, str]
"""A delivery and the lease it is held under."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds deliveries, and until when."""

    lease_id: str
    end: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after a try."""

    state: State
    due_time: datetime
    attempt: int
    reason: str = ""
    failure_class: str = ""
    owner: str = ""
    detail: str = ""
    pointer: str = ""


def event_from(row: Mapping[str, object]) -> StoredEvent:
    """The event of a row that has the event's columns."""
    return StoredEvent(**{column: row[column] for column in leases.EVENT_COLUMNS})  # type: ignore[arg-type]


async def claim(
    driver: asyncpg.Connection, free: Mapping[str, int], now: datetime, lease_id: str, lease: timedelta
) -> list[Delivery]:
    """Takes up to `free[target]` due deliveries of each target under a lease; their attempt counts from here."""
    wanted = {target: count for target, count in free.items() if count > 0}
    if not wanted:
        return []
    rows = await driver.fetch(leases.CLAIM, list(wanted), list(wanted.values()), now, lease_id, now + lease)
    return [
        Delivery(
            delivery_id=row["delivery_id"],
            target=row["target"],
            state=State(row["state"]),
            attempt=row["attempt"],
            lease_id=row["lease_id"],
            pinned_mapping=row["pinned_mapping"],
            event=event_from(row),
            lease_end=now + lease,
        )
        for row in rows
    ]


async def still_held(
    driver: Session, deliveries: Sequence[Delivery], table: str = "", asked: Keys = ()
) -> tuple[set[Held], list[asyncpg.Record]]:
    """Which of them are held and under which lease, locked until the commit; and the rows asked for of a table."""
    ids = [delivery.delivery_id for delivery in deliveries]
    if not asked:
        return {
            (row["delivery_id"], row["lease_id"]) for row in await driver.fetch(leases.STILL_HELD, ids)
        }, []
    tenants, record_ids = zip(*asked, strict=True)
    rows = await driver.fetch(_still_held_and(table), ids, tenants, record_ids)
    return (
        {(row["delivery_id"], row["lease_id"]) for row in rows if row["lease_id"] is not None},
        [row for row in rows if row["lease_id"] is None],
    )


@cache
def _still_held_and(table: str) -> str:
    """Both by one message."""
    records = lookup_statement(table, COLUMNS, ("tenant", "record_id"), first=2)
    nothing = "NULL AS tenant, NULL AS record_id, NULL::bigint AS version, NULL::bytea AS audit_hash, NULL AS record"
    return (
        f"WITH held AS ({leases.STILL_HELD}), records AS ({records})"  # noqa: S608
        f" SELECT delivery_id, lease_id, {nothing} FROM held UNION ALL SELECT NULL, NULL, * FROM records"
    )


def settling(verdicts: Mapping[int, Verdict], now: datetime) -> list[Errand]:
    """Write what became of each delivery and end its lease; find those that others have waited behind."""
    delivered = [each for each, verdict in verdicts.items() if verdict.state is State.DELIVERED]
    failed = {each: verdict for each, verdict in verdicts.items() if verdict.state is not State.DELIVERED}
    errands = [Errand("delivered", leases.DELIVERED, [delivered, now])]
    if failed:
        errands.append(Errand("failed", leases.FAILED, _columns_of(failed, now)))
    return errands


def _columns_of(failed: Mapping[int, Verdict], now: datetime) -> list[object]:
    values = list(failed.values())
    return [
        list(failed),
        [v.state.value for v in values],
        [v.due_time for v in values],
        [v.attempt for v in values],
        [v.reason for v in values],
        [v.failure_class for v in values],
        [v.owner for v in values],
        [_storable(v.detail) for v in values],
        [_storable(v.pointer) for v in values],
        now,
    ]


def holding(rows: Sequence[Row], lease: Lease, now: datetime, closed: Sequence[int]) -> Errand:
    """Inserts new deliveries of different lines under a lease; finds the first of their line.
    closed: deliveries that the same statement settles for good.
    """
    columns = [
        [row[name] for row in rows] for name in ("tenant", "event_id", "subject", "sequence", "target")
    ]
    return Errand("held", leases.HOLD, [*columns, now, lease.lease_id, lease.end, closed])


async def hand_back(driver: asyncpg.Connection, deliveries: Sequence[Delivery]) -> None:
    """Gives deliveries back that were not tried; they are due as they were before."""
    ids, held = [d.delivery_id for d in deliveries], [d.lease_id for d in deliveries]
    await driver.execute(leases.HAND_BACK, ids, held)


async def set_back(driver: asyncpg.Connection, targets: Sequence[str], now: datetime) -> bool:
    """Puts off what waits behind a parked delivery, so that no claim looks through it again and again.

    Whoever unparks the delivery makes its followers due. False when there may be more to put off.
    """
    status: str = await driver.execute(leases.SET_BACK, list(targets), now, now + SET_BACK_SPAN, SET_BACK_MAX)
    return int(status.rsplit(" ", 1)[1]) < SET_BACK_MAX


def attempt_row(tried: Tried, verdict: Verdict, evidence: Evidence, sealer: Sealer) -> Row:
    """The row that tells of one try."""
    outcome = verdict.state.value.lower()
    return {
        "delivery_id": tried.delivery.delivery_id,
        "number": tried.delivery.attempt,
        "start_time": tried.start_time,
        "took_us": tried.took_us,
        "outcome": "found" if evidence.found and verdict.state is State.DELIVERED else outcome,
        "reason": verdict.reason,
        "mapping": _storable(evidence.mapping),
        "verdict": _storable(evidence.verdict),
        "operation": _storable(evidence.operation),
        "request_digest": _digest(evidence.request),
        "response_digest": _digest(evidence.response),
        "sealed_exchange": sealer.seal_exchange(
            tried.delivery.event.tenant, evidence.request, evidence.response
        ),
    }


def _storable(words: str) -> str:
    """An outside system's words may hold what no text column can, and must never keep a delivery from settling; nor
    may they tell what a masked field holds."""
    return hidden(words[:DETAIL_MAX]).replace("\x00", "").encode(errors="replace").decode()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() if content else b""
