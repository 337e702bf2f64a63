"""Whether taking in and claiming stay as cheap when many orders are stored. Open this file to see what is grown.

Stored orders are copies of one accepted order with all its rows, under other ids and with their deliveries done: what a
service holds after some time. What is measured is accepted on top of them. A later state cannot be interleaved with an
earlier one, hence CPU per order and the least of several short runs.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import perf_counter

import asyncpg

from benchmarks.accept import PRODUCT, Accepting
from benchmarks.sample import Found, Say
from libs.common.clock import SystemClock
from libs.common.durable.claims import claim
from libs.common.ids import new_id

RUNS = 3
CLAIMS = 15
CLAIMED = 64
FILLED_AT_ONCE = 50_000
TARGET = "stage:validate"
PROCESSES = ("gateway", "order")
COPIED = ("idempotency", "orders", "event", "delivery", "audit")
FRESH = {
    "key": "'copy-' || n",
    "record_id": "'ord_0' || lpad(n::text, 25, '0')",
    "subject": "'orders/ord_0' || lpad(n::text, 25, '0')",
    "event_id": "'evt_0' || lpad(n::text, 25, '0')",
    "state": "'DELIVERED'",
    "settle_time": "now()",
}
"""What a copy has of its own."""


async def measure(ways: Accepting, sizes: Sequence[int], seconds: float, say: Say) -> Found:
    """Cost with many orders stored over cost with few; memory of the processes as they grow."""
    driver = await ways.ground.connect()
    await driver.execute("SET search_path TO ordermesh_order; SET statement_timeout TO '300s'")
    told: dict[str, dict[str, float]] = {}
    for stored in sizes:
        say(f"growing to {stored:,} stored orders")
        await _fill(driver, stored)
        # In turn, so that a machine that is slow for some seconds does not see all of one.
        costs = [
            ((await ways.accept(PRODUCT, seconds)).cpu_total_us, await _claim_cost(driver))
            for _ in range(RUNS)
        ]
        told[f"{stored:,} orders"] = {
            "accept, CPU µs per order": min(accepted for accepted, _ in costs),
            "claim of 64, ms": 1000 * min(claimed for _, claimed in costs),
            "gateway and order service, MiB": ways.ground.memory(*PROCESSES),
        }
    few, *_, many = told.values()
    accept, claimed, memory = few
    return Found(
        ratios={
            "growth_accept": many[accept] / few[accept],
            "growth_claim": many[claimed] / few[claimed],
            "memory_growth": many[memory] / few[memory],
        },
        figures={"Growth": told},
        notes=[f"Growth: from {sizes[0]:,} to {sizes[-1]:,} stored orders."],
    )


async def _claim_cost(driver: asyncpg.Connection) -> float:
    """Seconds of a claim of many deliveries, which is then taken back."""
    await driver.execute("VACUUM delivery")
    took = []
    for _ in range(CLAIMS):
        transaction = driver.transaction()
        await transaction.start()
        began = perf_counter()
        claimed = await claim(
            driver, {TARGET: CLAIMED}, SystemClock().now(), new_id("lse"), timedelta(minutes=1)
        )
        took.append(perf_counter() - began)
        await transaction.rollback()
        assert len(claimed) == CLAIMED, f"only {len(claimed)} deliveries were due"
    return min(took)


async def _fill(driver: asyncpg.Connection, stored: int) -> None:
    """Copies an accepted order until so many are stored."""
    there = await driver.fetchval("SELECT count(*) FROM orders")
    copies = await driver.fetchval("SELECT count(*) FROM orders WHERE record_id LIKE 'ord_00000%'")
    record_id = await driver.fetchval("SELECT max(record_id) FROM orders")
    key = await driver.fetchval(
        "SELECT key FROM idempotency WHERE position($1 in answer) > 0 AND key NOT LIKE 'copy-%'",
        record_id.encode(),
    )
    statements = [await _copying(driver, table, record_id, key) for table in COPIED]
    last = copies + stored - there
    for first in range(copies + 1, last + 1, FILLED_AT_ONCE):
        for statement in statements:
            await driver.execute(statement, first, min(first + FILLED_AT_ONCE - 1, last))
    await driver.execute("VACUUM ANALYZE")
    await driver.execute("CHECKPOINT")


async def _copying(driver: asyncpg.Connection, table: str, record_id: str, key: str) -> str:
    columns = await _columns(driver, table)
    values = [FRESH[name] if name in FRESH and not _own_state(table, name) else name for name in columns]
    by = {
        "idempotency": f"key = '{key}'",
        "orders": f"record_id = '{record_id}'",
    }.get(table, f"subject = 'orders/{record_id}'")
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM (SELECT * FROM {table} WHERE {by}) AS template, generate_series($1::int, $2::int) AS n"
    )


def _own_state(table: str, column: str) -> bool:
    """An order keeps its state; its deliveries are done."""
    return column == "state" and table != "delivery"


async def _columns(driver: asyncpg.Connection, table: str) -> Sequence[str]:
    rows = await driver.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ordermesh_order'"
        " AND table_name = $1 AND is_identity = 'NO' ORDER BY ordinal_position",
        table,
    )
    return [row["column_name"] for row in rows]
