"""What becomes of a delivery once it was tried. Open this file to learn when one is retried, asked about or parked.

Deliveries that ended together settle in one commit, each with what follows from it. When that fails they settle one by
one; a delivery whose own consequence cannot be stored settles as failed, so that it is retried and parked like any
other and holds up nobody but its followers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import structlog

from libs.common.context import using
from libs.common.durable import claims, tables
from libs.common.durable.claims import Verdict
from libs.common.durable.counts import count_tries
from libs.common.durable.lanes import Lane
from libs.common.durable.model import Delivered, Delivery, Failed, State, Tried, context_of
from libs.common.durable.onward import NextSteps
from libs.common.durable.rows import Errand
from libs.common.durable.seal import Sealer
from libs.common.durable.store import AGAIN, UNREACHABLE, UNSTORABLE
from libs.common.durable.tx import Group, Tx
from libs.common.durable.tx.ahead import not_seen, see
from libs.common.durable.unit import AWAY_MAX, Unit, is_away
from libs.common.errors import NotDone, OrdermeshError, Refused
from libs.common.retry import Parked, Reconcile, decide

LOG = structlog.get_logger(__name__)

T = TypeVar("T", bound=Tx)


@dataclass(slots=True)
class Onward:
    """How it goes on after a batch."""

    holds: bool
    """Whether what the batch makes due may be held and begun by this relay."""
    held: list[Delivery] = field(default_factory=list)
    """What is held and yet to begin."""
    is_due: bool = False
    """Whether something else may be due by now: what has waited behind one of them, or one of them again."""


class Settling(Generic[T]):
    """Settles the deliveries of one relay."""

    def __init__(
        self,
        unit: Unit[T],
        lanes: Mapping[str, Lane],
        *,
        name: str,
        sealer: Sealer,
        draw: Callable[[], float],
        lease: timedelta,
    ) -> None:
        self._unit = unit
        self._lanes = lanes
        self._name = name
        self._sealer = sealer
        self._draw = draw
        self._lease = lease

    async def settle(self, batch: Sequence[Tried], onward: Onward) -> None:
        """One commit for all; one each when the shared one fails.

        Raises NotDone or OutcomeUnknown while the database is away; what is not settled then stays leased, and is
        claimed again when the lease ends.
        """
        try:
            await self._commit(batch, onward)
        except Exception as error:  # noqa: BLE001  (found again one by one)
            LOG.info("settling_one_by_one", cause=type(error).__name__, deliveries=len(batch))
            await self._settle_one_by_one(batch, onward)

    async def _settle_one_by_one(self, batch: Sequence[Tried], onward: Onward) -> None:
        away: list[OrdermeshError] = []
        for tried in batch:
            if len(away) >= AWAY_MAX:
                break
            try:
                await self._settle_alone(tried, onward)
            except OrdermeshError as error:
                away.append(error)
        if away:
            raise away[0]

    async def _settle_alone(self, tried: Tried, onward: Onward) -> None:
        """Raises only while the database is away; a fault of its own settles the delivery as failed."""
        try:
            await self._commit([tried], onward)
        except Exception as error:
            if is_away(error):
                raise
            place = {"target": tried.delivery.target, "subject": tried.delivery.event.subject}
            LOG.warning("not_followed", **place, error=error, exc_info=not isinstance(error, OrdermeshError))
            await self._commit([replace(tried, outcome=_not_followed(tried, error))], onward)

    async def _commit(self, batch: Sequence[Tried], onward: Onward) -> None:
        steps = NextSteps(self._lanes if onward.holds else {}, self._lease)
        try:
            settled, written = await self._unit.commit(lambda group: self._settle_group(group, batch, steps))
        except BaseException:
            steps.give_up()
            raise
        onward.held += steps.held()
        onward.is_due |= any(errand.found or errand.name == "failed" for errand in written)
        count_tries(settled)

    async def _settle_group(
        self, group: Group, batch: Sequence[Tried], steps: NextSteps
    ) -> tuple[list[tuple[Tried, Verdict]], Sequence[Errand]]:
        held = await self._still_held(group, batch)
        settled: dict[int, tuple[Tried, Verdict]] = {}
        for tried in batch:
            delivery = tried.delivery
            if (delivery.delivery_id, delivery.lease_id) not in held:
                LOG.warning("lease_lost", delivery=delivery.delivery_id, target=delivery.target)
                continue
            verdict = await self._verdict(group, tried)
            settled[delivery.delivery_id] = tried, verdict
            row = claims.attempt_row(tried, verdict, tried.outcome.evidence, self._sealer)
            group.add(tables.ATTEMPT, row)
        verdicts = {delivery_id: verdict for delivery_id, (_, verdict) in settled.items()}
        written = claims.settling(verdicts, group.now)
        for errand in written:
            group.along(errand)
        steps.choose(group, [each for each in verdicts if verdicts[each].state is State.DELIVERED])
        return list(settled.values()), written

    async def _still_held(self, group: Group, batch: Sequence[Tried]) -> set[claims.Held]:
        """Which of them are held, and under which lease.

        What follows begins with the record that the event tells of; those of one kind are read by the same message.
        """
        deliveries = [tried.delivery for tried in batch]
        followed = [
            each.delivery for each in batch if isinstance(each.outcome, Delivered) and each.outcome.follow
        ]
        if followed:
            tx = self._unit.open(
                group, context_of(followed[0].event, f"relay:{self._name}"), followed[0].target
            )
            for kind, keys in not_seen(tx, [(each.event.tenant, each.event.subject) for each in followed])[
                :1
            ]:
                held, rows = await claims.still_held(group.driver, deliveries, kind.table.name, keys)
                see(tx, kind, keys, rows)
                return held
        held, _ = await claims.still_held(group.driver, deliveries)
        return held

    async def _verdict(self, group: Group, tried: Tried) -> Verdict:
        """What becomes of a delivery; runs what follows from a success in the same commit."""
        delivery, outcome = tried.delivery, tried.outcome
        if isinstance(outcome, Failed):
            return self._after_failure(delivery, outcome, group.now)
        if outcome.follow is not None:
            context = context_of(delivery.event, f"relay:{self._name}")
            tx = self._unit.open(group, context, delivery.target)
            try:
                with using(context):
                    await outcome.follow(tx)
            except AGAIN + UNREACHABLE + UNSTORABLE:
                raise
            except Exception as error:
                if not isinstance(error, OrdermeshError):
                    LOG.exception("follow_crashed", target=delivery.target, subject=delivery.event.subject)
                return self._after_failure(delivery, _not_followed(tried, error), group.now)
            group.accept(tx)
        return Verdict(State.DELIVERED, group.now, delivery.attempt)

    def _after_failure(self, delivery: Delivery, failed: Failed, now: datetime) -> Verdict:
        lane, error = self._lanes[delivery.target], failed.error
        spends = lane.spends_attempt(error)
        decision = decide(error, delivery.attempt, now, lane.policy.retry, self._draw())
        if isinstance(decision, Parked) and not spends and not isinstance(error, Refused):
            decision = decide(error, 1, now, lane.policy.retry, self._draw())
        shown = Verdict(
            State.RETRYING,
            now,
            delivery.attempt if spends else delivery.attempt - 1,
            reason=error.reason,
            failure_class=error.policy.failure_class,
            owner=error.policy.owner,
            detail=_detail(error),
            pointer=error.violations[0].field if error.violations else "",
        )
        if isinstance(decision, Parked):
            LOG.warning("parked", target=delivery.target, subject=delivery.event.subject, reason=error.reason)
            detail = shown.detail if decision.reason == error.reason else f"{error.reason}: {shown.detail}"
            return replace(shown, state=State.PARKED, reason=decision.reason, detail=detail)
        doubt = isinstance(decision, Reconcile) or failed.applied or delivery.state is State.IN_DOUBT
        state = State.IN_DOUBT if doubt and delivery.asks_first else State.RETRYING
        return replace(shown, state=state, due_time=decision.due_time)


def _not_followed(tried: Tried, error: Exception) -> Failed:
    """The target has it, or not as the try found; what follows from it was refused or crashed."""
    if not isinstance(error, OrdermeshError):
        error = NotDone("CRASHED", f"{type(error).__name__} while settling")
    return Failed(error, tried.outcome.evidence, applied=isinstance(tried.outcome, Delivered))


def _detail(error: OrdermeshError) -> str:
    return f"{error.detail} ({error.facts.verdict})" if error.facts.verdict else error.detail
