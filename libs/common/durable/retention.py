"""How long history is kept, and the statements that take it out. Open this file to change what may go and when.

    delivery            once delivered or discarded, after `history`
    attempt             with a whole range of time (`ranges.py`), later than its delivery by a range at most; the sealed
                        copies go with it
    event               after `history`, once no delivery of it is left
    audit               after `audit`, oldest first; `audit_anchor` keeps the hash the rest goes on from
    idempotency         when a key's own time is up

Each step looks at the next rows in the order of the primary key and takes no more than that out, so that none holds its
locks for long and none scans a table. What is still under way stays, however old.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

FORGET_KEYS = """
DELETE FROM idempotency i
USING (SELECT tenant, method, key FROM idempotency WHERE expiry_time < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) old
WHERE (i.tenant, i.method, i.key) = (old.tenant, old.method, old.key)
RETURNING 1
"""

FORGET_DELIVERIES = """
WITH next AS (
    SELECT delivery_id, state, create_time, settle_time FROM delivery
    WHERE delivery_id > $1 ORDER BY delivery_id LIMIT $3
), gone AS (
    DELETE FROM delivery
    WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM next)) AND state IN ('DELIVERED', 'DISCARDED')
      AND create_time < $2 AND (settle_time IS NULL OR settle_time < $2)
    RETURNING delivery_id
), tries AS (
    DELETE FROM attempt_rest WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM gone))
)
SELECT (SELECT count(*) FROM gone) AS gone, max(delivery_id) AS last,
       coalesce(bool_and(create_time < $2), false) AND count(*) = $3 AS more
FROM next
"""

FORGET_EVENTS = """
WITH next AS (
    SELECT position, event_id, occurred_time FROM event WHERE position > $1 ORDER BY position LIMIT $3
), gone AS (
    DELETE FROM event e
    WHERE e.position = ANY (ARRAY(SELECT position FROM next)) AND e.occurred_time < $2
      AND NOT EXISTS (SELECT FROM delivery d WHERE d.event_id = e.event_id)
    RETURNING e.position
)
SELECT (SELECT count(*) FROM gone) AS gone, max(position) AS last,
       coalesce(bool_and(occurred_time < $2), false) AND count(*) = $3 AS more
FROM next
"""

FORGET_AUDIT = """
WITH next AS (
    SELECT position, tenant, subject, occurred_time FROM audit WHERE position > $1 ORDER BY position LIMIT $3
), old AS (
    SELECT n.position, n.tenant, n.subject FROM next n
    WHERE n.occurred_time < $2 AND NOT EXISTS (
        SELECT FROM audit a
        WHERE a.tenant = n.tenant AND a.subject = n.subject AND a.position < n.position AND a.occurred_time >= $2)
), gone AS (
    DELETE FROM audit WHERE position = ANY (ARRAY(SELECT position FROM old))
    RETURNING position, tenant, subject, hash
), anchored AS (
    INSERT INTO audit_anchor AS kept (tenant, subject, hash, rows_removed, remove_time)
    SELECT tenant, subject, (array_agg(hash ORDER BY position DESC))[1], count(*), $4 FROM gone GROUP BY tenant, subject
    ON CONFLICT (tenant, subject) DO UPDATE
    SET hash = excluded.hash, rows_removed = kept.rows_removed + excluded.rows_removed,
        remove_time = excluded.remove_time
)
SELECT (SELECT count(*) FROM gone) AS gone, max(position) AS last,
       coalesce(bool_and(occurred_time < $2), false) AND count(*) = $3 AS more
FROM next
"""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long; None keeps it for good."""

    history: timedelta | None = None
    audit: timedelta | None = None

    @classmethod
    def of_days(cls, history: int, audit: int) -> "Retention":
        """0 days keep for good."""
        return cls(
            timedelta(days=history) if history else None,
            timedelta(days=audit) if audit else None,
        )

    def plans(self, now: datetime) -> list["Plan"]:
        """What is to be taken out, in this order: an event goes after its deliveries."""
        found = []
        if self.history is not None:
            before = now - self.history
            found += [Plan("delivery", FORGET_DELIVERIES, (before,)), Plan("event", FORGET_EVENTS, (before,))]
        if self.audit is not None:
            found.append(Plan("audit", FORGET_AUDIT, (now - self.audit, now)))
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """One table's statement; it takes the last key looked at, then `times`, the step between."""

    table: str
    statement: str
    times: tuple[datetime, ...]

    def arguments(self, last: int, step: int) -> tuple[object, ...]:
        """In the statement's order: last key, moment, step, and what else there is."""
        return (last, self.times[0], step, *self.times[1:])
