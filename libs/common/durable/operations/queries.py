"""Reads over the durable core. Open this file to see what lineage, the exception queue and queue depths are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from libs.common.durable.claims import event_from
from libs.common.durable.model import StoredEvent
from libs.common.durable.operations.trail import audit_subject
from libs.common.durable.store import Store
from libs.common.durable.tables import LISTED
from libs.common.errors import Refused
from libs.common.listing import Page

EVENTS_MAX = 1000
DELIVERIES_MAX = 5000
ATTEMPTS_MAX = 10_000
AUDIT_MAX = 5000
LINKS_MAX = 1000
DELIVERY_DIGITS_MAX = 18
EXCEPTION_FILTER = {
    "state": "state",
    "target": "target",
    "reason": "reason",
    "owner": "owner",
    "subject": "subject",
    "assignee": "assignee",
    "requested_act": "requested_act",
    "requested_by": "requested_by",
}
DELIVERY_COLUMNS = f"{LISTED}, e.type, e.correlation_id"
DELIVERIES_OF = f"""
SELECT {DELIVERY_COLUMNS} FROM event e JOIN delivery d USING (event_id)
WHERE e.tenant = $1 AND e.subject = $2 ORDER BY d.delivery_id LIMIT $3
"""  # noqa: S608
"""Deliveries of a record are found by way of its events: an index of their own would have to follow each claim."""
STANDSTILL = """
SELECT d.delivery_id, d.reason, d.failure_class, d.owner, d.detail FROM event e JOIN delivery d USING (event_id)
WHERE e.tenant = $1 AND e.subject = $2 AND d.state = 'PARKED' ORDER BY d.delivery_id LIMIT 1
"""
Rows = list[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything that is known about one record."""

    events: Rows
    deliveries: Rows
    attempts: Rows
    audit: Rows


