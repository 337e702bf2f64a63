"""`make bench`: measures ordermesh against common ways of doing the same, side by side. README.md explains each figure.

make bench                                at most ten minutes
make bench ARGS="--quick --json -"        at most one minute; the last line is one JSON object
make bench ARGS="--page docs/benchmarks"  writes the page and the chart as well
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console

from benchmarks import growth, report
from benchmarks.ground import Ground
from benchmarks.measure import (
    CONNECTIONS,
    GROUP,
    NULL_STORE,
    ORM,
    PGBENCH,
    PRODUCT,
    TYPICAL,
    Sample,
    Ways,
    cpu_ratio,
    ratio,
    rounds,
)
from libs.common.clock import SystemClock

GOALS = {
    "accept_vs_typical": "≥ 15",
    "accept_cpu_vs_typical": "≤ 0.083",
    "accept_vs_null_store": "≥ 0.55",
    "accept_vs_pgbench": "≥ 1.2",
    "group_commit_vs_orm": "≥ 10",
    "p99_at_ten_times_load": "≤ 1.2",
    "growth_accept": "≤ 1.15",
    "growth_claim": "≤ 1.15",
}


@dataclass(frozen=True, slots=True)
class Extent:
    """How long is measured."""

    rounds: int
    seconds: float
    latency_seconds: float
    growth: bool
    limit: float
    """Seconds for everything."""


QUICK = Extent(rounds=3, seconds=1.2, latency_seconds=1.5, growth=False, limit=60.0)
FULL = Extent(rounds=5, seconds=3.0, latency_seconds=5.0, growth=True, limit=600.0)
ROUNDS_SHARE = 0.6
"""Share of the time after which no round begins."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures ordermesh against its peers.")
    parser.add_argument("--quick", action="store_true", help="at most a minute, with more noise")
    parser.add_argument(
        "--json", metavar="FILE", help="writes one JSON object; - is the last line of the output"
    )
    parser.add_argument("--page", metavar="FOLDER", type=Path, help="writes the page and the chart there")
    parser.add_argument("--note", action="append", default=[], help="a remark for the table, repeatable")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140, log_path=False, highlight=False)
    extent = QUICK if arguments.quick else FULL
    result = asyncio.run(_within(extent, console))
    result.notes += arguments.note
    report.show(result, console)
    if arguments.page:
        report.write_page(result, arguments.page)
    if arguments.json == "-":
        print(report.as_json(result))
    elif arguments.json:
        Path(arguments.json).write_text(report.as_json(result) + "\n")


async def _within(extent: Extent, console: Console) -> report.Result:
    async with asyncio.timeout(extent.limit):
        return await _run(extent, console)


async def _run(extent: Extent, console: Console) -> report.Result:
    began, machine = SystemClock().now(), report.machine()
    until = perf_counter() + ROUNDS_SHARE * extent.limit
    async with _ways() as (_, ways):
        console.log("measuring")
        measured = await rounds(ways.all(), extent.rounds, extent.seconds, until, console.log)
        console.log("latency at fixed rates")
        latency, tail = await _latency(ways, measured, extent.latency_seconds)
        await ways.check()
    grown = await _growth(extent.latency_seconds, console) if extent.growth else {}
    ratios = {
        "accept_vs_typical": ratio(measured, PRODUCT, TYPICAL),
        "accept_cpu_vs_typical": cpu_ratio(measured, PRODUCT, TYPICAL),
        "accept_vs_null_store": ratio(measured, PRODUCT, NULL_STORE),
        "accept_vs_pgbench": ratio(measured, PRODUCT, PGBENCH),
        "group_commit_vs_orm": ratio(measured, GROUP, ORM),
        "p99_at_ten_times_load": tail,
        **grown,
    }
    notes = [
        machine,
        f"{len(measured)} rounds of {extent.seconds:g} s for each way, {CONNECTIONS} connections.",
        "Running: PostgreSQL (fsync on), Valkey, gateway, order service. Off: relay, ingest, connectors.",
        "Tracing as by default: trace context is passed on, nothing recorded, for no collector is set.",
        f"pgbench writes per order: {', '.join(ways.pgbench_rows)} rows.",
        "Checked: every answer was 202, and every acknowledged order is a row.",
    ]
    return report.Result(began, _in_order(measured, list(ways.all())), ratios, GOALS, latency, notes)


async def _latency(
    ways: Ways, measured: Sequence[dict[str, Sample]], seconds: float
) -> tuple[dict[str, Sample], float]:
    """At half of each one's own maximum, and at ten times the typical stack's half; p99 there over the typical p99."""
    half = {name: median(each[name].rate for each in measured) / 2 for name in (PRODUCT, TYPICAL)}
    found = {}
    for name, rate in ((TYPICAL, half[TYPICAL]), (PRODUCT, half[PRODUCT]), (PRODUCT, 10 * half[TYPICAL])):
        found[f"{name}, {rate:,.0f}/s"] = await ways.accept(name, seconds, rate)
    typical, _, tenfold = found.values()
    return found, tenfold.p99_ms / typical.p99_ms


def _in_order(measured: Sequence[dict[str, Sample]], names: Sequence[str]) -> list[dict[str, Sample]]:
    return [{name: each[name] for name in names} for each in measured]


async def _growth(seconds: float, console: Console) -> dict[str, float]:
    console.log(f"growing to {growth.MANY:,} stored orders")
    async with _ways() as (ground, ways):
        return await growth.measure(ground, ways, seconds)


@asynccontextmanager
async def _ways() -> AsyncIterator[tuple[Ground, Ways]]:
    """All processes, in a folder that PostgreSQL's user may pass."""
    with tempfile.TemporaryDirectory(prefix="ordermesh-bench-") as name:
        async with Ground(_passable(Path(name))) as ground:
            yield ground, await Ways.open(ground, Path(name))


def _passable(folder: Path) -> Path:
    """The folder for the data, within one that PostgreSQL's user may pass."""
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    return data


if __name__ == "__main__":
    main()
