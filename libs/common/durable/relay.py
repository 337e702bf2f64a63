"""The loop outward: claims due deliveries, hands each to its target, settles them.

Open this file to follow an event out.

    claim (one commit)  →  target.deliver (no transaction open)  →  settle (one commit with what follows from it)

A process may die between any two of these. What it held is claimed again when the lease ends; a target that writes to
an outside system is then asked first (`IN_DOUBT`).
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

import structlog

from libs.common.clock import Clock
from libs.common.context import using
from libs.common.durable import claims
from libs.common.durable.claims import Verdict
from libs.common.durable.crash import crash_point
from libs.common.durable.lanes import Lane, LanePolicy
from libs.common.durable.model import Delivery, Evidence, Failed, Outcome, State, Tried, context_of
from libs.common.durable.seal import Sealer
from libs.common.durable.store import AGAIN, UNREACHABLE
from libs.common.durable.tx import Group, Tx
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.retry import Parked, Reconcile, decide

LOG = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)
POLL = timedelta(milliseconds=500)
AFTER_FAULT = timedelta(seconds=1)
SETTLE_MAX = 128

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
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._unit = unit
        self._routes = routes
        self._name = name
        self._clock = clock
        self._sealer = sealer
        self._draw = draw
        self.lanes = {target: Lane(target, route.policy) for target, route in routes.items()}
        self.bell = asyncio.Event()
        """Set when there may be something to do; the loop clears it."""
        self._finished: asyncio.Queue[Tried] = asyncio.Queue()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop`, then lets what is under way end."""
        trying: set[asyncio.Task[None]] = set()
        settler = asyncio.create_task(self._settle_finished())
        while not stop.is_set():
            self.bell.clear()
            claimed = await self._claim_calmly()
            for delivery in claimed:
                task = asyncio.create_task(self._try_and_queue(delivery))
                trying.add(task)
                task.add_done_callback(trying.discard)
            if not claimed:
                await self._clock.wait(self.bell, POLL)
        if trying:
            await asyncio.wait(trying)
        await self._finished.join()
        settler.cancel()

    async def run_once(self) -> int:
        """Claims what is due, tries it, settles it; the number of deliveries tried."""
        claimed = await self.claim()
        tried = await asyncio.gather(*(self._try(delivery) for delivery in claimed))
        if tried:
            await self.settle(tried)
        return len(tried)

    async def claim(self) -> list[Delivery]:
        """Due deliveries within the lanes' bounds, held under a lease."""
        now = self._clock.now()
        free = {target: lane.free(now) for target, lane in self.lanes.items()}
        lease_id = self._unit.new_id("lea")
        try:
            async with self._unit.store.driver() as driver:
                claimed = await claims.claim(driver, free, now, lease_id, LEASE)
        except UNREACHABLE as error:
            raise NotDone("STORE_UNAVAILABLE", type(error).__name__) from error
        for delivery in claimed:
            self.lanes[delivery.target].in_flight += 1
        if claimed:
            crash_point("after_claim")
        return claimed

    async def _claim_calmly(self) -> list[Delivery]:
        try:
            return await self.claim()
        except OrdermeshError as error:
            LOG.warning("claim_failed", reason=error.reason, relay=self._name)
            await self._clock.wait(asyncio.Event(), AFTER_FAULT)
            return []

    async def _try_and_queue(self, delivery: Delivery) -> None:
        await self._finished.put(await self._try(delivery))

    async def _try(self, delivery: Delivery) -> Tried:
        lane = self.lanes[delivery.target]
        start_time, started = self._clock.now(), time.perf_counter()
        outcome = await self._deliver(delivery, lane.policy.seconds_max)
        crash_point("after_deliver")
        lane.in_flight -= 1
        if isinstance(outcome, Failed):
            lane.failed(outcome.error, self._clock.now())
        else:
            lane.succeeded()
        self.bell.set()
        return Tried(delivery, outcome, start_time, int((time.perf_counter() - started) * 1_000_000))

    async def _deliver(self, delivery: Delivery, seconds_max: float) -> Outcome:
        with using(context_of(delivery.event, f"relay:{self._name}")):
            try:
                async with asyncio.timeout(seconds_max):
                    return await self._routes[delivery.target].target.deliver(delivery)
            except OrdermeshError as error:
                return Failed(error)
            except TimeoutError:
                return Failed(OutcomeUnknown("DEADLINE_EXCEEDED", "the try took too long"))
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
        """One commit for all; one each when the shared one fails for good."""
        try:
            await self._unit.commit(lambda group: self._settle_group(group, batch))
        except OrdermeshError:
            if len(batch) == 1:
                raise
            for tried in batch:
                await self._settle_calmly([tried])
        crash_point("after_settle")
        self.bell.set()

    async def _settle_group(self, group: Group, batch: Sequence[Tried]) -> None:
        held = await claims.still_held(group.driver, [tried.delivery for tried in batch])
        verdicts: dict[int, Verdict] = {}
        attempts = []
        for tried in batch:
            delivery = tried.delivery
            if delivery.delivery_id not in held:
                LOG.warning("lease_lost", delivery=delivery.delivery_id, target=delivery.target)
                continue
            verdict = await self._verdict(group, tried)
            verdicts[delivery.delivery_id] = verdict
            attempts.append(claims.attempt_row(tried, verdict, _evidence(tried.outcome), self._sealer))
        await claims.settle(group.driver, verdicts, group.now)
        await claims.write_attempts(group.driver, attempts)

    async def _verdict(self, group: Group, tried: Tried) -> Verdict:
        """What becomes of a delivery; runs what follows from a success in the same commit."""
        delivery, outcome = tried.delivery, tried.outcome
        if isinstance(outcome, Failed):
            return self._after_failure(delivery, outcome.error, group.now)
        if outcome.follow is None:
            return Verdict(State.DELIVERED, group.now, delivery.attempt)
        context = context_of(delivery.event, f"relay:{self._name}")
        tx = self._unit.open(group, context, delivery.target)
        try:
            await outcome.follow(tx)
        except OrdermeshError as error:
            return self._after_failure(delivery, error, group.now)
        except AGAIN + UNREACHABLE:
            raise
        except Exception as error:
            LOG.exception("follow_crashed", target=delivery.target, subject=delivery.event.subject)
            crashed = NotDone("CRASHED", f"{type(error).__name__} while settling")
            return self._after_failure(delivery, crashed, group.now)
        group.accept(tx)
        return Verdict(State.DELIVERED, group.now, delivery.attempt)

    def _after_failure(self, delivery: Delivery, error: OrdermeshError, now: datetime) -> Verdict:
        lane = self.lanes[delivery.target]
        decision = decide(error, delivery.attempt, now, lane.policy.retry, self._draw())
        spent = delivery.attempt if lane.spends_attempt(error) else delivery.attempt - 1
        if not lane.spends_attempt(error) and isinstance(decision, Parked) and not isinstance(error, Refused):
            decision = decide(error, 1, now, lane.policy.retry, self._draw())
        shown = Verdict(
            State.RETRYING,
            now,
            spent,
            reason=error.reason,
            failure_class=error.policy.failure_class,
            owner=error.policy.owner,
            detail=_detail(error),
            pointer=error.violations[0].field if error.violations else "",
        )
        if isinstance(decision, Parked):
            LOG.warning("parked", target=delivery.target, subject=delivery.event.subject, reason=error.reason)
            return replace(shown, state=State.PARKED)
        state = (
            State.IN_DOUBT if isinstance(decision, Reconcile) or _stays_in_doubt(delivery) else State.RETRYING
        )
        return replace(shown, state=state, due_time=decision.due_time)


def _stays_in_doubt(delivery: Delivery) -> bool:
    """A failed look-up proves nothing: what was in doubt before stays so."""
    return delivery.state is State.IN_DOUBT


def _detail(error: OrdermeshError) -> str:
    return f"{error.detail} ({error.facts.verdict})" if error.facts.verdict else error.detail


def _evidence(outcome: Outcome) -> Evidence:
    return outcome.evidence
