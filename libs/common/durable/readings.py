"""What a service's process tells of its tables when somebody asks for metrics. Open this file to add a depth or a lag.

Each reading is one statement over an index that holds only what is open, and stops at ROWS_MAX: asking costs no more
with a million orders behind it. A reading that fails tells nothing rather than what was true before.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from libs.common.clock import Clock
from libs.common.durable.core import App
from libs.common.durable.ingest import Ingest
from libs.common.durable.model import State
from libs.common.durable.relay import Relay
from libs.common.durable.store import Store
from libs.common.metrics import (
    CONNECTIONS,
    CONNECTIONS_MAX,
    DELIVERIES,
    DELIVERY_AGE,
    DELIVERY_OVERDUE,
    INGEST_FAILING,
    INGEST_LAG,
    LANE_OPEN,
    LANE_PAUSED,
    LANE_UNDER_WAY,
)
from libs.common.metrics.serving import Reading

ROWS_MAX = 100_000
OPEN = (State.PENDING, State.RETRYING, State.IN_DOUBT, State.PARKED)
DEPTHS = """
SELECT target, state, count(*) AS items, min(create_time) AS oldest, min(due_time) AS due FROM (
    SELECT target, state, create_time, coalesce(lease_end, due_time) AS due_time FROM delivery
    WHERE state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED') LIMIT $1
) open GROUP BY target, state
"""
LAGS = """
SELECT asked.system, asked.kind, min(coalesce(c.caught_up_time, $4)) AS since,
    count(*) FILTER (WHERE c.reason <> '') AS failing
FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (tenant, system, kind)
LEFT JOIN cursor c USING (tenant, system, kind) GROUP BY asked.system, asked.kind
"""


def readings_of(app: App[Any], parts: Collection[str]) -> Sequence[Reading]:
    """Those of a process that runs these parts."""

    async def connections() -> None:
        tell_connections(app.unit.store)

    found: list[Reading] = [connections]
    if "relay" in parts:
        found.append(Depths(app.relay, app.unit.store, app.unit.clock).read)
    if "ingest" in parts:
        found.append(Lags(app.ingest, app.unit.store, app.unit.clock).read)
    return found


def tell_connections(store: Store) -> None:
    pool = store.engine.pool
    assert isinstance(pool, sa.pool.QueuePool)
    CONNECTIONS.at("used").set(pool.checkedout())
    CONNECTIONS.at("idle").set(pool.checkedin())
    CONNECTIONS_MAX.at().set(pool.size())


class Depths:
    """The relay's lanes, and what waits for each target."""

    def __init__(self, relay: Relay[Any], store: Store, clock: Clock) -> None:
        self._relay = relay
        self._store = store
        self._clock = clock

    async def read(self) -> None:
        now = self._clock.now()
        for target, lane in self._relay.lanes.items():
            LANE_UNDER_WAY.at(target).set(lane.under_way)
            LANE_OPEN.at(target).set(lane.is_open(now))
            LANE_PAUSED.at(target).set(lane.pause_left(now).total_seconds())
        DELIVERIES.clear()
        DELIVERY_AGE.clear()
        DELIVERY_OVERDUE.clear()
        rows = await self._store.fetch(DEPTHS, ROWS_MAX)
        for target in self._relay.lanes:
            for state in OPEN:
                DELIVERIES.at(target, state.value).set(0)
                DELIVERY_AGE.at(target, state.value).set(0)
        overdue = dict.fromkeys(self._relay.lanes, 0.0)
        for row in rows:
            DELIVERIES.at(row["target"], row["state"]).set(row["items"])
            DELIVERY_AGE.at(row["target"], row["state"]).set(_seconds(row["oldest"], now))
            if row["state"] != State.PARKED:
                late = _seconds(row["due"], now)
                overdue[row["target"]] = max(late, overdue.get(row["target"], 0.0))
        for target, seconds in overdue.items():
            DELIVERY_OVERDUE.at(target).set(seconds)


class Lags:
    """How far the feeds are behind. What never caught up is behind since this process began."""

    def __init__(self, ingest: Ingest[Any], store: Store, clock: Clock) -> None:
        self._ingest = ingest
        self._store = store
        self._clock = clock
        self._began = clock.now()

    async def read(self) -> None:
        INGEST_LAG.clear()
        INGEST_FAILING.clear()
        feeds = list(self._ingest.bells)
        rows = await self._store.fetch(
            LAGS,
            [feed.tenant for feed in feeds],
            [feed.system for feed in feeds],
            [feed.kind for feed in feeds],
            self._began,
        )
        now = self._clock.now()
        for row in rows:
            kind = row["kind"].removeprefix("KIND_").lower()
            INGEST_LAG.at(row["system"], kind).set(_seconds(row["since"], now))
            INGEST_FAILING.at(row["system"], kind).set(row["failing"])


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
