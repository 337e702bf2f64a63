"""`ordermesh status`: what runs, how much waits, how far reading has come."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from ordermesh.operations.v1 import operations_service_pb2
from rich.console import Console
from rich.table import Table

from libs.cli.api import Api, Problem, Unreachable, connected
from libs.cli.config import Surroundings, surroundings
from libs.cli.instance import DataDir, NotRunning, ProcessRecord, RunRecord, find
from libs.cli.keys import Bearer
from libs.cli.options import DataOption, TenantOption
from libs.common.clock import SystemClock

EXCEPTIONS_SHOWN_MAX = 1000
STATE_STYLES = {"ready": "green", "starting": "yellow", "waiting": "dim", "restarting": "red", "gone": "red"}
NOT_SERVED = (Problem, Unreachable)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One line of the table of processes."""

    name: str
    state: str
    pid: str
    address: str
    restarts: int


def process_rows(records: Iterable[ProcessRecord]) -> list[ProcessRow]:
    """Rows as recorded, except that a process whose pid is gone says so."""
    return [
        ProcessRow(
            record.name,
            "gone" if record.pid and not _exists(record.pid) else record.state,
            str(record.pid or "-"),
            record.address,
            record.restarts,
        )
        for record in records
    ]


def process_table(rows: Sequence[ProcessRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("process", "state", "pid", "listens on"):
        table.add_column(title, justify="right" if title == "pid" else "left", overflow="fold")
    table.add_column("restarts", justify="right")
    for row in rows:
        state = f"[{STATE_STYLES.get(row.state, '')}]{row.state}" if row.state in STATE_STYLES else row.state
        table.add_row(row.name, state, row.pid, row.address, str(row.restarts or ""))
    return table


def queue_table(queues: operations_service_pb2.GetQueuesResponse) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("queue")
    for title in ("waiting", "in doubt", "parked", "oldest"):
        table.add_column(title, justify="right")
    table.add_column("breaker")
    for queue in sorted(queues.queues, key=lambda queue: (queue.service, queue.target)):
        table.add_row(
            f"{queue.service} → {queue.target}",
            str(queue.waiting),
            str(queue.in_doubt),
            str(queue.parked),
            f"{queue.oldest_waiting_seconds} s" if queue.waiting else "",
            "[red]open" if queue.breaker_open else "",
        )
    return table


def ingest_table(queues: operations_service_pb2.GetQueuesResponse, now: datetime) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("reads from")
    table.add_column("caught up", justify="right")
    table.add_column("last failure")
    for lag in sorted(queues.ingest, key=lambda lag: (lag.service, lag.system, lag.kind)):
        seen = lag.HasField("caught_up_time")
        behind = (now - lag.caught_up_time.ToDatetime(UTC)).total_seconds() if seen else 0.0
        kind = lag.kind.removeprefix("KIND_").lower()
        told = f"{behind:.0f} s ago" if seen else "not yet"
        table.add_row(f"{lag.service} ← {lag.system} {kind}", told, lag.reason)
    return table


def metrics_table(record: RunRecord) -> Table:
    """Where each process tells its metrics; over mutual TLS where the gateway speaks HTTPS."""
    table = Table(box=None, pad_edge=False)
    table.add_column("process")
    table.add_column("tells metrics at", overflow="fold")
    scheme = "https" if record.ca_file else "http"
    for process in record.processes:
        if process.metrics:
            table.add_row(process.name, f"{scheme}://{process.metrics}/metrics")
    return table


def status(
    data: DataOption = None,
    tenant: TenantOption = "acme",
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Where each process tells its metrics, and nothing else.")
    ] = False,
) -> None:
    """Shows the processes, the queues and the exceptions of the running mesh."""
    console = Console()
    around = surroundings()
    try:
        where, record = find(data, around)
    except NotRunning as error:
        console.print(str(error), markup=False)
        raise typer.Exit(3) from error
    if metrics:
        console.print(metrics_table(record))
        return
    asyncio.run(_show(console, where, record, around, tenant))


async def _show(
    console: Console, data: DataDir, record: RunRecord, around: Surroundings, tenant: str
) -> None:
    console.print(f"mesh on {data.root}, pid {record.pid}, {record.base_url}", markup=False, highlight=False)
    console.print(process_table(process_rows(record.processes)))
    bearer = Bearer(tenant=tenant, roles=("support_viewer",), subject="ordermesh-status")
    async with connected(data, record, around, bearer) as api:
        ready = await api.is_ready()
        console.print("\nready" if ready else "\nnot ready", style="green" if ready else "red")
        try:
            await _show_queues(console, api)
        except NOT_SERVED as error:
            console.print(f"no word on queues: {error}", style="red", markup=False)
            raise typer.Exit(1) from error
    if not ready:
        raise typer.Exit(1)


async def _show_queues(console: Console, api: Api) -> None:
    queues = await api.get_queues()
    exceptions = await api.list_exceptions(limit=EXCEPTIONS_SHOWN_MAX)
    console.print(queue_table(queues))
    console.print(ingest_table(queues, SystemClock().now()))
    more = " or more" if len(exceptions) == EXCEPTIONS_SHOWN_MAX else ""
    style = "red" if exceptions else "green"
    console.print(f"\nexceptions: {len(exceptions)}{more}", style=style, highlight=False)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
