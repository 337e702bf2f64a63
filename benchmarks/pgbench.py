"""pgbench sends what accepting an order writes, one order at a time. Open this file to see the five statements.

The rows are those of one accepted order of middling size, read back from the product's own tables; tables with the same
columns and indexes take them. Only ids differ from order to order, and they rise, as the product's do.
"""

import asyncio
import re
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.ground import Ground
from libs.common.ids import new_id

SCHEMA = "pgbench_order"
CLIENTS = 16
TABLES = ("idempotency", "orders", "event", "delivery", "audit")
BY_DATABASE = frozenset({"position", "delivery_id"})
"""Columns that the database fills."""
SECONDS_OVER = 60.0
PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
RATE = re.compile(r"tps = ([\d.]+)")


@dataclass(frozen=True, slots=True)
class Inserted:
    """What a run came to."""

    orders: int
    rate: float


async def make_script(driver: asyncpg.Connection) -> tuple[str, Sequence[str]]:
    """Makes the tables; the script, and rows per table for the report."""
    await driver.execute(f"CREATE SCHEMA {SCHEMA}")
    for table in TABLES:
        await driver.execute(f"CREATE TABLE {SCHEMA}.{table} (LIKE ordermesh_order.{table} INCLUDING ALL)")
    lines = "jsonb_array_length(record->'lines')"
    template = await driver.fetchrow(
        f"SELECT record_id, correlation_id FROM ordermesh_order.orders ORDER BY abs({lines} - 6), record_id LIMIT 1"
    )
    assert template is not None, "no order has been accepted yet"
    subject = f"orders/{template['record_id']}"
    key = await driver.fetchval(
        "SELECT key FROM ordermesh_order.idempotency WHERE method LIKE '%submit%' AND position($1 in answer) > 0",
        template["record_id"].encode(),
    )
    chosen = {
        "idempotency": ("key", key),
        "orders": ("record_id", template["record_id"]),
        "event": ("subject", subject),
        "delivery": ("subject", subject),
        "audit": ("subject", subject),
    }
    statements, counts = ["\\set n :n + 1", "BEGIN;"], []
    for table, (column, value) in chosen.items():
        statement, count = await _statement(driver, table, column, value)
        statements.append(statement)
        counts.append(f"{table} {count}")
    return "\n".join([*statements, "COMMIT;", ""]), counts


async def _statement(driver: asyncpg.Connection, table: str, column: str, value: str) -> tuple[str, int]:
    types = {
        row["column_name"]: row["data_type"]
        for row in await driver.fetch(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'ordermesh_order' AND table_name = $1 ORDER BY ordinal_position",
            table,
        )
        if row["column_name"] not in BY_DATABASE
    }
    texts = ", ".join(f"quote_nullable({name}::text) AS {name}" for name in types)
    rows = await driver.fetch(f"SELECT {texts} FROM ordermesh_order.{table} WHERE {column} = $1", value)
    assert rows, f"no rows of {table} for {value}"
    fresh = {"record_id": "", "subject": "orders/", "event_id": "evt_", "key": ""}
    values = [", ".join(_value(name, row[name], kind, fresh) for name, kind in types.items()) for row in rows]
    columns = ", ".join(types)
    tuples = ", ".join(f"({each})" for each in values)
    return f"INSERT INTO {SCHEMA}.{table} ({columns}) VALUES {tuples};", len(rows)


def _value(name: str, literal: str, kind: str, fresh: dict[str, str]) -> str:
    """A column's value; the ids are made of run, number and client."""
    if name in fresh:
        return f"'{fresh[name]}' || :run::text || lpad(:n::text, 9, '0') || :client_id::text"
    # A colon begins a variable of pgbench also within quotes.
    escaped = literal.replace(":", "\\x3a") if literal.startswith("E'") else literal
    if ":" not in escaped:
        return f"{escaped}::{kind}"
    inner = escaped[1:-1].replace("\\", "\\\\").replace(":", "\\x3a")
    return f"E'{inner}'::{kind}"


async def run(ground: Ground, script: Path, seconds: float) -> Inserted:
    """Orders inserted by CLIENTS connections. pgbench counts whole seconds."""
    process = await asyncio.create_subprocess_exec(
        *ground.pgbench,
        *("-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", "-T", str(max(1, round(seconds)))),
        *("-D", "n=0", "-D", f"run={int.from_bytes(new_id('run').encode()[-5:])}"),
        *("-f", str(script), "postgres"),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(seconds + SECONDS_OVER):
        output, errors = await process.communicate()
    processed, rate = PROCESSED.search(output.decode()), RATE.search(output.decode())
    if process.returncode or processed is None or rate is None:
        raise SystemExit(f"pgbench ended with {process.returncode}: {errors.decode()[-2000:]}")
    return Inserted(int(processed[1]), float(rate[1]))