class Operations:
    """The questions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def service(self) -> str:
        return self._store.service

    async def lineage(self, tenant: str, subject: str) -> Lineage:
        """Audited are the record itself and what operators did about its deliveries.

        Refused with NOT_FOUND when nothing is known of the subject.
        """
        events = await self._store.fetch(
            "SELECT * FROM event WHERE tenant = $1 AND subject = $2 ORDER BY sequence LIMIT $3",
            tenant,
            subject,
            EVENTS_MAX,
        )
        if not events:
            raise Refused("NOT_FOUND")
        deliveries = await self._store.fetch(DELIVERIES_OF, tenant, subject, DELIVERIES_MAX)
        attempts = await self.attempts([row["delivery_id"] for row in deliveries])
        audit = await self._store.fetch(
            "SELECT * FROM audit WHERE tenant = $1 AND subject = ANY($2::text[]) ORDER BY position LIMIT $3",
            tenant,
            [subject, *(audit_subject(row["delivery_id"]) for row in deliveries)],
            AUDIT_MAX,
        )
        return Lineage(events, deliveries, attempts, audit)

    async def links(self, tenant: str, record_id: str) -> Rows:
        """Outside records that stand for one of ours."""
        return await self._store.fetch(
            "SELECT * FROM link WHERE tenant = $1 AND record_id = $2 ORDER BY system LIMIT $3",
            tenant,
            record_id,
            LINKS_MAX,
        )

    async def history(self, tenant: str, subject: str) -> Rows:
        """Audit rows of one subject, oldest first."""
        return await self._store.fetch(
            "SELECT * FROM audit WHERE tenant = $1 AND subject = $2 ORDER BY position LIMIT $3",
            tenant,
            subject,
            AUDIT_MAX,
        )

    async def attempts(self, delivery_ids: list[int]) -> Rows:
        """Tries of some deliveries, in order of time."""
        return await self._store.fetch(
            "SELECT * FROM attempt WHERE delivery_id = ANY($1::bigint[]) ORDER BY start_time, number LIMIT $2",
            delivery_ids,
            ATTEMPTS_MAX,
        )

    async def exceptions(self, tenant: str, page: Page) -> Rows:
        """One page, oldest first, and one row more when there is a next page."""
        where = {"state": "PARKED", **page.where}
        terms = " ".join(_term(column, index) for index, column in enumerate(where, 4))
        return await self._store.fetch(
            f"SELECT {DELIVERY_COLUMNS} FROM delivery d JOIN event e USING (event_id)"  # noqa: S608
            f" WHERE d.tenant = $1 AND d.delivery_id > $2 {terms} ORDER BY d.delivery_id LIMIT $3",
            tenant,
            _delivery_id(page.after),
            page.size + 1,
            *where.values(),
        )

    async def delivery(self, tenant: str, delivery_id: int) -> asyncpg.Record:
        """Refused with NOT_FOUND, for another tenant's as well."""
        rows = await self._store.fetch(
            f"SELECT {DELIVERY_COLUMNS}, d.edited_data FROM delivery d JOIN event e USING (event_id)"  # noqa: S608
            " WHERE d.tenant = $1 AND d.delivery_id = $2",
            tenant,
            delivery_id,
        )
        if not rows:
            raise Refused("NOT_FOUND")
        return rows[0]

    async def event(self, tenant: str, event_id: str) -> StoredEvent:
        """Refused with NOT_FOUND."""
        rows = await self._store.fetch(
            "SELECT * FROM event WHERE tenant = $1 AND event_id = $2", tenant, event_id
        )
        if not rows:
            raise Refused("NOT_FOUND")
        return event_from(rows[0])

    async def replay(self, tenant: str, replay_id: str) -> tuple[asyncpg.Record, Mapping[str, int]]:
        """A bulk replay, and how many of its items are in each state. Refused with NOT_FOUND."""
        rows = await self._store.fetch(
            "SELECT * FROM replay WHERE tenant = $1 AND replay_id = $2", tenant, replay_id
        )
        if not rows:
            raise Refused("NOT_FOUND")
        counts = await self._store.fetch(
            "SELECT state, count(*) AS items FROM delivery WHERE replay_id = $1 AND tenant = $2 GROUP BY state",
            replay_id,
            tenant,
        )
        return rows[0], {row["state"]: row["items"] for row in counts}

    async def queues(self, tenant: str) -> Rows:
        """Depth of each target, of what is open or parked."""
        return await self._store.fetch(
            "SELECT target, count(*) FILTER (WHERE state IN ('PENDING', 'RETRYING')) AS waiting,"
            " count(*) FILTER (WHERE state = 'IN_DOUBT') AS in_doubt,"
            " count(*) FILTER (WHERE state = 'PARKED') AS parked,"
            " extract(epoch FROM now() - min(create_time) FILTER (WHERE state <> 'PARKED'))::bigint AS oldest"
            " FROM delivery WHERE tenant = $1 AND state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED')"
            " GROUP BY target ORDER BY target",
            tenant,
        )

    async def cursors(self, tenant: str) -> Rows:
        """How far each feed has come."""
        return await self._store.fetch("SELECT * FROM cursor WHERE tenant = $1 ORDER BY system, kind", tenant)


def _delivery_id(after: str) -> int:
    """A token names the last delivery of its page; it is no secret, so anything may stand in a forged one."""
    if not after:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) <= DELIVERY_DIGITS_MAX):
        raise Refused.field("PAGE_TOKEN_INVALID", "page_token", "is not a token of this list")
    return int(after)


async def standstill(store: Store, tenant: str, subject: str) -> Mapping[str, object] | None:
    """The parked delivery that holds a record up, where there is one."""
    rows = await store.fetch(STANDSTILL, tenant, subject)
    return rows[0] if rows else None


def _term(column: str, place: int) -> str:
    """A condition on a delivery's column; see `DELIVERIES_OF` for its subject."""
    if column == "subject":
        return f"AND e.tenant = $1 AND e.subject = ${place}"
    return f"AND d.{column} = ${place}"
