"""`ordermesh demo`: options, the mesh around the story, exit code and last line."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console

from libs.cli.demo.faults import Wish
from libs.cli.demo.goods import draw_goods
from libs.cli.demo.report import figures_table, last_line
from libs.cli.demo.stage import Stage
from libs.cli.demo.story import Outcome, Story
from libs.cli.journal import keep_journal
from libs.cli.mesh import Mesh
from libs.cli.up import CANNOT_START
from libs.common.clock import SystemClock
from libs.common.ids import new_id

DEADLINE = timedelta(seconds=170)
AFTERMATH = timedelta(seconds=15)
"""What may be spent on finding out why the deadline was missed."""
ORDERS = 220
SHOWN_MAX = 10
EXIT_STOPPED = 130


def demo(
    *,
    orders: Annotated[int, typer.Option("--orders", min=1, max=2000, help="Orders handed in.")] = ORDERS,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="The same seed draws the same goods and faults.")
    ] = 7,
    kill: Annotated[
        str,
        typer.Option("--kill", help="kill -9 of this process in the middle: order, gateway, sim-netsuite …"),
    ] = "",
    stop_redis: Annotated[
        bool, typer.Option("--stop-redis", help="Stop Valkey in the middle, for the rest of the run.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Data directory; default a scratch one, removed at success.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch directory.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Mutual TLS between all processes.")] = False,
) -> None:
    """Runs a day of orders through the mesh, with faults, and proves the outcome from the two ledgers."""
    folder = data or Path(tempfile.mkdtemp(prefix="ordermesh-demo-"))
    console = Console()
    wish = Wish(orders=orders, seed=seed, kill=kill, stop_redis=stop_redis, tls=tls)
    try:
        held, line = asyncio.run(_until_told_to_stop(perform(folder, wish, console)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print(f"stopped; kept {folder}", markup=False, highlight=False)
        raise typer.Exit(EXIT_STOPPED) from None
    if held and data is None and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        console.print(
            f"kept {folder}; look again with: ordermesh up --data '{folder}'", markup=False, highlight=False
        )
    console.file.flush()
    typer.echo(line)
    raise typer.Exit(0 if held else 1)


async def _until_told_to_stop(work: Coroutine[None, None, tuple[bool, str]]) -> tuple[bool, str]:
    """`ordermesh down` and Ctrl-C end the demo as they end `ordermesh up`: everything is stopped in order."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


async def perform(folder: Path, wish: Wish, console: Console) -> tuple[bool, str]:
    """Runs the demo; tells whether all of it holds, and the JSON line."""
    clock = SystemClock()
    stage = Stage(console, clock)
    outcome = Outcome()
    held = False
    stage.say(f"starting the mesh on {folder}")
    try:
        mesh = Mesh(folder, clock=clock, tls=wish.tls)
        keep_journal(mesh.data)
        async with mesh:
            stage.say(f"the mesh is ready at {mesh.base_url}")
            outcome = await _tell(mesh, wish, stage)
            held = outcome.verdict is not None and outcome.verdict.holds and not outcome.tally.unequal
    except CANNOT_START as error:
        stage.say(f"the mesh does not start: {error}", style="red")
    console.print(figures_table(outcome))
    return held, last_line(outcome, wish.orders, stage.elapsed)


async def _tell(mesh: Mesh, wish: Wish, stage: Stage) -> Outcome:
    """The story; when it is cut short, why, while the mesh can still be asked."""
    if wish.kill and wish.kill not in {kept.name for kept in mesh.processes}:
        names = ", ".join(kept.name for kept in mesh.processes)
        raise typer.BadParameter(f"there is no process {wish.kill!r}; there are {names}")
    goods = draw_goods(wish.seed, wish.orders, tag=new_id("run")[-6:])
    async with Story(mesh, wish, goods, stage) as story:
        left = DEADLINE - stage.elapsed - AFTERMATH
        try:
            with stage.showing():
                async with asyncio.timeout(left.total_seconds()):
                    await story.run()
        except (TimeoutError, ExceptionGroup, httpx.HTTPError) as error:
            stage.say(f"the demo failed: {_in_words(error, stage)}", style="red")
            await _explain(story, stage)
        verdict = story.outcome.verdict
        for fault in (verdict.faults if verdict else ())[:SHOWN_MAX]:
            stage.say(fault, style="red")
        for reference in story.outcome.tally.unequal[:SHOWN_MAX]:
            stage.say(f"{reference} was answered differently the second time", style="red")
        return story.outcome


async def _explain(story: Story, stage: Stage) -> None:
    """Names the orders that did not make it and why, and fills the report as far as it goes."""
    try:
        async with asyncio.timeout(AFTERMATH.total_seconds() * 0.8):
            for line in await story.reasons(SHOWN_MAX):
                stage.say(line, style="red")
            await story.collect()
    except (TimeoutError, ExceptionGroup, httpx.HTTPError) as error:
        stage.say(f"no more can be found out: {_in_words(error, stage)}", style="red")


def _in_words(error: Exception, stage: Stage) -> str:
    if isinstance(error, TimeoutError):
        return f"not done after {stage.elapsed.total_seconds():.0f} s"
    if isinstance(error, ExceptionGroup):
        return "; ".join(str(each) or type(each).__name__ for each in error.exceptions[:3])
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.request.url.path}: {error.response.text[:500]}"
    return str(error) or type(error).__name__
