"""The statements by which deliveries are claimed, settled and handed back. Open this file to see who may hold a row.

A row is held by writing a lease into it, which no index knows of. Of one subject and target only the oldest
open delivery can be claimed, so events of one record arrive in order; a parked one holds its followers back.

What is said for each commit is planned once (`given_rows`, `probe`).
"""

from libs.common.durable.probes import given_rows, probe

EVENT_COLUMNS = (
    "event_id", "tenant", "type", "subject", "sequence", "data", "source_system", "actor", "correlation_id",
    "causation_id", "traceparent", "contract_version", "occurred_time",
)  # fmt: skip

STANDS_FOR = {
    "data": "coalesce(d.edited_data, e.data) AS data",
    "actor": "CASE d.edited_by WHEN '' THEN e.actor ELSE d.edited_by END AS actor",
}
"""Where an operator has edited what a delivery carries, that stands for what the event says."""

LANES = given_rows("lane", target="$1::text[]", free="$2::integer[]")
SETTLED = given_rows("s", delivery_id="{0}::bigint[]")
VERDICTS = given_rows(
    "s",
    delivery_id="{0}::bigint[]",
    state="{1}::text[]",
    due_time="{2}::timestamptz[]",
    attempt="{3}::integer[]",
    reason="{4}::text[]",
    failure_class="{5}::text[]",
    owner="{6}::text[]",
    detail="{7}::text[]",
    pointer="{8}::text[]",
)
MADE = given_rows(
    "n",
    tenant="{0}::text[]",
    event_id="{1}::text[]",
    subject="{2}::text[]",
    sequence="{3}::bigint[]",
    target="{4}::text[]",
)
PLACE = probe("held", "delivery", "ctid AS place", delivery_id="s.delivery_id")

CLAIM = f"""
WITH due AS (
    SELECT picked.delivery_id
    FROM {LANES}
    CROSS JOIN LATERAL (
        SELECT d.delivery_id
        FROM delivery d
        WHERE d.target = lane.target
          AND d.state IN ('PENDING', 'RETRYING', 'IN_DOUBT')
          AND d.due_time <= $3
          AND (d.lease_end IS NULL OR d.lease_end <= $3)
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
    lease_end = $5
FROM due
CROSS JOIN {probe("held", "delivery", "ctid AS place, event_id", delivery_id="due.delivery_id")}
CROSS JOIN {probe("e", "event", "*", event_id="held.event_id")}
WHERE d.ctid = held.place
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
    lease_id = NULL, lease_end = NULL, reason = '', failure_class = '', owner = '', detail = '', pointer = ''
FROM {SETTLED}
CROSS JOIN {PLACE}
WHERE d.ctid = held.place
{FOUND}
"""  # noqa: S608

FAILED = f"""
UPDATE delivery d
SET state = s.state, due_time = s.due_time, attempt = s.attempt, reason = s.reason, failure_class = s.failure_class,
    owner = s.owner, detail = s.detail, pointer = s.pointer, lease_id = NULL, lease_end = NULL, settle_time = NULL,
    park_time = CASE WHEN s.state = 'PARKED' THEN {{9}}::timestamptz ELSE NULL END
FROM {VERDICTS}
CROSS JOIN {PLACE}
WHERE d.ctid = held.place
{FOUND}
"""  # noqa: S608

HOLD = f"""
INSERT INTO delivery (
    tenant, event_id, subject, sequence, target, state, create_time, attempt, due_time, lease_id, lease_end)
SELECT n.tenant, n.event_id, n.subject, n.sequence, n.target, 'PENDING', {{5}}::timestamptz, line.is_free::integer,
    {{5}}::timestamptz,
    CASE WHEN line.is_free THEN {{6}}::text END,
    CASE WHEN line.is_free THEN {{7}}::timestamptz END
FROM {MADE}
CROSS JOIN LATERAL (
    SELECT (
        SELECT true FROM delivery p
        WHERE p.tenant = n.tenant AND p.target = n.target AND p.subject = n.subject
          AND p.state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED') AND p.delivery_id <> ALL({{8}}::bigint[])
        LIMIT 1
    ) IS NULL AS is_free
) AS line
RETURNING delivery_id AS number, event_id AS name, target, lease_id IS NOT NULL AS found
"""  # noqa: S608
"""Inserts deliveries that are held from the start, as a claim would have left them, where nothing of their line is
open. Finds those that are."""

HAND_BACK = """
UPDATE delivery SET lease_id = NULL, lease_end = NULL, attempt = attempt - 1
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
