"""What is measured: six ways to take an order in, in turn, round after round. Open this file to add one.

Each round measures every way once, each round beginning with another, so that what else the machine does falls on all
of them. A ratio is the median of the ratios of the rounds, never a ratio of medians of different times.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Self

from benchmarks import orders, pgbench
from benchmarks.ground import Child, Ground
from benchmarks.load import Run
from libs.common.ids import new_id

CONNECTIONS = 64
WARM_SECONDS = 0.6
PRODUCT, NULL_STORE, TYPICAL = "ordermesh", "ordermesh, null store", "typical stack"
PGBENCH, GROUP, ORM = "pgbench, five statements", "Unit.run_once, 64 waiting", "ORM, one transaction each"
OVER_HTTP: Mapping[str, tuple[str, tuple[str, ...]]] = {
    PRODUCT: ("gateway", ("gateway", "order", "postgres")),
    NULL_STORE: ("null-gateway", ("null-gateway", "null-order", "postgres")),
    TYPICAL: ("typical", ("typical", "postgres")),
}
"""Where the orders are sent, and whose CPU counts."""


class Unexpected(Exception):
    """An answer that is no acceptance, or an accepted order that is not stored: the figures would be worthless."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One way in one round."""

    orders: int
    rate: float
    """Orders per second."""
    cpu_us: Mapping[str, float]
    """CPU microseconds per order, by process; the load's own are not in it."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def cpu_total_us(self) -> float:
        return sum(self.cpu_us.values())


Measure = Callable[[float], Awaitable[Sample]]


class Ways:
    """The ways to take orders in. `open` it on a ground that has started."""

    def __init__(self, ground: Ground, load: Child, commits: Child, script: Path) -> None:
        self._ground = ground
        self._load = load
        self._commits = commits
        self._script = script
        self._token = ground.token()
        self.pgbench_rows: Sequence[str] = ()
        self.accepted = dict.fromkeys((PRODUCT, NULL_STORE, TYPICAL, GROUP, ORM), 0)
        """How many orders each has said to have stored."""

    @classmethod
    async def open(cls, ground: Ground, folder: Path) -> Self:
        drawn = orders.goods()
        bodies = _write(folder / "bodies", b"\n".join(orders.bodies(drawn)))
        load = await ground.child("benchmarks.load", str(bodies))
        commits = await ground.child("benchmarks.commits")
        await ground.tell(orders.reference_events(drawn))
        await commits.line()
        ways = cls(ground, load, commits, folder / "pgbench.sql")
        for name in OVER_HTTP:
            await ways.accept(name, WARM_SECONDS)
        script, ways.pgbench_rows = await pgbench.make_script(await ground.connect())
        _write(folder / "pgbench.sql", script.encode())
        for name in (GROUP, ORM):
            await ways.commit(name, WARM_SECONDS)
        return ways

    def all(self) -> Mapping[str, Measure]:
        return {
            **{name: lambda seconds, name=name: self.accept(name, seconds) for name in OVER_HTTP},  # type: ignore[misc]
            PGBENCH: self.insert,
            **{name: lambda seconds, name=name: self.commit(name, seconds) for name in (GROUP, ORM)},  # type: ignore[misc]
        }

    async def accept(self, name: str, seconds: float, rate: float = 0.0) -> Sample:
        """Over HTTP: as many as it takes with all connections busy, or `rate` per second. Raises Unexpected."""
        door, processes = OVER_HTTP[name]
        connections = 4 * CONNECTIONS if rate else CONNECTIONS
        run = Run(self._ground.ports[door], self._token, new_id("run"), seconds, connections, rate)
        before = self._ground.cpu(*processes)
        outcome = await self._load.ask(json.dumps(asdict(run)))
        after = self._ground.cpu(*processes)
        if outcome["others"] or not outcome["accepted"]:
            raise Unexpected(f"{name}: answers other than 202: {outcome['others']}")
        count = int(outcome["accepted"])
        self.accepted[name] += count
        return Sample(
            count,
            count / outcome["seconds"],
            {process: 1e6 * (after[process] - before[process]) / count for process in processes},
            outcome["p50_ms"],
            outcome["p99_ms"],
        )

    async def insert(self, seconds: float) -> Sample:
        """pgbench, without HTTP, tokens or validation."""
        before = self._ground.cpu("postgres")["postgres"]
        inserted = await pgbench.run(self._ground, self._script, seconds)
        used = self._ground.cpu("postgres")["postgres"] - before
        return Sample(inserted.orders, inserted.rate, {"postgres": 1e6 * used / inserted.orders})

    async def commit(self, name: str, seconds: float) -> Sample:
        """The commit alone, in one process."""
        before = self._ground.cpu("postgres")["postgres"]
        outcome = await self._commits.ask(f"{'group' if name == GROUP else 'orm'} {seconds}")
        used = self._ground.cpu("postgres")["postgres"] - before
        count = int(outcome["orders"])
        self.accepted[name] += count
        cpu = {"client": outcome["cpu_us"], "postgres": 1e6 * used / count}
        return Sample(count, count / outcome["seconds"], cpu)

    async def check(self) -> None:
        """Every order that was acknowledged is a row, and no other is. Raises Unexpected."""
        driver = await self._ground.connect()
        for table, names in (
            ("ordermesh_order.orders", (PRODUCT, GROUP)),
            ("public.typical_order", (TYPICAL, ORM)),
        ):
            stored = await driver.fetchval(f"SELECT count(*) FROM {table}")
            said = sum(self.accepted[name] for name in names)
            if stored != said:
                raise Unexpected(f"{said} orders were acknowledged, {table} has {stored}")


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def rounds(
    ways: Mapping[str, Measure], count: int, seconds: float, until: float, say: Callable[[str], None]
) -> list[dict[str, Sample]]:
    """Every way once per round, each round beginning with the next one; no round begins after `until`."""
    measured: list[dict[str, Sample]] = []
    names = list(ways)
    for number in range(count):
        if measured and perf_counter() > until:
            break
        start = number % len(names)
        say(f"round {number + 1} of {count}")
        measured.append({name: await ways[name](seconds) for name in names[start:] + names[:start]})
    return measured


def ratio(measured: Sequence[Mapping[str, Sample]], over: str, under: str) -> float:
    """How many times as many orders per second `over` takes; median of the rounds."""
    return median(each[over].rate / each[under].rate for each in measured)


def cpu_ratio(measured: Sequence[Mapping[str, Sample]], over: str, under: str) -> float:
    """How many times the CPU per order `over` takes."""
    return median(each[over].cpu_total_us / each[under].cpu_total_us for each in measured)
