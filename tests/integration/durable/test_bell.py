"""A bell wakes whoever listens, in other processes too while Redis is there; without it nothing is missing but time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from libs.common.clock import SystemClock
from libs.common.durable.bell import AFTER_FAULT, RELAY, Bell, connect
from libs.common.ids import new_id
from libs.common.testing.clock import FakeClock
from tests.integration.durable.world import until

SOON = 5.0


@pytest.fixture
def service() -> str:
    return new_id("bell")


@asynccontextmanager
async def running(*bells: Bell) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(bell.run(stop)) for bell in bells]
    try:
        async with asyncio.timeout(SOON):
            yield
            stop.set()
            await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    client = connect(valkey_url)
    yield client
    await client.aclose()


async def heard_by(service: str, client: "redis.asyncio.Redis", count: int) -> None:
    """Until so many processes listen."""
    channel = f"ordermesh:bell:{service}"

    async def heard() -> bool:
        return int(dict(await client.pubsub_numsub(channel))[channel.encode()]) >= count

    await until(heard)


async def test_a_process_in_which_nobody_listens_rings_for_others_all_the_same(
    service: str, client: "redis.asyncio.Redis"
) -> None:
    listening, serving, woken = (
        Bell(service, client, SystemClock()),
        Bell(service, client, SystemClock()),
        asyncio.Event(),
    )
    listening.listen(RELAY, woken)
    stop = asyncio.Event()
    async with running(listening):
        passing_on = asyncio.create_task(serving.pass_on(stop))
        await heard_by(service, client, 1)

        serving.ring(RELAY)

        await woken.wait()
        assert await client.pubsub_numsub(f"ordermesh:bell:{service}") == [
            (f"ordermesh:bell:{service}".encode(), 1)
        ]
        stop.set()
        await passing_on


async def test_who_listens_in_the_same_process_is_woken_at_once(service: str) -> None:
    bell, relay, ingest = Bell(service, None, SystemClock()), asyncio.Event(), asyncio.Event()
    bell.listen(RELAY, relay)
    bell.listen("ingest", ingest)

    bell.ring(RELAY)

    assert (relay.is_set(), ingest.is_set()) == (True, False)
    async with running(bell):
        """Without Redis there is nothing to run."""


async def test_who_listens_in_another_process_is_woken(service: str, client: "redis.asyncio.Redis") -> None:
    here, there, event = (
        Bell(service, client, SystemClock()),
        Bell(service, client, SystemClock()),
        asyncio.Event(),
    )
    there.listen(RELAY, event)

    async with running(here, there):
        await heard_by(service, client, 2)
        here.ring(RELAY)
        await event.wait()


async def test_a_ring_of_another_service_or_without_sense_wakes_nobody_and_breaks_nothing(
    service: str, client: "redis.asyncio.Redis"
) -> None:
    bell, event = Bell(service, client, SystemClock()), asyncio.Event()
    bell.listen(RELAY, event)

    async with running(bell):
        await heard_by(service, client, 1)
        await client.publish("ordermesh:bell:other", RELAY)
        await client.publish(f"ordermesh:bell:{service}", b"\xff\xfe")
        await client.publish(f"ordermesh:bell:{service}", "unheard of")
        assert not event.is_set()
        await client.publish(f"ordermesh:bell:{service}", RELAY)
        await event.wait()


async def test_without_redis_ringing_never_waits_and_stopping_takes_no_time(service: str) -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    bell, event = Bell(service, nowhere, SystemClock()), asyncio.Event()
    bell.listen(RELAY, event)

    async with running(bell):
        bell.ring(RELAY)
        assert event.is_set()
    await nowhere.aclose()


async def test_a_ring_that_redis_did_not_take_is_passed_on_later(
    service: str, client: "redis.asyncio.Redis"
) -> None:
    """Redis is away while it rings; who listens elsewhere hears of it once it is back."""
    away = connect("redis://127.0.0.1:1/0")
    clock, event = FakeClock(), asyncio.Event()
    here, there = Bell(service, away, clock), Bell(service, client, SystemClock())
    there.listen(RELAY, event)

    stop = asyncio.Event()
    async with running(there):
        passing_on = asyncio.create_task(here.pass_on(stop))
        await heard_by(service, client, 1)
        here.ring(RELAY)
        await clock.someone_waits()
        here._client = client
        clock.advance(AFTER_FAULT)
        await event.wait()
        stop.set()
        await passing_on
    await away.aclose()
