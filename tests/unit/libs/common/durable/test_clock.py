"""The clock that tests advance: nobody who waits is woken too early, or forgotten."""

import asyncio
from datetime import timedelta

import pytest

from libs.common.testing.clock import START, FakeClock, PassingClock

SECOND = timedelta(seconds=1)


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()

    assert clock.now() == START
    clock.advance(SECOND)
    assert clock.now() == START + SECOND


async def test_who_waits_goes_on_at_the_limit_and_not_before() -> None:
    clock = FakeClock()
    waiting = asyncio.create_task(clock.wait(asyncio.Event(), 3 * SECOND))
    await clock.someone_waits()

    clock.advance(2 * SECOND)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert clock.due_in == SECOND
    clock.advance(SECOND)

    assert await waiting is False
    assert clock.due_in is None


async def test_who_waits_goes_on_when_the_event_is_set() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(clock.wait(event, SECOND))
    await clock.someone_waits()

    event.set()

    assert await waiting is True
    assert event.is_set()


@pytest.mark.parametrize(("rung", "limit"), [(True, SECOND), (True, -SECOND), (False, timedelta(0))])
async def test_who_need_not_wait_does_not(rung: bool, limit: timedelta) -> None:
    event = asyncio.Event()
    if rung:
        event.set()

    assert await FakeClock().wait(event, limit) is rung


async def test_who_is_cancelled_while_waiting_is_forgotten() -> None:
    clock = FakeClock()
    waiting = asyncio.create_task(clock.wait(asyncio.Event(), SECOND))
    await clock.someone_waits()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert clock.due_in is None


async def test_time_passes_by_itself_for_who_waits_with_nobody_to_move_it() -> None:
    clock = FakeClock()
    other = asyncio.create_task(clock.wait(asyncio.Event(), SECOND))
    await clock.someone_waits()

    assert await PassingClock(clock).wait(asyncio.Event(), SECOND) is False

    assert clock.now() == START + SECOND
    assert await other is False


async def test_time_stands_still_for_who_is_rung_at_once() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(PassingClock(clock).wait(event, SECOND))

    event.set()

    assert await waiting is True
    assert clock.now() == START
