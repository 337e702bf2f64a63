"""The commit alone: 64 commands waiting for `Unit.run_once`, and one ORM transaction per order. No network but the
database's. Open this file to see what a shared commit is worth.

Takes lines such as `group 2.5` or `orm 2.5` (seconds) on standard input and answers each with one line of JSON.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from time import perf_counter

import uvloop
from google.protobuf import json_format
from ordermesh.order.v1 import order_service_pb2
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks import orders
from benchmarks.peers.orm import IdempotencyRow, LineRow, OrderRow
from libs.common.config import load_settings
from libs.common.context import CallContext, using
from libs.common.durable.idempotency import once
from libs.common.ids import new_id
from services.order import app, commands, wire
from services.order.commands import SubmitOrder
from services.order.config import Settings

WAITING = 64
ORM_CONNECTIONS = 16
Step = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Committed:
    """What one way of committing came to."""

    orders: int
    seconds: float
    cpu_us: float
    """CPU of this process per order; PostgreSQL's is not in it."""


class Ways:
    """Both ways to commit the same orders."""

    def __init__(self, settings: Settings) -> None:
        self._app = app.build(settings)
        url = settings.own_database_url("order")
        self._engine = create_async_engine(url, pool_size=ORM_CONNECTIONS, max_overflow=0)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._requests = [
            json_format.Parse(b'{"order": %s}' % body, order_service_pb2.SubmitOrderRequest())
            for body in orders.bodies(orders.goods())
        ]
        self._commands = [wire.parse_submit_order(request) for request in self._requests]
        self._context = CallContext(
            tenant=orders.TENANT,
            system="salesforce",
            actor="bench",
            roles=frozenset({"integration"}),
            correlation_id=new_id("cor"),
            causation_id="",
            traceparent="",
        )

    async def group(self, number: int) -> None:
        """One command, committed together with those that wait beside it."""
        place = number % len(self._commands)
        request = order_service_pb2.SubmitOrderRequest()
        request.CopyFrom(self._requests[place])
        request.idempotency_key = new_id("key")
        with using(self._context):
            await self._app.unit.run_once(
                commands.submit_order, self._commands[place], wire.render_submitted_order, once(request)
            )

    async def orm(self, number: int) -> None:
        """One order in one transaction of the ORM."""
        async with self._sessions() as session:
            _add(session, self._commands[number % len(self._commands)])
            await session.commit()

    async def close(self) -> None:
        await self._engine.dispose()
        await self._app.unit.close()
        await self._app.close()


def _add(session: AsyncSession, command: SubmitOrder) -> None:
    row = OrderRow(
        id=new_id("ord"),
        customer=command.sold_to.external_id,
        purchase_order=command.purchase_order_number,
        currency=command.currency,
        total=command.total.amount if command.total else 0,
        state="received",
        lines=[
            LineRow(
                number=line.line_number,
                sku=line.sku,
                quantity=line.quantity,
                unit=line.unit_code,
                price=line.unit_price.amount,
                tax_code=line.tax_code,
            )
            for line in command.lines
        ],
    )
    session.add_all([row, IdempotencyRow(key=new_id("key"), fingerprint="0" * 64, order_id=row.id)])


async def _measure(step: Step, at_a_time: int, limit: timedelta) -> Committed:
    used, began = resource.getrusage(resource.RUSAGE_SELF), perf_counter()
    until = began + limit.total_seconds()
    done = 0

    async def work() -> None:
        nonlocal done
        while perf_counter() < until:
            done += 1
            await step(done)

    async with asyncio.TaskGroup() as workers:
        for _ in range(at_a_time):
            workers.create_task(work())
    took, now = perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return Committed(done, took, 1e6 * cpu / done)


async def main() -> None:
    ways = Ways(load_settings(Settings))
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        way, seconds = line.split()
        step, at_a_time = (ways.group, WAITING) if way == "group" else (ways.orm, ORM_CONNECTIONS)
        committed = await _measure(step, at_a_time, timedelta(seconds=float(seconds)))
        print(json.dumps(asdict(committed)), flush=True)
    await ways.close()


if __name__ == "__main__":
    uvloop.run(main())
