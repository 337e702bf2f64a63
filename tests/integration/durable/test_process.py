"""A process whose part breaks ends, and says so; one that is told to stop ends in order."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import pytest

from libs.common.durable.core import App
from libs.common.durable.process import _run_parts
from libs.common.durable.settings import ServiceSettings

Loop = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@dataclass
class Part:
    """A loop under another name."""

    run: Loop


async def until_stopped(stop: asyncio.Event) -> None:
    await stop.wait()


def an_app(relay: Loop, sweep: Loop = until_stopped) -> App[Any]:
    idle = Part(until_stopped)
    parts = {"unit": None, "relay": Part(relay), "ingest": idle, "bell": idle, "sweep": sweep}
    return App(**cast(dict[str, Any], parts), registrations=[], close=lambda: asyncio.sleep(0))


async def test_a_part_that_breaks_ends_the_process_with_an_error() -> None:
    ended: list[str] = []

    async def breaks(stop: asyncio.Event) -> None:
        raise RuntimeError("a bug")

    async def goes_on(stop: asyncio.Event) -> None:
        await stop.wait()
        ended.append("sweep")

    with pytest.raises(SystemExit) as exit_:
        await _run_parts(an_app(breaks, goes_on), ServiceSettings(), "notes", ("relay",), asyncio.Event())

    assert exit_.value.code not in (0, None)
    assert ended == ["sweep"]


async def test_a_process_that_is_told_to_stop_ends_without_error() -> None:
    stop = asyncio.Event()

    async def stops_itself(_: asyncio.Event) -> None:
        stop.set()

    await _run_parts(an_app(stops_itself), ServiceSettings(), "notes", ("relay",), stop)
