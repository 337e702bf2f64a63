"""One try: a delivery is handed to its target. Open this file to learn what is known when a target says nothing.

A try ends before its lease does, whatever the target does; what ends without an answer may have been done.
"""

import asyncio
from datetime import timedelta
from typing import Protocol

import structlog

from libs.common.clock import Clock
from libs.common.context import using
from libs.common.durable.lanes import LanePolicy
from libs.common.durable.model import Delivery, Evidence, Failed, Outcome, context_of
from libs.common.durable.reads import at_hand
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown
from libs.common.rpc.interceptors.deadline import ending_in

LOG = structlog.get_logger(__name__)
LEASE_REST = timedelta(seconds=5)
"""Left of the lease when a try is broken off, so that it is over before somebody else may begin."""


class Target(Protocol):
    """Where deliveries go."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Hands the event over, or says why not. May be called again for the same event after any outcome."""


async def deliver(
    target: Target, delivery: Delivery, policy: LanePolicy, clock: Clock, actor: str
) -> Outcome:
    """What the target says, or what is known when it says nothing."""
    if delivery.attempt > policy.retry.attempts_max:
        return Failed(OutcomeUnknown("CRASHED", "the process died in each try so far"))
    left = delivery.lease_end - LEASE_REST - clock.now()
    if left <= timedelta(0):
        return Failed(NotDone("OVERLOADED", "the lease was over before the try could begin"))
    seconds = min(policy.seconds_max, left.total_seconds())
    with using(context_of(delivery.event, actor)), at_hand(delivery), ending_in(seconds):
        try:
            async with asyncio.timeout(seconds):
                return await target.deliver(delivery)
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


def _is_being_cancelled() -> bool:
    """False when a call was cancelled and not we: a channel that closes cancels the calls on it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
