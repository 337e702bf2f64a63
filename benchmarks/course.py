"""The course of a run: what is measured after what, and for how long. Open this file to change extent or order.

Everything is bounded in time. What there is no time left for is missing in the result, with the reason.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks import accept, cast, complete, erp_call, forgetting, growth, orders, report
from benchmarks.accept import Accepting
from benchmarks.complete import Completing
from benchmarks.ground import Ground
from benchmarks.isolation import Isolation
from benchmarks.sample import Found, Say
from libs.common.clock import SystemClock

GOALS: Mapping[str, str] = {
    "accept_vs_typical": "≥ 15",
    "cpu_vs_typical": "≤ 0.083",
    "accept_vs_dbos": "≥ 10",
    "accept_vs_procrastinate": "",
    "accept_vs_pgbench": "≥ 1.2",
    "accept_vs_null_store": "≥ 0.55",
    "p99_at_ten_times_load": "≤ 1.2",
    "complete_vs_celery": "≥ 3",
    "complete_vs_dramatiq": "≥ 1.2",
    "complete_vs_dbos": "≥ 20",
    "complete_vs_procrastinate": "",
    "complete_share_of_limit": "≥ 0.6",
    "tracing_tax_1": "≤ 1.08",
    "tracing_tax_100": "≤ 1.25",
    "isolation_p99": "≤ 1.2",
    "tenant_isolation_p99": "≤ 1.2",
    "growth_accept": "≤ 1.15",
    "growth_claim": "≤ 1.15",
    "memory_growth": "",
    "forgetting_p99": "",
    "erp_call_cpu_vs_httpx": "",
    "catch_up_vs_steady": "",
    "group_commit_vs_orm": "≥ 10",
}
"""Every ratio there is, and what it should reach."""
LONG_ONES = frozenset(
    {
        "catch_up_vs_steady",
        "group_commit_vs_orm",
        "accept_vs_procrastinate",
        "complete_vs_procrastinate",
        "forgetting_p99",
    }
)
FULL_ONLY = "measured by `make bench` without --quick"
NO_TIME = "no time was left"


@dataclass(frozen=True, slots=True)
class Extent:
    """How long is measured."""

    rounds: int
    seconds: float
    latency_rounds: int
    latency_seconds: float
    complete_rounds: int
    complete_seconds: float
    isolation_rounds: int
    isolation_seconds: float
    growth: tuple[int, ...]
    growth_seconds: float
    erp_calls: int
    relays: int
    outage_orders: int
    """Orders that come while the ERP is away for an hour; 0 = not measured."""
    whole: bool
    """With the ways that no ratio of the table needs."""
    limit: float
    """Seconds for everything; no measurement begins after nine tenths of it."""


QUICK = Extent(
    rounds=2,
    seconds=0.5,
    latency_rounds=2,
    latency_seconds=0.7,
    complete_rounds=1,
    complete_seconds=1.0,
    isolation_rounds=2,
    isolation_seconds=1.2,
    growth=(2_000, 20_000),
    growth_seconds=0.5,
    erp_calls=200,
    relays=1,
    outage_orders=0,
    whole=False,
    limit=54.0,
)
FULL = Extent(
    rounds=5,
    seconds=2.0,
    latency_rounds=3,
    latency_seconds=2.0,
    complete_rounds=4,
    complete_seconds=3.0,
    isolation_rounds=5,
    isolation_seconds=4.0,
    growth=(10_000, 100_000, 1_000_000),
    growth_seconds=2.0,
    erp_calls=2_000,
    relays=4,
    outage_orders=3_600,
    whole=True,
    limit=590.0,
)
Part = Callable[[], Awaitable[Found]]


async def run(extent: Extent, say: Say) -> report.Result:
    """Everything, one after another."""
    began, machine = SystemClock().now(), report.machine()
    course = Course(extent, say)
    course.found.notes.append(machine)
    async with folder() as place, Ground(place / "data") as ground:
        await course.run(ground, place)
    for name in GOALS:
        if course.found.ratios.get(name) is None:
            course.found.ratios[name] = None
            reason = NO_TIME if extent.whole or name not in LONG_ONES else FULL_ONLY
            reason = "a part broke" if course.found.broken else reason
            course.found.reasons.setdefault(name, reason)
    course.found.notes.append(
        "Checked: every answer was 202, every acknowledged order is a row, all were paid."
    )
    return report.Result(began, course.found, GOALS)


class Course:
    """One run under way."""

    def __init__(self, extent: Extent, say: Say) -> None:
        self._extent = extent
        self._say = say
        self._began = perf_counter()
        self._completing: Completing | None = None
        self.found = Found()

    async def run(self, ground: Ground, folder: Path) -> None:
        bodies = folder / "bodies"
        bodies.write_bytes(b"\n".join(orders.bodies(orders.goods())))
        workers = await self._start(ground, bodies)
        self._say("warming up")
        ways = await Accepting.open(ground, bodies, self._doors())
        await ways.with_pgbench(folder)
        if self._extent.whole:
            await ways.with_commits()
        await self._part("accepting", lambda: self._accept(ways))
        await self._part("completing", lambda: self._complete(ground, bodies))
        if (completing := self._completing) and self._extent.outage_orders:
            seconds, orders_away = self._extent.complete_seconds, self._extent.outage_orders
            await self._part(
                "more relays", lambda: complete.scale_out(completing, seconds, (1, 2, 4), self._say)
            )
            await self._part(
                "an hour's outage", lambda: complete.catch_up(completing, orders_away, self.found)
            )
        isolation = await Isolation.open(ground, bodies)
        count, seconds = self._extent.isolation_rounds, self._extent.isolation_seconds
        await self._part("a flooding tenant", lambda: isolation.beside_a_tenant(count, seconds, self._say))
        await self._part("products", lambda: isolation.beside_products(count, seconds, self._say))
        await self._part("calls to the ERP", lambda: self._calls(ground))
        sizes, least = self._extent.growth, self._extent.growth_seconds
        await self._part("growth", lambda: growth.measure(ways, sizes, least, self._say))
        if self._extent.whole:
            await self._part("forgetting", lambda: forgetting.measure(ways, self._extent.isolation_seconds))
        self._say(f"done; {len(workers)} workers stood still in between")

    async def _start(self, ground: Ground, bodies: Path) -> list[str]:
        """Those that migrate first, so that nobody meets a schema that is not there."""
        self._say("starting")
        first = [*cast.add_erp(ground), *cast.add_accepting(ground, bodies)]
        first += await cast.add_completing(ground, self._extent.relays)
        first += cast.add_products(ground)
        workers = [*cast.RELAYS[: self._extent.relays], *cast.add_workers(ground), *cast.PRODUCT_WORKERS]
        await ground.start(first)
        await ground.start(workers)
        await ground.freeze(*workers)
        return workers

    async def _part(self, name: str, part: Part) -> None:
        """Nothing begins when nine tenths of the time are over, and nothing outlasts the limit.

        What breaks keeps no other part from being told; the run fails all the same, at its end.
        """
        left = self._extent.limit - (perf_counter() - self._began)
        if left < self._extent.limit / 10:
            self._say(f"{name}: {NO_TIME}")
            return
        self._say(name)
        limit = asyncio.timeout(left)
        try:
            async with limit:
                self.found.take(await part())
        except Exception as error:  # noqa: BLE001  (told at the end, with everything else)
            if limit.expired():
                self._say(f"{name}: {NO_TIME}")
                return
            self.found.broken[name] = f"{type(error).__name__}: {error}"
            self._say(f"{name}: broken, {self.found.broken[name]}")

    def _doors(self) -> list[str]:
        left_out = () if self._extent.whole else (accept.PROCRASTINATE,)
        return [name for name in accept.DOORS if name not in left_out]

    def _until(self, share: float) -> float:
        return self._began + share * self._extent.limit

    async def _accept(self, ways: Accepting) -> Found:
        extent = self._extent
        found = await accept.measure(ways, extent.rounds, extent.seconds, self._until(0.45), self._say)
        rounds = found.rounds[accept.TABLE]
        found.take(await accept.latency(ways, rounds, extent.latency_rounds, extent.latency_seconds))
        await ways.check()
        return found

    async def _complete(self, ground: Ground, bodies: Path) -> Found:
        extent = self._extent
        ways = await Completing.open(ground, str(bodies), cast.PEERS if extent.whole else cast.PEERS[:3])
        self._completing = ways
        return await complete.measure(
            ways, extent.complete_rounds, extent.complete_seconds, self._until(0.55), self._say
        )

    async def _calls(self, ground: Ground) -> Found:
        async with ground.child("benchmarks.erp_call", cast.erp_url(ground)) as child:
            return await erp_call.measure(child, 2, self._extent.erp_calls)


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A folder with `data` in it that PostgreSQL's user may pass."""
    with tempfile.TemporaryDirectory(prefix="ordermesh-bench-") as name:
        yield _passable(Path(name))


def _passable(folder: Path) -> Path:
    folder.chmod(0o755)
    (folder / "data").mkdir()
    return folder
