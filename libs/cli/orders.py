"""`ordermesh orders`: watch them go by, show one, trace the way of one."""

import asyncio
from collections import Counter
from datetime import UTC, timedelta
from typing import Annotated

import typer
from google.protobuf import json_format
from ordermesh.order.v1 import order_pb2
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from libs.cli.api import PAGE_SIZE_MAX, Api
from libs.cli.keys import Bearer
from libs.cli.options import DataOption, TenantOption
from libs.cli.session import ask
from libs.cli.trace import trace_of
from libs.common.clock import SystemClock
from libs.common.money import CURRENCY_DECIMALS, money_from

VIEWER_ROLES = ("support_viewer", "auditor")
WATCH_EVERY = timedelta(seconds=1)
STATE_STYLES = {"PAID": "green", "REJECTED": "red", "CANCELLED": "dim", "ON_HOLD": "yellow"}

OrderIdArgument = Annotated[str, typer.Argument(help="Our id, ord_….")]


def build() -> typer.Typer:
    """The group of subcommands."""
    group = typer.Typer(help="Orders: watch, show, trace.", no_args_is_help=True)
    for command in (watch, show, trace):
        group.command()(command)
    return group


def watch(
    data: DataOption = None,
    tenant: TenantOption = "acme",
    rows: Annotated[int, typer.Option("--rows", min=1, max=200, help="Newest orders shown.")] = 15,
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
) -> None:
    """Shows the newest orders and how many stand in each state, until Ctrl-C."""
    console = Console()

    async def work(api: Api) -> None:
        if once:
            console.print(await _overview(api, rows))
            return
        clock, never = SystemClock(), asyncio.Event()
        with Live(await _overview(api, rows), console=console, auto_refresh=False) as live:
            while True:
                await clock.wait(never, WATCH_EVERY)
                live.update(await _overview(api, rows), refresh=True)

    ask(data, _viewer(tenant), work)


def show(order_id: OrderIdArgument, data: DataOption = None, tenant: TenantOption = "acme") -> None:
    """Prints one order as JSON."""

    async def work(api: Api) -> str:
        return json_format.MessageToJson(await api.get_order(order_id))

    Console().print_json(ask(data, _viewer(tenant), work))


def trace(order_id: OrderIdArgument, data: DataOption = None, tenant: TenantOption = "acme") -> None:
    """Shows the way of one order: every event, hop and attempt, with mapping, verdict and times."""

    async def work(api: Api) -> None:
        order = await api.get_order(order_id)
        lineage = await api.get_lineage(f"orders/{order_id}")
        Console().print(trace_of(order, lineage))

    ask(data, _viewer(tenant), work)


def _viewer(tenant: str) -> Bearer:
    return Bearer(tenant=tenant, roles=VIEWER_ROLES, subject="ordermesh-orders")


async def _overview(api: Api, rows: int) -> Group:
    page = await api.list_orders(size=PAGE_SIZE_MAX)
    counts = Counter(state_name(order) for order in page.orders)
    newest = page.orders[:rows]
    summary = Text("   ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "no orders yet")
    if page.next_page_token:
        summary.append(f"   (of the newest {PAGE_SIZE_MAX})", style="dim")
    return Group(summary, order_table(list(newest)))


def order_table(orders: list[order_pb2.Order]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("order", "accepted", "state", "ERP", "total"):
        table.add_column(title, no_wrap=True, justify="right" if title == "total" else "left")
    table.add_column("stands still")
    for order in orders:
        name = state_name(order)
        table.add_row(
            order.order_id,
            f"{order.create_time.ToDatetime(UTC):%H:%M:%S}",
            Text(name, style=STATE_STYLES.get(name, "")),
            order.erp_number,
            _total(order),
            order.standstill.reason or order.hold.reason,
        )
    return table


def _total(order: order_pb2.Order) -> str:
    total = money_from(order.total)
    return f"{total.rounded().text} {total.currency}" if total.currency in CURRENCY_DECIMALS else ""


def state_name(order: order_pb2.Order) -> str:
    """`RECEIVED`, `POSTED` …"""
    return order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_")
