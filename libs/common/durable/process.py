"""The process of a service: `serve`, `relay`, `ingest`, `migrate`, `all`. Open this file to see what each word runs.

serve    answers calls               relay   carries events out        ingest  takes changes in
migrate  brings the schema up to date and ends
all      the first three in one process, for one machine; `all --migrate` migrates first

`relay` and `ingest` leave the CPU to whoever answers a caller (`priority.py`).
"""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvloop

from libs.common.config import load_settings
from libs.common.durable.core import App
from libs.common.durable.crash import arm
from libs.common.durable.migrations import migrate
from libs.common.durable.priority import give_way, nice_of
from libs.common.durable.readings import readings_of
from libs.common.durable.settings import ServiceSettings
from libs.common.logging import start_logging
from libs.common.metrics.serving import serving_metrics
from libs.common.rpc.server import GrpcServer, stop_on_signals
from libs.common.telemetry import configure_telemetry

LOG = structlog.get_logger(__name__)
WORDS = ("serve", "relay", "ingest", "migrate", "all")
LOOPS_CLOSE_SECONDS = 15.0

S = TypeVar("S", bound=ServiceSettings)


def run_service(
    service: str, settings_class: type[S], build: Callable[[S], App[Any]], migrations: Path
) -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("word", choices=WORDS)
    parser.add_argument("--migrate", action="store_true", help="bring the schema up to date first")
    arguments = parser.parse_args()
    settings = load_settings(settings_class)
    if settings.in_development:
        arm(settings.crash_at, settings.crash_file)
    name = f"{service}-{arguments.word}"
    start_logging(settings, name)
    uvloop.run(give_way(nice_of(arguments.word, settings.background_nice)))
    configure_telemetry(settings, name)
    uvloop.run(
        _run(service, arguments.word, settings, build, migrations if arguments.migrate else None, migrations)
    )


async def _run(
    service: str,
    word: str,
    settings: S,
    build: Callable[[S], App[Any]],
    migrate_first: Path | None,
    migrations: Path,
) -> None:
    if word == "migrate" or migrate_first:
        await migrate(settings.own_database_url(service), service, migrations)
        LOG.info("migrated", service=service)
    if word == "migrate":
        return
    stop = stop_on_signals()
    app = build(settings)
    try:
        parts = _parts(word)
        async with serving_metrics(settings, f"{service}-{word}", *readings_of(app, parts)):
            await _run_parts(app, settings, service, parts, stop)
    finally:
        await app.unit.close()
        await app.close()


def _parts(word: str) -> Sequence[str]:
    return ("serve", "relay", "ingest") if word == "all" else (word,)


async def _run_parts(
    app: App[Any], settings: ServiceSettings, service: str, parts: Sequence[str], stop: asyncio.Event
) -> None:
    """Serves health in every process; the loops end after the server has drained."""
    server = GrpcServer(settings, service)
    if "serve" in parts:
        for register, servicer in app.registrations:
            server.add(register, servicer)
    ringing = app.bell.pass_on if tuple(parts) == ("serve",) else app.bell.run
    loops = [asyncio.create_task(ringing(stop))]
    if "relay" in parts:
        loops.append(asyncio.create_task(app.relay.run(stop)))
        loops.append(asyncio.create_task(app.sweep(stop)))
    if "ingest" in parts:
        loops.append(asyncio.create_task(app.ingest.run(stop)))
    serving = asyncio.create_task(server.serve_until_stopped(stop))
    for loop in loops:
        loop.add_done_callback(lambda task: _stop_when_broken(task, stop))
    serving.add_done_callback(lambda task: _stop_when_broken(task, stop))
    try:
        await serving
        await asyncio.wait(loops, timeout=LOOPS_CLOSE_SECONDS)
    finally:
        for loop in loops:
            loop.cancel()
        ended = await asyncio.gather(*loops, return_exceptions=True)
    if any(isinstance(end, Exception) for end in ended):
        raise SystemExit("a part of the process ended by an error; its log says which")


def _stop_when_broken(task: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """A part that ended by an error ends the process: whoever supervises it starts it afresh."""
    if not task.cancelled() and task.exception() is not None:
        LOG.error("part_broken", exc_info=task.exception())
        stop.set()
