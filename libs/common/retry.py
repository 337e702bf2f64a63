"""When to try again. Open this file to learn or change how long a delivery waits and when it is given up.

Everything here is a pure decision: the caller stores the due time in the delivery's row, nothing sleeps.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently."""

    attempts_max: int = 12
    """Tries in all before a person is asked; an open circuit breaker spends none."""
    wait_min: timedelta = timedelta(milliseconds=200)
    wait_max: timedelta = timedelta(minutes=5)
    retry_after_max: timedelta = timedelta(hours=6)
    """A vendor's Retry-After beyond this is cut: a header must not stop a lane for good."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Surely not applied; try again then."""

    due_time: datetime


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Perhaps applied; look for the key then, before anything is repeated."""

    due_time: datetime


@dataclass(frozen=True, slots=True)
class Parked:
    """A person must act."""

    reason: str


Decision = RetryAt | Reconcile | Parked


def wait_before(attempt: int, policy: RetryPolicy, draw: float) -> timedelta:
    """Time to wait before try `attempt` (2 = first repetition).

    draw: uniform in [0, 1), passed in so that a simulation can replay it.
    Result lies in [wait_min / 2, wait_max]: equal jitter over min(wait_max, wait_min * 2**(attempt - 2)).
    Source: AWS, "Exponential Backoff And Jitter" (2015).
    """
    doublings: int = 2 ** min(max(attempt - 2, 0), 30)
    ceiling = min(policy.wait_max, policy.wait_min * doublings)
    return ceiling * (0.5 + draw / 2)


def wait_after(error: OrdermeshError, attempt: int, policy: RetryPolicy, draw: float) -> timedelta:
    """Time to wait after try number `attempt` (from 1) has failed so.

    A Retry-After is a floor, never a ceiling: the wait is the longer of both.
    """
    asked = min(error.retry_after or timedelta(0), policy.retry_after_max)
    return max(wait_before(attempt + 1, policy, draw), asked)


def decide(error: OrdermeshError, attempt: int, now: datetime, policy: RetryPolicy, draw: float) -> Decision:
    """What follows from a failed try number `attempt` (from 1)."""
    if isinstance(error, Refused):
        return Parked(error.reason)
    if attempt >= policy.attempts_max:
        return Parked("ATTEMPTS_SPENT" if isinstance(error, NotDone) else error.reason)
    due_time = now + wait_after(error, attempt, policy, draw)
    return Reconcile(due_time) if isinstance(error, OutcomeUnknown) else RetryAt(due_time)
