"""`ordermesh up` and `ordermesh down`: the mesh in the foreground, and its end."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from libs.cli.config import surroundings
from libs.cli.instance import DEFAULT_NAME, AlreadyRunning, DataDir, NotRunning, find
from libs.cli.journal import keep_journal
from libs.cli.mesh import Mesh, MeshFailed
from libs.cli.options import DataOption
from libs.cli.ports import PortTaken
from libs.cli.status import process_rows, process_table
from libs.cli.stores import StoreUnusable
from libs.common.clock import SystemClock
from libs.common.topology import TopologyInvalid

DOWN_LIMIT = timedelta(seconds=90)
DOWN_LOOK_EVERY = timedelta(milliseconds=100)
REFRESH_PER_SECOND = 8
NEXT = " · next: ordermesh status, ordermesh orders watch, ordermesh token --role integration"
CANNOT_START = (AlreadyRunning, MeshFailed, PortTaken, StoreUnusable, TopologyInvalid)


def up(
    data: Annotated[
        Path, typer.Option("--data", help="Where everything of this mesh lies; made when missing.")
    ] = Path(DEFAULT_NAME),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="TOML file with systems and routing; addresses left out are filled in."
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port of the gateway; 0 takes a free one.")] = 8080,
    simulators: Annotated[
        bool, typer.Option("--simulators/--no-simulators", help="Stand-ins for Salesforce and the ERP.")
    ] = True,
    tls: Annotated[
        bool, typer.Option("--tls", help="HTTPS, and mutual TLS between all processes; see DATA/tls.")
    ] = False,
) -> None:
    """Starts the whole mesh on this machine and stays until Ctrl-C."""
    console = Console()
    try:
        mesh = Mesh(data, port=port, config=config, simulators=simulators, announce=True, tls=tls)
        asyncio.run(_stay_up(console, mesh))
    except CANNOT_START as error:
        Console(stderr=True).print(f"ordermesh: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error


async def _stay_up(console: Console, mesh: Mesh) -> None:
    clock = SystemClock()
    began = clock.now()
    stop = asyncio.Event()
    keep_journal(mesh.data)
    _on_signals(mesh, stop)
    starting = asyncio.create_task(mesh.start())
    stopping = asyncio.create_task(stop.wait())
    with Live(_table(mesh), console=console, refresh_per_second=REFRESH_PER_SECOND, transient=True) as live:
        while not starting.done() and not stopping.done():
            live.update(_table(mesh))
            await asyncio.wait({starting, stopping}, timeout=1 / REFRESH_PER_SECOND)
    try:
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return
        await starting
        console.print(_table(mesh))
        took = (clock.now() - began).total_seconds()
        _say(console, f"ready in {took:.1f} s at {mesh.base_url}{NEXT}")
        await stop.wait()
        _say(console, "stopping: gateway first, stores last")
    finally:
        stopping.cancel()
        await mesh.stop()
    _say(console, "stopped")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _on_signals(mesh: Mesh, stop: asyncio.Event) -> None:
    """The first signal drains, the second one ends everything at once."""

    def asked() -> None:
        if stop.is_set() and mesh.processes:
            mesh.supervisor.kill_all()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked)


def _table(mesh: Mesh) -> Table:
    return process_table(process_rows(mesh.record().processes if mesh.processes else ()))


def down(data: DataOption = None) -> None:
    """Stops the running mesh and waits until it is gone."""
    console = Console()
    try:
        where, record = find(data, surroundings())
    except NotRunning as error:
        console.print(str(error), markup=False)
        return
    if not asyncio.run(_end(where, record.pid)):
        console.print(f"the mesh on {where.root} does not stop; see {where.logs}", style="red", markup=False)
        raise typer.Exit(1)
    console.print(f"stopped the mesh on {where.root}", markup=False)


async def _end(data: DataDir, pid: int) -> bool:
    """Asks the mesh to stop and waits for its lock."""
    os.kill(pid, signal.SIGTERM)
    clock, never = SystemClock(), asyncio.Event()
    deadline = clock.now() + DOWN_LIMIT
    while data.is_running and clock.now() < deadline:
        await clock.wait(never, DOWN_LOOK_EVERY)
    return not data.is_running
