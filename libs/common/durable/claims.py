"""The statements by which deliveries are claimed, settled and handed back. Open this file to see who may hold a row.

A row is held by writing a lease id and moving `due_time` to the lease's end. Of one subject and target only the oldest
open delivery can be claimed, so events of one record arrive in order; a parked one holds its followers back.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import asyncpg

from libs.common.durable.model import Delivery, Evidence, State, StoredEvent, Tried
from libs.common.durable.rows import Errand, Row, lookup_statement
from libs.common.durable.seal import Sealer
from libs.common.durable.session import Session
from libs.common.durable.tx.kind import COLUMNS
from libs.common.personal import hidden

EVENT_COLUMNS = (
    "event_id", "tenant", "type", "subject", "sequence", "data", "source_system", "actor", "correlation_id",
    "causation_id", "traceparent", "contract_version", "occurred_time",
)  # fmt: skip

STANDS_FOR = {
    "data": "coalesce(d.edited_data, e.data) AS data",
    "actor": "CASE d.edited_by WHEN '' THEN e.actor ELSE d.edited_by END AS actor",
}
"""Where an operator has edited what a delivery carries, that stands for what the event says."""

CLAIM = f"""
WITH due AS (
    SELECT picked.delivery_id
    FROM unnest($1::text[], $2::integer[]) AS lane (target, free)
    CROSS JOIN LATERAL (
        SELECT d.delivery_id
        FROM delivery d
        WHERE d.target = lane.target
          AND d.state IN ('PENDING', 'RETRYING', 'IN_DOUBT')
          AND d.due_time <= $3
          AND d.sequence = (
              SELECT p.sequence FROM delivery p
              WHERE p.tenant = d.tenant AND p.target = d.target AND p.subject = d.subject
                AND p.state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED')
              ORDER BY p.sequence LIMIT 1)
        ORDER BY d.due_time, d.delivery_id
        LIMIT lane.free
        FOR UPDATE OF d SKIP LOCKED
    ) AS picked
)
UPDATE delivery d
SET attempt = d.attempt + 1,
    state = CASE WHEN d.lease_id IS NOT NULL AND d.target LIKE 'connector:%' THEN 'IN_DOUBT' ELSE d.state END,
    lease_id = $4,
    due_time = $5
FROM due, event e
WHERE d.delivery_id = due.delivery_id AND e.event_id = d.event_id
RETURNING d.delivery_id, d.target, d.state, d.attempt, d.lease_id, d.pinned_mapping,
          {", ".join(STANDS_FOR.get(column, f"e.{column}") for column in EVENT_COLUMNS)}
"""  # noqa: S608

STILL_HELD = """
SELECT d.delivery_id, d.lease_id FROM delivery d
WHERE d.delivery_id = ANY($1::bigint[]) AND d.lease_id IS NOT NULL
ORDER BY d.delivery_id
FOR UPDATE OF d
"""

FOUND = """
RETURNING d.delivery_id AS number, '' AS name, d.target AS target, EXISTS (
    SELECT FROM delivery f
    WHERE f.tenant = d.tenant AND f.target = d.target AND f.subject = d.subject AND f.sequence > d.sequence
      AND f.state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED')
) AS found
"""

DELIVERED = f"""
UPDATE delivery d
SET state = 'DELIVERED', due_time = {{1}}::timestamptz, settle_time = {{1}}::timestamptz, park_time = NULL,
    lease_id = NULL, reason = '', failure_class = '', owner = '', detail = '', pointer = ''
WHERE d.delivery_id = ANY({{0}}::bigint[])
{FOUND}
"""  # noqa: S608

FAILED = f"""
UPDATE delivery d
SET state = s.state, due_time = s.due_time, attempt = s.attempt, reason = s.reason, failure_class = s.failure_class,
    owner = s.owner, detail = s.detail, pointer = s.pointer, lease_id = NULL, settle_time = NULL,
    park_time = CASE WHEN s.state = 'PARKED' THEN {{9}}::timestamptz ELSE NULL END
FROM unnest({{0}}::bigint[], {{1}}::text[], {{2}}::timestamptz[], {{3}}::integer[], {{4}}::text[], {{5}}::text[],
            {{6}}::text[], {{7}}::text[], {{8}}::text[])
    AS s (delivery_id, state, due_time, attempt, reason, failure_class, owner, detail, pointer)
