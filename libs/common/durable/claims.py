"""The statements by which deliveries are claimed, settled and handed back. Open this file to see who may hold a row.

A row is held by writing a lease id and moving `due_time` to the lease's end. Of one subject and target only the oldest
open delivery can be claimed, so events of one record arrive in order; a parked one holds its followers back.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from libs.common.durable import tables
from libs.common.durable.model import Delivery, Evidence, State, StoredEvent, Tried
from libs.common.durable.rows import Row, insert_rows
from libs.common.durable.seal import Sealer
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
SELECT d.delivery_id
FROM delivery d JOIN unnest($1::bigint[], $2::text[]) AS held (delivery_id, lease_id) USING (delivery_id, lease_id)
ORDER BY d.delivery_id
FOR UPDATE OF d
"""

SETTLE = """
UPDATE delivery d
SET state = s.state, due_time = s.due_time, attempt = s.attempt, reason = s.reason, failure_class = s.failure_class,
    owner = s.owner, detail = s.detail, pointer = s.pointer, lease_id = NULL,
    park_time = CASE WHEN s.state = 'PARKED' THEN $10::timestamptz ELSE NULL END,
    settle_time = CASE WHEN s.state = 'DELIVERED' THEN $10::timestamptz ELSE NULL END
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[]) AS s (delivery_id, state, due_time, attempt, reason, failure_class, owner, detail, pointer)
WHERE d.delivery_id = s.delivery_id
"""

HAND_BACK = """
UPDATE delivery SET lease_id = NULL, due_time = $3, attempt = attempt - 1
WHERE delivery_id = ANY($1::bigint[]) AND lease_id = $2
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


async def still_held(driver: asyncpg.Connection, deliveries: Sequence[Delivery]) -> set[int]:
    """Ids of the deliveries whose lease is still ours, locked until the commit."""
    rows = await driver.fetch(
        STILL_HELD, [d.delivery_id for d in deliveries], [d.lease_id for d in deliveries]
    )
    return {row["delivery_id"] for row in rows}


async def settle(driver: asyncpg.Connection, verdicts: Mapping[int, Verdict], now: datetime) -> None:
    """Writes what became of each delivery and ends its lease."""
    ordered = sorted(verdicts.items())
    values = [verdict for _, verdict in ordered]
    await driver.execute(
        SETTLE,
        [delivery_id for delivery_id, _ in ordered],
        [v.state.value for v in values],
        [v.due_time for v in values],
        [v.attempt for v in values],
        [v.reason for v in values],
        [v.failure_class for v in values],
        [v.owner for v in values],
        [_storable(v.detail) for v in values],
        [_storable(v.pointer) for v in values],
        now,
    )


async def hand_back(
    driver: asyncpg.Connection, delivery_ids: Sequence[int], lease_id: str, now: datetime
) -> None:
    """Gives claimed deliveries back that were not tried."""
    await driver.execute(HAND_BACK, list(delivery_ids), lease_id, now)


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


async def write_attempts(driver: asyncpg.Connection, rows: Sequence[Row]) -> None:
    """Adds the rows of a settled batch."""
    await insert_rows(driver, tables.ATTEMPT, rows)
