"""The loop outward: claims due deliveries, hands each to its target, settles them.

Open this file to follow an event out.

    claim (one commit)  →  target.deliver (no transaction open)  →  settle (one commit with what follows from it)

A process may die between any two of these. What it held is claimed again when the lease ends; a target that writes to
an outside system is then asked first (`IN_DOUBT`).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

import structlog

from libs.common.clock import Clock
from libs.common.context import using
from libs.common.durable import claims
from libs.common.durable.crash import crash_point
from libs.common.durable.lanes import Lane, LanePolicy
from libs.common.durable.model import Delivery, Evidence, Failed, Outcome, Tried, context_of
from libs.common.durable.seal import Sealer
from libs.common.durable.settling import Settling
from libs.common.durable.store import UNREACHABLE, unreachable
from libs.common.durable.tx import Tx
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown

LOG = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)
LEASE_REST = timedelta(seconds=5)
"""Left of the lease when a try is broken off, so that it is over before somebody else may begin."""
POLL = timedelta(milliseconds=500)
AFTER_FAULT = timedelta(seconds=1)
SET_BACK_EVERY = timedelta(seconds=10)
SETTLE_MAX = 128
UNSETTLED_MAX = 1024
"""Tries that may wait to be settled before no more are begun."""

T = TypeVar("T", bound=Tx)


class Target(Protocol):
    """Where deliveries go."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Hands the event over, or says why not. May be called again for the same event after any outcome."""


@dataclass(frozen=True, slots=True)
class Route:
    """A target and the bounds of its lane."""

    target: Target
    policy: LanePolicy


