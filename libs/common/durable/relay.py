"""The loop outward: claims due deliveries, hands each to its target, settles them.

Open this file to follow an event out.

    claim (one commit)  →  target.deliver (no transaction open)  →  settle (one commit with what follows from it)
                                       ↑                                       │
                                       └──── next step, held by that commit ───┘

A process may die between any two of these. What it held is claimed again when the lease ends; a target that writes to
an outside system is then asked first (`IN_DOUBT`).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from libs.common.clock import Clock
from libs.common.durable import claims
from libs.common.durable.bell import Doorbell
from libs.common.durable.crash import crash_point
from libs.common.durable.lanes import Lane, LanePolicy
from libs.common.durable.model import Delivery, Failed, Tried
from libs.common.durable.seal import Sealer
from libs.common.durable.settling import Onward, Settling
from libs.common.durable.store import AGAIN, UNREACHABLE, unreachable
from libs.common.durable.trying import Target, deliver
from libs.common.durable.tx import Tx
from libs.common.durable.unit import Unit
from libs.common.errors import OrdermeshError

LOG = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)
POLL = timedelta(milliseconds=500)
AFTER_FAULT = timedelta(seconds=1)
SET_BACK_EVERY = timedelta(seconds=10)
SETTLE_MAX = 128
UNSETTLED_MAX = 1024
"""Tries that may wait to be settled before no more are begun."""

T = TypeVar("T", bound=Tx)


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
        self._settling = Settling(unit, self.lanes, name=name, sealer=sealer, draw=draw, lease=lease)
        self.bell = Doorbell()
        """Set when there may be something to do; the loop answers it."""
        self._finished: asyncio.Queue[Tried] = asyncio.Queue(maxsize=2 * UNSETTLED_MAX)
        self._trying: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop`, then lets what is under way end."""
        companions = {
            asyncio.create_task(self._settle_finished(stop)),
            asyncio.create_task(self._ring_at(stop)),
            asyncio.create_task(self._set_back(stop)),
        }
        all_due = self._clock.now()
        try:
            while not stop.is_set():
                targets, now = self.bell.answer(), self._clock.now()
                if targets is None or now >= all_due:
                    targets, all_due = None, now + POLL
                await self._give_back(self._lease / 2)
                claimed = await self._claim_calmly(stop, targets)
                if stop.is_set():
                    await self._hand_back(claimed)
                    break
                self._begin(claimed)
                if not await self._clock.wait(self.bell, POLL):
                    self.bell.set()
            await self._give_back(2 * self._lease)
            if self._trying:
                await asyncio.wait(self._trying)
            await self._finished.join()
        finally:
            for lane in self.lanes.values():
                lane.forget_ready()
            left = {*self._trying, *companions}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _begin(self, held: Sequence[Delivery]) -> None:
        """What has to wait reads its record when it begins: somebody may have changed it by then."""
        for delivery in held:
            lane = self.lanes[delivery.target]
            lane.ready.append(delivery)
            self._begin_ready(lane)
            if lane.ready and lane.ready[-1] is delivery and delivery.record is not None:
                lane.ready[-1] = replace(delivery, record=None)

    def _begin_ready(self, lane: Lane) -> None:
        while (delivery := lane.next(self._clock.now())) is not None:
            task = asyncio.create_task(self._try_one_after_another(delivery))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)

    async def _try_one_after_another(self, first: Delivery) -> None:
        lane, delivery = self.lanes[first.target], first
        while True:
            await self._try_and_queue(delivery)
            ready = lane.next(self._clock.now())
            if ready is None:
                return
            delivery = ready
            self._begin_ready(lane)

    async def _give_back(self, lease_left: timedelta) -> None:
        """What is ready and will not begin here soon is due again for everybody."""
        now = self._clock.now()
        await self._hand_back(
            [each for lane in self.lanes.values() for each in lane.give_back(now, lease_left=lease_left)]
        )

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

    async def claim(self, targets: Collection[str] | None = None, *, ahead: bool = False) -> list[Delivery]:
        """Due deliveries within the lanes' bounds, held under a lease. NotDone while the database is away.

        targets: whose lanes alone may have something due; None for all. ahead: also what can wait ready in a lane.
        """
        if self._finished.qsize() >= UNSETTLED_MAX:
            return []
        now = self._clock.now()
        lanes = {target: self.lanes[target] for target in (self.lanes if targets is None else targets)}
        free = {
            target: lane.ask(lane.room(now) if ahead else lane.free(now)) for target, lane in lanes.items()
        }
        claimed: list[Delivery] = []
        try:
            if any(free.values()):
                claimed = await self._claim(free)
        except BaseException:
            for lane in lanes.values():
                lane.not_claimed()
            raise
        taken = Counter(delivery.target for delivery in claimed)
        for target, lane in lanes.items():
            lane.claimed(taken[target], asked=free[target])
        if claimed:
            crash_point("after_claim")
        return claimed

    async def _claim(self, free: Mapping[str, int]) -> list[Delivery]:
        try:
            async with self._unit.store.driver() as driver:
                return await claims.claim(
                    driver, free, self._clock.now(), self._unit.new_id("lea"), self._lease
                )
        except UNREACHABLE as error:
            raise unreachable(error) from error

    async def _claim_calmly(self, stop: asyncio.Event, targets: Collection[str] | None) -> list[Delivery]:
        """Nothing ends the loop: not a database that is away, nor a table under migration."""
        try:
            return await self.claim(targets, ahead=True)
        except OrdermeshError as error:
            LOG.warning("claim_failed", reason=error.reason, relay=self._name)
        except Exception:
            LOG.exception("claim_crashed", relay=self._name)
        await self._clock.wait(stop, AFTER_FAULT)
        self.bell.ask_all()
        return []

    async def _hand_back(self, claimed: Sequence[Delivery]) -> None:
        """What is held and not tried is due at once for whoever claims next; where that fails, once its lease ends."""
        if not claimed:
            return
        for delivery in claimed:
            self.lanes[delivery.target].in_flight -= 1
        try:
            async with self._unit.store.driver() as driver:
                await claims.hand_back(driver, claimed)
        except AGAIN + UNREACHABLE as error:
            LOG.info("not_handed_back", cause=type(error).__name__, deliveries=len(claimed))

    async def _try_and_queue(self, delivery: Delivery) -> None:
        await self._finished.put(await self._try(delivery))

    async def _try(self, delivery: Delivery) -> Tried:
        lane = self.lanes[delivery.target]
        start_time, started = self._clock.now(), time.perf_counter()
        try:
            outcome = await deliver(
                self._routes[delivery.target].target,
                delivery,
                lane.policy,
                self._clock,
                f"relay:{self._name}",
            )
            crash_point("after_deliver")
        finally:
            lane.in_flight -= 1
            lane.took(self._clock.now() - start_time)
            if lane.wants_more():
                self.bell.ring_for(delivery.target)
        if isinstance(outcome, Failed):
            lane.failed(outcome.error, self._clock.now())
            if lane.ready:
                self.bell.ring_for(delivery.target)
        else:
            lane.succeeded()
        return Tried(delivery, outcome, start_time, int((time.perf_counter() - started) * 1_000_000))

    async def _settle_finished(self, stop: asyncio.Event) -> None:
        """Settles what has ended, in batches of what queued while the last commit was in flight."""
        while True:
            batch = [await self._finished.get()]
            while len(batch) < SETTLE_MAX and not self._finished.empty():
                batch.append(self._finished.get_nowait())
            onward = Onward(holds=not stop.is_set() and self._finished.qsize() < UNSETTLED_MAX)
            await self._settle_calmly(batch, onward)
            if stop.is_set():
                await self._hand_back(onward.held)
            else:
                self._begin(onward.held)
            for _ in batch:
                self._finished.task_done()

    async def _settle_calmly(self, batch: Sequence[Tried], onward: Onward) -> None:
        """A batch that cannot be settled stays leased; it is claimed again, in doubt, when the lease ends."""
        try:
            await self.settle(batch, onward)
        except OrdermeshError as error:
            LOG.warning("settle_failed", reason=error.reason, relay=self._name, deliveries=len(batch))
        except Exception:
            LOG.exception("settle_crashed", relay=self._name, deliveries=len(batch))

    async def settle(self, batch: Sequence[Tried], onward: Onward | None = None) -> None:
        """Commits what became of each, with what follows from it. Raises NotDone or OutcomeUnknown for the database.

        onward: takes what is held already of what is due next; None holds nothing.
        """
        onward = onward or Onward(holds=False)
        await self._settling.settle(batch, onward)
        crash_point("after_settle")
        if onward.is_due:
            self.bell.set()
