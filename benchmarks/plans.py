"""How the statements that run all the time find their rows, as the page docs/benchmarks/plans.md. Open this file to add
a statement.

`python -m benchmarks.plans docs/benchmarks/plans.md [ROWS]`; without ROWS a million deliveries.
A database of its own is filled with rows as they lie after some time: almost all deliveries done, some due, some
parked. `tests/integration/durable/test_schema.py` holds on a small scale that the indexes are used.
"""

import asyncio
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from benchmarks.course import folder
from benchmarks.ground import Ground
from libs.common.clock import SystemClock
from libs.common.durable.leases import CLAIM, SET_BACK
from libs.common.durable.migrations import core_statements
from libs.common.durable.operations.queries import DELIVERIES_OF
from libs.common.durable.retention import FORGET_AUDIT, FORGET_DELIVERIES, FORGET_EVENTS, FORGET_KEYS

ROWS = 1_000_000
FILL = """
INSERT INTO event (event_id, tenant, type, subject, sequence, data, source_system, actor, correlation_id, causation_id,
    traceparent, contract_version, occurred_time)
SELECT 'evt_' || n, 'tenant-' || n % 3, 'ordermesh.order.v1.OrderReceived', 'orders/' || n % 200000, n / 200000 + 1,
    decode(repeat('00', 300), 'hex'), 'netsuite', 'bench', 'cor_' || n, '', '', 'v1', now() - interval '1 hour'
FROM generate_series(1, {rows}) AS n;
INSERT INTO delivery (tenant, event_id, target, subject, sequence, state, due_time, create_time)
SELECT tenant, event_id, 'stage:' || position % 5, subject, sequence,
    CASE WHEN position % 20011 = 0 THEN 'PARKED' WHEN position % 997 = 0 THEN 'PENDING' ELSE 'DELIVERED' END,
    now() - interval '1 minute', now() - interval '1 hour' FROM event;
INSERT INTO attempt (delivery_id, number, start_time, took_us, outcome, reason, mapping, verdict, operation,
    request_digest, response_digest, sealed_exchange)
SELECT delivery_id, 1, now(), 0, 'delivered', '', '', '', '', '', '', '' FROM delivery WHERE state = 'DELIVERED';
INSERT INTO audit (tenant, subject, field, old_value, new_value, source_system, actor, rule, correlation_id,
    occurred_time, hash)
SELECT tenant, subject, 'state', '', '', '', '', '', '', occurred_time, decode(repeat('00', 32), 'hex') FROM event;
INSERT INTO idempotency (tenant, method, key, fingerprint, answer, expiry_time)
SELECT tenant, 'submit_order', event_id, '', '', now() + interval '30 days' FROM event
"""


def asked(now: datetime) -> Mapping[str, tuple[str, tuple[object, ...]]]:
    """Statement and arguments, by what is asked."""
    targets = [f"stage:{number}" for number in range(5)]
    long_ago, later = now - timedelta(days=400), now + timedelta(minutes=1)
    return {
        "Claim: 8 due deliveries for each of five targets": (CLAIM, (targets, [8] * 5, now, "lea_1", later)),
        "Put off what waits behind parked deliveries": (SET_BACK, (targets, now, later, 10_000)),
        "What has become of one record": (DELIVERIES_OF, ("tenant-1", "orders/7", 100)),
        "Forget deliveries, one step": (FORGET_DELIVERIES, (0, long_ago, 5000)),
        "Forget events, one step": (FORGET_EVENTS, (0, long_ago, 5000)),
        "Forget audit rows, one step": (FORGET_AUDIT, (0, long_ago, 5000, now)),
        "Forget idempotency keys, one step": (FORGET_KEYS, (now, 5000)),
    }


async def page(rows: int) -> str:
    """The page, measured."""
    async with folder() as place, Ground(place / "data") as ground:
        driver = await ground.connect()
        await driver.execute(";\n".join(core_statements()))
        await driver.execute(FILL.format(rows=rows))
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            await driver.execute(statement)
        parts = [await _plan(driver, title, *asking) for title, asking in asked(SystemClock().now()).items()]
    intro = (
        f"# Plans\n\nHow the statements that run all the time find their rows, with {rows:,} events, deliveries, audit"
        " rows and keys\nstored. Written by `python -m benchmarks.plans docs/benchmarks/plans.md`; each statement ran"
        " once before.\n"
    )
    return "\n".join([intro, *parts])


async def _plan(driver: asyncpg.Connection, title: str, statement: str, arguments: tuple[object, ...]) -> str:
    lines: list[asyncpg.Record] = []
    for _ in range(2):
        transaction = driver.transaction()
        await transaction.start()
        lines = await driver.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY) {statement}", *arguments)
        await transaction.rollback()
    plan = "\n".join(line[0] for line in lines)
    return f"## {title}\n\n```\n{plan}\n```\n"


if __name__ == "__main__":
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else ROWS
    Path(sys.argv[1]).write_text(asyncio.run(page(rows)))
