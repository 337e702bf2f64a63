"""Wake-ups. Open this file when something starts later than it could.

A bell says that there may be something to do; it carries no data and may be lost. Loops poll anyway, so without Redis
everything is slower and nothing is missing.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from libs.common.clock import Clock

LOG = structlog.get_logger(__name__)
AFTER_FAULT = timedelta(seconds=1)
CALL_SECONDS = 1.0
LISTEN_SECONDS = 5.0
RELAY = "relay"
INGEST = "ingest"


def connect(redis_url: str) -> "redis.asyncio.Redis":
    """A client that gives up soon: nothing waits for Redis longer than a second.

    Its connections cover the stream's lane, the bell and the budget, so that none is refused for want of one.
    """
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        redis_url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS, max_connections=64
    )
    return client


class Doorbell(asyncio.Event):
    """Says that there may be something due: to any target, or to some."""

    def __init__(self) -> None:
        super().__init__()
        self._for_all = True
        self._targets: dict[str, None] = {}
        """In the order in which it rang."""

    def set(self) -> None:
        self._for_all = True
        super().set()

    def ring_for(self, target: str) -> None:
        self._targets[target] = None
        super().set()

    def ask_all(self) -> None:
        """The answer to the next ring is for all."""
        self._for_all = True

    def answer(self) -> Collection[str] | None:
        """Targets it has rung for since the last answer; None for all."""
        targets = None if self._for_all else list(self._targets)
        self._for_all, self._targets = False, {}
        self.clear()
        return targets


class Bell:
    """Rings the loops of one service, in this process and, while Redis is there, in its other processes."""

    def __init__(self, service: str, client: "redis.asyncio.Redis | None", clock: Clock) -> None:
        self._channel = f"ordermesh:bell:{service}"
        self._client = client
        self._clock = clock
        self._listeners: dict[str, list[asyncio.Event]] = {}
        self._to_publish: set[str] = set()
        self._publish = asyncio.Event()

    def listen(self, topic: str, event: asyncio.Event) -> None:
        """`event` is set whenever `topic` rings."""
        self._listeners.setdefault(topic, []).append(event)

    def ring(self, topic: str) -> None:
        """Wakes the loops; never waits."""
        self._ring_here(topic)
        if self._client is not None:
            self._to_publish.add(topic)
            self._publish.set()

    def _ring_here(self, topic: str) -> None:
        for event in self._listeners.get(topic, ()):
            event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Passes rings on and takes them in until `stop`."""
        await self._run(stop, self._publish_rings, self._hear_rings)

    async def pass_on(self, stop: asyncio.Event) -> None:
        """Passes rings on until `stop`, for a process in which nobody listens; taking in its own costs."""
        await self._run(stop, self._publish_rings)

    async def _run(self, stop: asyncio.Event, *loops: Callable[[], Coroutine[None, None, None]]) -> None:
        if self._client is None:
            return
        tasks = [asyncio.create_task(loop()) for loop in loops]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish_rings(self) -> None:
        assert self._client is not None
        while True:
            await self._publish.wait()
            self._publish.clear()
            topics, self._to_publish = self._to_publish, set()
            try:
                for topic in topics:
                    await self._client.publish(self._channel, topic)
            except (RedisError, OSError, TimeoutError) as error:
                LOG.info("bell_not_heard", cause=type(error).__name__)
                self._to_publish |= topics
                self._publish.set()
                await self._clock.wait(asyncio.Event(), AFTER_FAULT)

    async def _hear_rings(self) -> None:
        assert self._client is not None
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    while True:
                        heard = await subscription.get_message(
                            ignore_subscribe_messages=True, timeout=LISTEN_SECONDS
                        )
                        if heard is not None:
                            self._ring_here(bytes(heard["data"]).decode(errors="replace"))
            except (RedisError, OSError, TimeoutError) as error:
                LOG.info("bell_deaf", cause=type(error).__name__)
                await self._clock.wait(asyncio.Event(), AFTER_FAULT)
