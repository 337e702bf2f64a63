"""What becomes of a delivery once it was tried. Open this file to learn when one is retried, asked about or parked.

Deliveries that ended together settle in one commit, each with what follows from it. When that fails they settle one by
one; a delivery whose own consequence cannot be stored settles as failed, so that it is retried and parked like any
other and holds up nobody but its followers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Generic, TypeVar

import structlog

from libs.common.context import using
from libs.common.durable import claims
from libs.common.durable.claims import Verdict
from libs.common.durable.counts import count_tries
from libs.common.durable.lanes import Lane
from libs.common.durable.model import Delivered, Delivery, Failed, State, Tried, context_of
from libs.common.durable.seal import Sealer
from libs.common.durable.store import AGAIN, UNREACHABLE, UNSTORABLE
from libs.common.durable.tx import Group, Tx
from libs.common.durable.tx.ahead import read_ahead
from libs.common.durable.unit import AWAY_MAX, Unit, is_away
from libs.common.errors import NotDone, OrdermeshError, Refused
from libs.common.retry import Parked, Reconcile, decide

LOG = structlog.get_logger(__name__)

T = TypeVar("T", bound=Tx)


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
    ) -> None:
        self._unit = unit
        self._lanes = lanes
        self._name = name
        self._sealer = sealer
        self._draw = draw

    async def settle(self, batch: Sequence[Tried]) -> None:
        """One commit for all; one each when the shared one fails.

        Raises NotDone or OutcomeUnknown while the database is away; what is not settled then stays leased, and is
        claimed again when the lease ends.
        """
        try:
            await self._commit(batch)
        except Exception as error:  # noqa: BLE001  (found again one by one)
            LOG.info("settling_one_by_one", cause=type(error).__name__, deliveries=len(batch))
            await self._settle_one_by_one(batch)

    async def _settle_one_by_one(self, batch: Sequence[Tried]) -> None:
        away: list[OrdermeshError] = []
        for tried in batch:
            if len(away) >= AWAY_MAX:
                break
            try:
                await self._settle_alone(tried)
            except OrdermeshError as error:
                away.append(error)
        if away:
            raise away[0]

    async def _settle_alone(self, tried: Tried) -> None:
        """Raises only while the database is away; a fault of its own settles the delivery as failed."""
        try:
            await self._commit([tried])
        except Exception as error:
            if is_away(error):
                raise
            place = {"target": tried.delivery.target, "subject": tried.delivery.event.subject}
            LOG.warning("not_followed", **place, error=error, exc_info=not isinstance(error, OrdermeshError))
            await self._commit([replace(tried, outcome=_not_followed(tried, error))])

    async def _commit(self, batch: Sequence[Tried]) -> None:
        count_tries(await self._unit.commit(lambda group: self._settle_group(group, batch)))

    async def _settle_group(self, group: Group, batch: Sequence[Tried]) -> list[tuple[Tried, Verdict]]:
        held = await claims.still_held(group.driver, [tried.delivery for tried in batch])
        await self._read_ahead(group, [tried for tried in batch if tried.delivery.delivery_id in held])
        verdicts: dict[int, Verdict] = {}
        attempts, settled = [], []
        for tried in batch:
            delivery = tried.delivery
            if delivery.delivery_id not in held:
                LOG.warning("lease_lost", delivery=delivery.delivery_id, target=delivery.target)
                continue
            verdict = await self._verdict(group, tried)
            verdicts[delivery.delivery_id] = verdict
            settled.append((tried, verdict))
            attempts.append(claims.attempt_row(tried, verdict, tried.outcome.evidence, self._sealer))
        await claims.settle(group.driver, verdicts, group.now)
        await claims.write_attempts(group.driver, attempts)
        return settled

    async def _read_ahead(self, group: Group, batch: Sequence[Tried]) -> None:
        """What follows begins with the record that the event tells of."""
        followed = [
            tried.delivery for tried in batch if isinstance(tried.outcome, Delivered) and tried.outcome.follow
        ]
        if len(followed) > 1:
            context = context_of(followed[0].event, f"relay:{self._name}")
            tx = self._unit.open(group, context, followed[0].target)
            await read_ahead(tx, [(delivery.event.tenant, delivery.event.subject) for delivery in followed])

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
