"""One run: the mesh comes up, faults strike for so many steps, then they stop and everything must come right.

Open this file to follow a run from its seed to its verdict.
"""

import asyncio
import gc
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, cast

import grpc.aio
import structlog
from ordermesh.connector.v1 import connector_service_pb2_grpc
from ordermesh.order.v1 import order_service_pb2_grpc

from connectors.kit.servicer import ConnectorServicer
from libs.common.durable.tables import OPEN_STATES
from libs.common.rpc import sharing
from libs.common.rpc.door import Door
from libs.common.rpc.lanes import BulkLane
from libs.common.testing.history import History, check
from libs.common.testing.ledger import Tables
from libs.common.testing.simulation.channel import opener
from libs.common.testing.simulation.fate import Fate, Fault, Weather
from libs.common.testing.simulation.loop import SimulatedClock, SimulatedLoop, pause
from libs.common.testing.simulation.network import Network, Server
from libs.common.testing.simulation.process import Incarnation, Processes, task_factory
from libs.common.testing.simulation.watch import Watch
from tests.builders import CRM, ERP, crm_customer, erp_customer, erp_product
from tests.simulation.client import Caller
from tests.simulation.ground import Ground, schemas
from tests.simulation.vendors import Crm, Erp, Teller

PROCESSES = {
    "order-1": "order",
    "order-2": "order",
    "customer": "customer",
    "product": "product",
    "invoice": "invoice",
}
"""Process to service: orders are served, relayed and ingested by two at a time."""
STEPS = 2000
QUIET_LOOK_SECONDS = 4.0
CALM_SECONDS_MAX = 900.0
LOOPS_END_SECONDS = 15.0
ROUNDS_TO_END = 3
LOOK, REST_LOOK = timedelta(seconds=0.25), timedelta(seconds=QUIET_LOOK_SECONDS)
WAITING = f"""
SELECT d.subject, d.state, d.target, d.reason FROM {{schema}}.delivery d
WHERE d.state IN ({", ".join(f"'{state}'" for state in OPEN_STATES)}) AND NOT EXISTS (
    SELECT FROM {{schema}}.delivery p WHERE (p.tenant, p.target, p.subject) = (d.tenant, d.target, d.subject)
      AND p.state = 'PARKED' AND p.sequence < d.sequence)
ORDER BY d.delivery_id LIMIT 1
"""
CURSORS = "SELECT system, kind, convert_from(position, 'UTF8') FROM {schema}.cursor ORDER BY system, kind"
DONE = frozenset({"PAID", "CANCELLED", "REJECTED"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one seed."""

    seed: int
    steps: int
    orders: int
    struck: Mapping[Fault, int]
    objections: Sequence[str]
    trace: Sequence[str]
    digest: str
    simulated_seconds: float
    took_seconds: float


def simulate(ground: Ground, seed: int, steps: int = STEPS, weather: Weather | None = None) -> Verdict:
    """One run. The same seed, steps and weather give the same trace."""
    began = time.perf_counter()
    ground.empty()
    with _quietly(), _streams(seed), asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        loop = cast(SimulatedLoop, runner.get_loop())
        loop.set_task_factory(task_factory)
        run = _Run(ground, seed, weather)
        loop.connect = ground.database.connect
        loop.set_exception_handler(run.note_crash)
        history = runner.run(run.live(steps))
        simulated = loop.time()
    fate = run.fate
    if not fate.objections:
        history = asyncio.run(_with_tables(ground, history))
        fate.objections += [str(objection) for objection in check(history)]
        fate.objections += _unfinished(history, run.parked)
    return Verdict(
        seed=seed,
        steps=fate.steps,
        orders=len(run.acknowledged),
        struck=Counter(fate.struck),
        objections=fate.objections,
        trace=fate.trace,
        digest=fate.digest,
        simulated_seconds=simulated,
        took_seconds=time.perf_counter() - began,
    )


@contextmanager
def _streams(seed: int) -> Iterator[None]:
    """By the seed, all calls that may share a stream do, or only what comes while several are under way."""
    usual, sharing.ALONE_MAX = sharing.ALONE_MAX, random.Random(seed).choice((0, sharing.ALONE_MAX))
    try:
        yield
    finally:
        sharing.ALONE_MAX = usual


class _Run:
    """All actors of one run."""

    def __init__(self, ground: Ground, seed: int, weather: Weather | None) -> None:
        self._ground = ground
        self.fate = fate = Fate(seed, weather)
        self._network = Network(fate)
        self._processes = Processes(fate)
        self._watch = Watch(ground.database.control, fate)
        ground.database.begin(fate, self._processes.incarnations)
        ground.database.after_commit = self._watch.look
        clock = SimulatedClock()
        self._erp, self._crm = Erp(ERP, fate, clock), Crm(CRM, fate, clock)
        self._caller: Caller | None = None
        self._over = False
        self.parked: set[str] = set()
        """Subjects that wait for a person, as the ERP wants it."""

    @property
    def acknowledged(self) -> Sequence[str]:
        return list(self._caller.acknowledged) if self._caller else []

    async def live(self, steps: int) -> History:
        """The whole run; what the client and both ledgers say in the end."""
        fate = self.fate
        self._erp.tell(erp_customer("110"))
        self._crm.tell(crm_customer("001"))
        self._erp.tell(erp_product("7"))
        self._start()
        way_in = await self._meet()
        if way_in is None:
            await self._end()
            return History()
        caller = self._caller = Caller(fate, *way_in)
        fate.note("the weather begins")
        fate.calm = False
        last = fate.steps + steps
        people = asyncio.create_task(self._erp.work(fate.stream("people")))
        trade = asyncio.create_task(caller.trade(lambda: fate.steps >= last), context=caller.life.context())
        await self._first(trade, lambda: fate.steps >= last)
        fate.note("the faults stop")
        fate.calm = True
        await self._come_to_rest(trade)
        people.cancel()
        await self._end()
        return History(
            acknowledged=list(caller.acknowledged.values()), erp=self._erp.ledger, crm=self._crm.ledger
        )

    async def _end(self) -> None:
        """Nobody is left half-way: what is torn down later than its loop complains."""
        self._over = self._processes.over = True
        for life in self._processes.now.values():
            life.die()
        for _ in range(ROUNDS_TO_END):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=LOOPS_END_SECONDS)

    def _start(self) -> None:
        for system in (self._erp, self._crm):
            self._processes.start(system.name, partial(self._connect, system))
        for name, service in PROCESSES.items():
            self._processes.start(name, partial(self._serve, service))

    async def _serve(self, service: str, life: Incarnation) -> None:
        """What `python -m services.<name> all` runs, with our server in gRPC's place."""
        app = self._ground.build(service, life, self._network)
        server = self._network.serve(life, service)
        door = self._door(server)
        for register, servicer in app.registrations:
            register(servicer, door)
        parts = (app.relay.run(life.stop), app.ingest.run(life.stop), app.sweep(life.stop))
        loops = [asyncio.create_task(part) for part in parts]
        for loop in loops:
            loop.add_done_callback(lambda task: self._part_ended(life, task))
        await life.stop.wait()
        self._network.leave(life, service)
        await asyncio.wait(loops, timeout=LOOPS_END_SECONDS)
        await app.unit.close()
        await app.close()

    def _part_ended(self, life: Incarnation, task: "asyncio.Task[None]") -> None:
        if life.alive and not self._over and not life.stop.is_set():
            said = "cancelled" if task.cancelled() else repr(task.exception())
            self.fate.object(f"part ended: {life.name}: {said}")

    async def _connect(self, system: Teller, life: Incarnation) -> None:
        server = self._network.serve(life, system.name)
        register: Any = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server
        register(ConnectorServicer(system, lambda tenant: None), self._door(server))
        await life.stop.wait()
        self._network.leave(life, system.name)

    def _door(self, server: Server) -> grpc.aio.Server:
        lane = BulkLane(self._ground.machine.settings.bulk_rpcs_max)
        return cast(grpc.aio.Server, Door(cast(grpc.aio.Server, server), self._ground.verifier, lane))

    async def _meet(self) -> "tuple[Incarnation, order_service_pb2_grpc.OrderServiceAsyncStub, str] | None":
        """Waits until the order service knows customer and product; the caller, its way in, and the customer.

        None when something is broken before the first fault.
        """
        known: list[str] = []
        while len(known) < 2:
            if self.fate.broken.is_set():
                return None
            await pause(1.0)
            rows = self._ground.database.control.query(
                "SELECT name FROM ordermesh_order.reference"
                " WHERE name LIKE 'customer/cus_%' OR name LIKE 'product/%' ORDER BY name"
            )
            known = [name for (name,) in rows]
        life = Incarnation("caller", 1, self.fate.stream("caller"))
        channel = opener(self._network, life)("order", self._ground.machine.settings, "caller")
        return life, order_service_pb2_grpc.OrderServiceStub(channel), known[0].removeprefix("customer/")

    async def _first(self, trade: "asyncio.Task[None]", over: Any) -> None:
        """Until the steps are spent, all is traded, or something must not be."""
        while not over() and not trade.done() and not self.fate.broken.is_set():
            await SimulatedClock().wait(self.fate.broken, LOOK)

    async def _come_to_rest(self, trade: "asyncio.Task[None]") -> None:
        loop = asyncio.get_running_loop()
        limit = loop.time() + CALM_SECONDS_MAX
        while not self.fate.broken.is_set():
            await SimulatedClock().wait(self.fate.broken, REST_LOOK)
            unrest = self._unrest() if trade.done() else "a caller waits"
            if not unrest:
                trade.result()
                return
            if loop.time() > limit:
                self.fate.object(f"not at rest: long after the last fault: {unrest}")

    def _unrest(self) -> str:
        """What is still to be done by a machine, in words; empty when nothing is."""
        control = self._ground.database.control
        for schema in schemas():
            waiting = control.query(WAITING.format(schema=schema))
            if waiting:
                return " ".join(waiting[0])
        undone = [document.number for document in self._erp.documents if not document.is_done]
        if undone:
            return f"the ERP's people have {undone[0]}"
        parked = control.query(
            "SELECT subject, reason FROM ordermesh_order.delivery WHERE state = 'PARKED' ORDER BY delivery_id"
        )
        self.parked = {
            subject.removeprefix("orders/") for subject, reason in parked if reason == "ERP_REFUSED"
        }
        return self._unread()

    def _unread(self) -> str:
        for schema in schemas():
            for system, kind, position in self._ground.database.control.query(CURSORS.format(schema=schema)):
                teller = self._erp if system == ERP else self._crm
                if int(position or 0) < teller.told_changes.get(kind, 0):
                    return f"{schema} has not read all {kind} of {system}"
        return ""

    def note_crash(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of the simulation itself has failed."""
        if "never retrieved" not in context["message"] and not self._over:
            self.fate.object(f"crashed: {context['message']}: {context.get('exception')!r}")


async def _with_tables(ground: Ground, history: History) -> History:
    tables = await Tables(str(ground.postgres.folder)).history(ERP)
    return replace(tables, acknowledged=history.acknowledged, erp=history.erp, crm=history.crm)


def _unfinished(history: History, parked: set[str]) -> Iterator[str]:
    """Every order has one end, and the CRM knows of it."""
    told = {record.key: record.states[-1] for record in history.crm}
    for order in history.orders:
        if order.order_id in parked:
            continue
        if order.state not in DONE:
            yield f"no outcome: {order.order_id}: is {order.state} in the end"
        elif told.get(order.order_id) != order.state:
            yield f"not told: {order.order_id}: is {order.state}, the CRM knows {told.get(order.order_id)}"


@contextmanager
def _quietly() -> Iterator[None]:
    """No logs, and no rubbish collected at moments of its own choosing: it would run what was left half-way."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        structlog.configure(**before)