WHERE d.delivery_id = s.delivery_id
{FOUND}
"""  # noqa: S608

HOLD = """
INSERT INTO delivery (tenant, event_id, subject, sequence, target, state, create_time, attempt, due_time, lease_id)
SELECT n.tenant, n.event_id, n.subject, n.sequence, n.target, 'PENDING', {5}::timestamptz, line.is_free::integer,
    CASE WHEN line.is_free THEN {7}::timestamptz ELSE {5}::timestamptz END, CASE WHEN line.is_free THEN {6}::text END
FROM unnest({0}::text[], {1}::text[], {2}::text[], {3}::bigint[], {4}::text[])
    AS n (tenant, event_id, subject, sequence, target)
CROSS JOIN LATERAL (
    SELECT NOT EXISTS (
        SELECT FROM delivery p
        WHERE p.tenant = n.tenant AND p.target = n.target AND p.subject = n.subject
          AND p.state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED') AND p.delivery_id <> ALL({8}::bigint[])
    ) AS is_free
) AS line
RETURNING delivery_id AS number, event_id AS name, target, lease_id IS NOT NULL AS found
"""
"""Inserts deliveries that are held from the start, as a claim would have left them, where nothing of their line is
open. Finds those that are."""

HAND_BACK = """
UPDATE delivery SET lease_id = NULL, due_time = $3, attempt = attempt - 1
WHERE delivery_id = ANY($1::bigint[]) AND lease_id = ANY($2::text[])
"""

SET_BACK = """
UPDATE delivery SET due_time = $3
WHERE delivery_id IN (
    SELECT d.delivery_id FROM delivery d
    WHERE d.target = ANY($1::text[]) AND d.state = 'PENDING' AND d.due_time <= $2 AND d.lease_id IS NULL
      AND EXISTS (
          SELECT FROM delivery p
          WHERE p.tenant = d.tenant AND p.target = d.target AND p.subject = d.subject
            AND p.sequence < d.sequence AND p.state = 'PARKED')
    LIMIT $4
    FOR UPDATE OF d SKIP LOCKED)
"""

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
    return StoredEvent(**{column: row[column] for column in EVENT_COLUMNS})  # type: ignore[arg-type]


async def claim(
    driver: asyncpg.Connection, free: Mapping[str, int], now: datetime, lease_id: str, lease: timedelta
) -> list[Delivery]:
    """Takes up to `free[target]` due deliveries of each target under a lease; their attempt counts from here."""
    wanted = {target: count for target, count in free.items() if count > 0}
    if not wanted:
        return []
    rows = await driver.fetch(CLAIM, list(wanted), list(wanted.values()), now, lease_id, now + lease)
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
        return {(row["delivery_id"], row["lease_id"]) for row in await driver.fetch(STILL_HELD, ids)}, []
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
        f"WITH held AS ({STILL_HELD}), records AS ({records})"  # noqa: S608
        f" SELECT delivery_id, lease_id, {nothing} FROM held UNION ALL SELECT NULL, NULL, * FROM records"
    )


def settling(verdicts: Mapping[int, Verdict], now: datetime) -> list[Errand]:
    """Write what became of each delivery and end its lease; find those that others have waited behind."""
    delivered = [each for each, verdict in verdicts.items() if verdict.state is State.DELIVERED]
    failed = {each: verdict for each, verdict in verdicts.items() if verdict.state is not State.DELIVERED}
    errands = [Errand("delivered", DELIVERED, [delivered, now])]
    if failed:
        errands.append(Errand("failed", FAILED, _columns_of(failed, now)))
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
    return Errand("held", HOLD, [*columns, now, lease.lease_id, lease.end, closed])


async def hand_back(driver: asyncpg.Connection, deliveries: Sequence[Delivery], now: datetime) -> None:
    """Gives deliveries back that were not tried."""
    ids, leases = [d.delivery_id for d in deliveries], [d.lease_id for d in deliveries]
    await driver.execute(HAND_BACK, ids, leases, now)


async def set_back(driver: asyncpg.Connection, targets: Sequence[str], now: datetime) -> bool:
    """Puts off what waits behind a parked delivery, so that no claim looks through it again and again.

    Whoever unparks the delivery makes its followers due. False when there may be more to put off.
    """
    status: str = await driver.execute(SET_BACK, list(targets), now, now + SET_BACK_SPAN, SET_BACK_MAX)
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
