"""`make profile`: where the time of an accepted order goes, as flame graphs. Open this file to profile another process.

Starts a gateway and an order service as `make bench` does, keeps 64 connections busy, and samples both processes with
py-spy, native frames included where the machine allows it. Ordinary rates are lower than measured: sampling costs.
"""

import argparse
import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cast, orders
from benchmarks.accept import PRODUCT, Accepting
from benchmarks.course import folder
from benchmarks.ground import Ground

SAMPLES_PER_SECOND = 200
PROCESSES = ("gateway", "order")
OVER_SECONDS = 20.0
HEADLINE = re.compile(r'(<text id="title"[^>]*>)[^<]*')
"""Above the chart; the recorder writes its own command line there."""


async def run(target: Path, seconds: float) -> Sequence[Path]:
    """One SVG per process."""
    async with folder() as place, Ground(place / "data") as ground:
        bodies = place / "bodies"
        bodies.write_bytes(b"\n".join(orders.bodies(orders.goods())))
        await ground.start([*cast.add_erp(ground), *cast.add_one_pair(ground)])
        ways = await Accepting.open(ground, bodies, [PRODUCT])
        charts = {name: target / f"{name}-flame.svg" for name in PROCESSES}
        recorders = [await _record(ground.pid(name), chart, seconds) for name, chart in charts.items()]
        sample = await ways.accept(PRODUCT, seconds + 1)
        for recorder in recorders:
            async with asyncio.timeout(OVER_SECONDS):
                _, errors = await recorder.communicate()
            if recorder.returncode:
                raise SystemExit(f"py-spy ended with {recorder.returncode}: {errors.decode()[-1000:]}")
        for name, chart in charts.items():
            chart.write_text(
                HEADLINE.sub(rf"\1{name}, while orders are handed in", chart.read_text(), count=1)
            )
        print(f"{sample.rate:,.0f} orders/s while sampled, {sample.cpu_total_us:,.0f} µs CPU per order")
        return list(charts.values())


async def _record(pid: int, chart: Path, seconds: float) -> asyncio.subprocess.Process:
    program = str(Path(sys.executable).with_name("py-spy"))
    words = ["record", "--format", "flamegraph", "--rate", str(SAMPLES_PER_SECOND), "--nonblocking"]
    words += ["--duration", str(round(seconds)), "--output", str(chart), "--pid", str(pid)]
    return await asyncio.create_subprocess_exec(program, *words, stdout=PIPE, stderr=PIPE)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make profile", description="Draws flame graphs of the accept path."
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long is sampled")
    parser.add_argument("--folder", type=Path, default=Path("docs/benchmarks"), help="where the SVG files go")
    arguments = parser.parse_args()
    for chart in asyncio.run(run(arguments.folder.resolve(), arguments.seconds)):
        print(chart)


if __name__ == "__main__":
    main()
