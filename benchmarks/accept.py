"""Taking orders in: ordermesh, its limits and its peers in turn. Open this file to add a way.

Nothing but the accepting is measured: relays, workers and connectors do not run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Self

from benchmarks import orders, pgbench
from benchmarks.cast import Door
from benchmarks.ground import Child, Ground
from benchmarks.load import Run
from benchmarks.sample import Found, Measure, Round, Sample, Say, Unexpected, cpu_ratio, rate_ratio, rounds
from libs.common.ids import new_id

CONNECTIONS = 64
WARM_ORDERS = 40
PRODUCT, NULL_STORE, TYPICAL = "ordermesh", "ordermesh, null store", "typical stack"
UNTRACED, TRACED = "ordermesh, no tracing", "ordermesh, all traced"
DBOS, PROCRASTINATE = "DBOS", "procrastinate"
PGBENCH, GROUP, ORM = "pgbench, five statements", "Unit.run_once, 64 waiting", "ORM, one transaction each"
TABLE = "accept"
DOORS: Mapping[str, Door] = {
    PRODUCT: Door("gateway", ("gateway", "order", "postgres")),
    UNTRACED: Door("untraced-gateway", ("untraced-gateway", "untraced-order", "postgres")),
    TRACED: Door("traced-gateway", ("traced-gateway", "traced-order", "postgres")),
    NULL_STORE: Door("null-gateway", ("null-gateway", "null-order", "postgres")),
    TYPICAL: Door("peers", ("peers", "postgres"), "/typical/orders"),
    DBOS: Door("peers", ("peers", "postgres"), "/dbos/orders"),
    PROCRASTINATE: Door("peers", ("peers", "postgres"), "/procrastinate/orders"),
}


class Accepting:
    """The ways to take orders in. `open` it on a ground whose processes run."""

    def __init__(self, ground: Ground, load: Child, doors: Sequence[str]) -> None:
        self.ground = ground
        self._load = load
        self._doors = doors
        self._token = ground.token()
        self._commits: Child | None = None
        self._script: Path | None = None
        self.pgbench_rows: Sequence[str] = ()
        self.accepted: dict[str, int] = {}
        """How many orders each has said to have stored."""

    @classmethod
    async def open(cls, ground: Ground, bodies: Path, doors: Sequence[str]) -> Self:
        """Tells the order service of customers and products and warms the doors up."""
        load = await ground.lasting_child("benchmarks.load", str(bodies))
        await ground.tell(orders.reference_events(orders.goods()))
        ways = cls(ground, load, doors)
        for name in doors:
            await ways.accept(name, 5.0, orders_max=WARM_ORDERS)
        return ways

    async def with_pgbench(self, folder: Path) -> None:
        script, self.pgbench_rows = await pgbench.make_script(await self.ground.connect())
        self._script = folder / "pgbench.sql"
        self._script.write_text(script)

    async def with_commits(self) -> None:
        topology = {"ORDERMESH_TOPOLOGY_FILE": str(self.ground.data.root / "order.toml")}
        self._commits = await self.ground.lasting_child("benchmarks.commits", own=topology)
        await self._commits.line()

    def all(self) -> Mapping[str, Measure]:
        ways: dict[str, Measure] = {name: self._way(name) for name in self._doors}
        if self._script:
            ways[PGBENCH] = self.insert
        if self._commits:
            ways |= {name: self._commit_way(name) for name in (GROUP, ORM)}
        return ways

    def _way(self, name: str) -> Measure:
        return lambda seconds: self.accept(name, seconds)

    def _commit_way(self, name: str) -> Measure:
        return lambda seconds: self.commit(name, seconds)

    async def accept(
        self, name: str, seconds: float, rate: float = 0.0, orders_max: int = 1_000_000
    ) -> Sample:
        """Over HTTP: as many as it takes with all connections busy, or `rate` per second. Raises Unexpected."""
        door = DOORS[name]
        connections = 4 * CONNECTIONS if rate else CONNECTIONS
        port = self.ground.ports[door.process]
        run = Run(port, self._token, new_id("run"), seconds, connections, rate, orders_max, door.path)
        before = self.ground.cpu(*door.processes)
        outcome = await self._load.ask(json.dumps(asdict(run)))
        after = self.ground.cpu(*door.processes)
        count = accepted_by(name, outcome)
        self.accepted[name] = self.accepted.get(name, 0) + count
        return Sample(
            count,
            count / outcome["seconds"],
            {process: 1e6 * (after[process] - before[process]) / count for process in door.processes},
            outcome["p50_ms"],
            outcome["p99_ms"],
        )

    async def insert(self, seconds: float) -> Sample:
        """pgbench, without HTTP, tokens or validation."""
        assert self._script is not None
        before = self.ground.cpu("postgres")["postgres"]
        inserted = await pgbench.run(self.ground, self._script, seconds)
        used = self.ground.cpu("postgres")["postgres"] - before
        return Sample(inserted.orders, inserted.rate, {"postgres": 1e6 * used / inserted.orders})

    async def commit(self, name: str, seconds: float) -> Sample:
        """The commit alone, in one process."""
        assert self._commits is not None
        before = self.ground.cpu("postgres")["postgres"]
        outcome = await self._commits.ask(f"{'group' if name == GROUP else 'orm'} {seconds}")
        used = self.ground.cpu("postgres")["postgres"] - before
        count = int(outcome["orders"])
        self.accepted[name] = self.accepted.get(name, 0) + count
        cpu = {"client": outcome["cpu_us"], "postgres": 1e6 * used / count}
        return Sample(count, count / outcome["seconds"], cpu)

    async def check(self) -> None:
        """Every order that was acknowledged is a row, and no other is. Raises Unexpected."""
        driver = await self.ground.connect()
        for table, names in (
            ("ordermesh_order.orders", (PRODUCT, UNTRACED, TRACED, GROUP)),
            ("public.typical_order", (TYPICAL, DBOS, PROCRASTINATE, ORM)),
        ):
            if await driver.fetchval("SELECT to_regclass($1)", table) is None:
                continue
            stored = await driver.fetchval(f"SELECT count(*) FROM {table}")
            said = sum(self.accepted.get(name, 0) for name in names)
            if stored != said:
                raise Unexpected(f"{said} orders were acknowledged, {table} has {stored}")


def accepted_by(name: str, outcome: Mapping[str, float]) -> int:
    """How many orders a load got accepted. Raises Unexpected for any other answer."""
    if outcome["others"] or not outcome["accepted"]:
        raise Unexpected(f"{name}: answers other than 202: {outcome['others']}")
    return int(outcome["accepted"])


async def measure(ways: Accepting, count: int, seconds: float, until: float, say: Say) -> Found:
    """Rounds of all ways, and what they come to."""
    measured = await rounds(ways.all(), count, seconds, until, say)
    found = Found(rounds={TABLE: measured})
    found.ratios = {
        "accept_vs_typical": rate_ratio(measured, PRODUCT, TYPICAL),
        "cpu_vs_typical": cpu_ratio(measured, PRODUCT, TYPICAL),
        "accept_vs_dbos": rate_ratio(measured, PRODUCT, DBOS),
        "accept_vs_pgbench": rate_ratio(measured, PRODUCT, PGBENCH),
        "accept_vs_null_store": rate_ratio(measured, PRODUCT, NULL_STORE),
        "tracing_tax_1": cpu_ratio(measured, PRODUCT, UNTRACED),
        "tracing_tax_100": cpu_ratio(measured, TRACED, UNTRACED),
    }
    if PROCRASTINATE in measured[0]:
        found.ratios["accept_vs_procrastinate"] = rate_ratio(measured, PRODUCT, PROCRASTINATE)
    if GROUP in measured[0]:
        found.ratios["group_commit_vs_orm"] = rate_ratio(measured, GROUP, ORM)
    found.notes.append(
        f"Accepting: {len(measured)} rounds of {seconds:g} s for each way, {CONNECTIONS} connections; nobody works on"
        " what is accepted. Tracing at 1 % as by default, sent to a collector that throws it away."
    )
    found.notes.append(f"pgbench writes per order: {', '.join(ways.pgbench_rows)} rows.")
    return found


async def latency(ways: Accepting, measured: Sequence[Round], count: int, seconds: float) -> Found:
    """At half of each one's own maximum, and at ten times the typical stack's half; p99 there over the typical p99, the
    median of rounds in which each has its turn."""
    half = {name: median(each[name].rate for each in measured) / 2 for name in (PRODUCT, TYPICAL)}
    loads = ((TYPICAL, half[TYPICAL]), (PRODUCT, half[PRODUCT]), (PRODUCT, 10 * half[TYPICAL]))
    samples = [[await ways.accept(name, seconds, rate) for name, rate in loads] for _ in range(count)]
    told = {
        f"{name}, {rate:,.0f}/s": {
            "p50 ms": median(sample.p50_ms for sample in of_load),
            "p99 ms": median(sample.p99_ms for sample in of_load),
        }
        for (name, rate), of_load in zip(loads, zip(*samples, strict=True), strict=True)
    }
    return Found(
        ratios={
            "p99_at_ten_times_load": median(
                tenfold.p99_ms / typical.p99_ms for typical, _, tenfold in samples
            )
        },
        figures={"Latency of accepting, open loop, counted from the moment an order was due": told},
    )