class Relay(Generic[T]):
    """Delivers one service's events."""

    def __init__(
        self,
        unit: Unit[T],
        routes: Mapping[str, Route],
        *,
        name: str,
        clock: Clock,
        sealer: Sealer,
        lease: timedelta = LEASE,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._unit = unit
        self._lease = lease
        self._routes = routes
        self._name = name
        self._clock = clock
        self.lanes = {target: Lane(target, route.policy) for target, route in routes.items()}
        self._settling = Settling(unit, self.lanes, name=name, sealer=sealer, draw=draw)
        self.bell = asyncio.Event()
        """Set when there may be something to do; the loop clears it."""
        self._finished: asyncio.Queue[Tried] = asyncio.Queue(maxsize=2 * UNSETTLED_MAX)

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop`, then lets what is under way end."""
        trying: set[asyncio.Task[None]] = set()
        companions = {
            asyncio.create_task(self._settle_finished()),
            asyncio.create_task(self._ring_at(stop)),
            asyncio.create_task(self._set_back(stop)),
        }
        try:
            while not stop.is_set():
                self.bell.clear()
                claimed = await self._claim_calmly(stop)
                if stop.is_set():
                    await self._hand_back(claimed)
                    break
                for delivery in claimed:
                    task = asyncio.create_task(self._try_and_queue(delivery))
                    trying.add(task)
                    task.add_done_callback(trying.discard)
                await self._clock.wait(self.bell, POLL)
            if trying:
                await asyncio.wait(trying)
            await self._finished.join()
        finally:
            left = {*trying, *companions}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _ring_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.bell.set()

    async def _set_back(self, stop: asyncio.Event) -> None:
        """Keeps what waits behind parked deliveries out of the way, now and every few seconds."""
        while not stop.is_set():
            done = True
            try:
                async with self._unit.store.driver() as driver:
                    done = await claims.set_back(driver, list(self.lanes), self._clock.now())
            except Exception as error:  # noqa: BLE001  (an outermost loop; the next round may succeed)
                LOG.info("not_set_back", cause=type(error).__name__)
            if done:
                await self._clock.wait(stop, SET_BACK_EVERY)

    async def run_once(self) -> int:
        """Claims what is due, tries it, settles it; the number of deliveries tried."""
        claimed = await self.claim()
        tried = await asyncio.gather(*(self._try(delivery) for delivery in claimed))
        if tried:
            await self.settle(tried)
        return len(tried)

    async def claim(self) -> list[Delivery]:
        """Due deliveries within the lanes' bounds, held under a lease. NotDone while the database is away."""
        now = self._clock.now()
        free = {target: lane.free(now) for target, lane in self.lanes.items()}
        if self._finished.qsize() >= UNSETTLED_MAX or not any(free.values()):
            return []
        lease_id = self._unit.new_id("lea")
        try:
            async with self._unit.store.driver() as driver:
                claimed = await claims.claim(driver, free, self._clock.now(), lease_id, self._lease)
        except UNREACHABLE as error:
            raise unreachable(error) from error
        taken = Counter(delivery.target for delivery in claimed)
        for target, lane in self.lanes.items():
            lane.claimed(taken[target], asked=free[target])
        if claimed:
            crash_point("after_claim")
        return claimed

    async def _claim_calmly(self, stop: asyncio.Event) -> list[Delivery]:
        """Nothing ends the loop: not a database that is away, nor a table under migration."""
        try:
            return await self.claim()
        except OrdermeshError as error:
            LOG.warning("claim_failed", reason=error.reason, relay=self._name)
        except Exception:
            LOG.exception("claim_crashed", relay=self._name)
        await self._clock.wait(stop, AFTER_FAULT)
        return []

    async def _hand_back(self, claimed: Sequence[Delivery]) -> None:
        """What was claimed while the loop was told to stop is due at once for the next process."""
        if not claimed:
            return
        for delivery in claimed:
            self.lanes[delivery.target].in_flight -= 1
        ids = [delivery.delivery_id for delivery in claimed]
        try:
            async with self._unit.store.driver() as driver:
                await claims.hand_back(driver, ids, claimed[0].lease_id, self._clock.now())
        except UNREACHABLE as error:
            LOG.info("not_handed_back", cause=type(error).__name__, deliveries=len(claimed))

    async def _try_and_queue(self, delivery: Delivery) -> None:
        await self._finished.put(await self._try(delivery))

    async def _try(self, delivery: Delivery) -> Tried:
        lane = self.lanes[delivery.target]
        start_time, started = self._clock.now(), time.perf_counter()
        try:
            outcome = await self._deliver(delivery, lane.policy)
            crash_point("after_deliver")
        finally:
            lane.in_flight -= 1
            if lane.wants_more():
                self.bell.set()
        if isinstance(outcome, Failed):
            lane.failed(outcome.error, self._clock.now())
        else:
            lane.succeeded()
        return Tried(delivery, outcome, start_time, int((time.perf_counter() - started) * 1_000_000))

    async def _deliver(self, delivery: Delivery, policy: LanePolicy) -> Outcome:
        """What the target says, or what is known when it says nothing."""
        if delivery.attempt > policy.retry.attempts_max:
            return Failed(OutcomeUnknown("CRASHED", "the process died in each try so far"))
        left = delivery.lease_end - LEASE_REST - self._clock.now()
        if left <= timedelta(0):
            return Failed(NotDone("OVERLOADED", "the lease was over before the try could begin"))
        with using(context_of(delivery.event, f"relay:{self._name}")):
            try:
                async with asyncio.timeout(min(policy.seconds_max, left.total_seconds())):
                    return await self._routes[delivery.target].target.deliver(delivery)
            except OrdermeshError as error:
                return Failed(error, Evidence(mapping=error.facts.metadata.get("mapping", "")))
            except TimeoutError:
                return Failed(OutcomeUnknown("DEADLINE_EXCEEDED", "the try took too long"))
            except asyncio.CancelledError:
                if _is_being_cancelled():
                    raise
                return Failed(OutcomeUnknown("OUTCOME_UNKNOWN", "the call was broken off under way"))
            except Exception as error:
                LOG.exception("delivery_crashed", target=delivery.target, subject=delivery.event.subject)
                return Failed(OutcomeUnknown("CRASHED", f"{type(error).__name__} while delivering"))

    async def _settle_finished(self) -> None:
        """Settles what has ended, in batches of what queued while the last commit was in flight."""
        while True:
            batch = [await self._finished.get()]
            while len(batch) < SETTLE_MAX and not self._finished.empty():
                batch.append(self._finished.get_nowait())
            await self._settle_calmly(batch)
            for _ in batch:
                self._finished.task_done()

    async def _settle_calmly(self, batch: Sequence[Tried]) -> None:
        """A batch that cannot be settled stays leased; it is claimed again, in doubt, when the lease ends."""
        try:
            await self.settle(batch)
        except OrdermeshError as error:
            LOG.warning("settle_failed", reason=error.reason, relay=self._name, deliveries=len(batch))
        except Exception:
            LOG.exception("settle_crashed", relay=self._name, deliveries=len(batch))

    async def settle(self, batch: Sequence[Tried]) -> None:
        """Commits what became of each, with what follows from it. Raises NotDone or OutcomeUnknown for the database."""
        await self._settling.settle(batch)
        crash_point("after_settle")
        self.bell.set()


def _is_being_cancelled() -> bool:
    """False when a call was cancelled and not we: a channel that closes cancels the calls on it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
