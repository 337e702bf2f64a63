"""Lanes: one per target, so that a slow or dead system holds up nobody else.

Open this file to change how many deliveries to a target run at once, or when a failing target is left alone.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown
from libs.common.retry import RetryPolicy

OPEN_AFTER_FAILURES = 5
OPEN_MIN = timedelta(milliseconds=500)
OPEN_MAX = timedelta(seconds=30)
RETRY_AFTER_MAX = timedelta(hours=6)
UNREACHABLE = frozenset({"SYSTEM_UNAVAILABLE", "UNAVAILABLE", "STORE_UNAVAILABLE", "SYSTEM_CREDENTIALS"})
"""Reasons that speak of the target as a whole and not of the record: they count towards opening the breaker."""
LOST = frozenset({"OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"})
"""Reasons that no answer came: they count towards opening the breaker as well, but a record that always ends so is
given up in the end."""
SLOW_DOWN = frozenset({"SYSTEM_THROTTLED", "SYSTEM_QUOTA_SPENT", "OVERLOADED", "RATE_LIMITED"})
"""Reasons by which the target asks for a pause of the whole lane."""
PAUSE_MIN = timedelta(milliseconds=500)
"""Also when the target names no time, or none worth the name: `Retry-After: 0` is no leave to hammer at it."""
QUOTA_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """Bounds of one lane."""

    concurrency_max: int = 8
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    seconds_max: float = 40.0
    """Longest duration of one try; the lease is longer."""


class Lane:
    """In-flight count and circuit breaker of one target, within one process.

    closed → (OPEN_AFTER_FAILURES in a row) → open for a while → one probe → closed, or open for twice as long.
    An open breaker claims nothing, so it spends no attempts.
    """

    def __init__(self, target: str, policy: LanePolicy) -> None:
        self.target = target
        self.policy = policy
        self.in_flight = 0
        self._has_more = False
        """The last claim took as many as it might: there may be more."""
        self._failures = 0
        self._open_span = OPEN_MIN
        self._open_until: datetime | None = None
        self._paused_until: datetime | None = None

    def free(self, now: datetime) -> int:
        """Deliveries that may be claimed now."""
        if self.is_open(now) or (self._paused_until and now < self._paused_until):
            return 0
        limit = 1 if self._failures >= OPEN_AFTER_FAILURES else self.policy.concurrency_max
        return max(0, limit - self.in_flight)

    def claimed(self, count: int, *, asked: int) -> None:
        """So many of those asked for were due."""
        self.in_flight += count
        if asked:
            self._has_more = count >= asked

    def wants_more(self) -> bool:
        """True when more may wait and a quarter of the lane is free: one delivery costs a claim as much as many."""
        return self._has_more and self.in_flight <= self.policy.concurrency_max * 3 // 4

    def is_open(self, now: datetime) -> bool:
        """True while the breaker leaves the target alone."""
        return self._open_until is not None and now < self._open_until

    def pause_left(self, now: datetime) -> timedelta:
        """What is left of the pause that the target asked for."""
        return max(timedelta(0), self._paused_until - now) if self._paused_until else timedelta(0)

    def succeeded(self) -> None:
        """The target works. A pause it asked for goes on all the same: this call was made before."""
        self._failures = 0
        self._open_span = OPEN_MIN
        self._open_until = None

    def failed(self, error: OrdermeshError, now: datetime) -> None:
        """Counts what speaks of the target; a refusal speaks of the record and proves that the target answers.

        A crash is ours and tells nothing of the target.
        """
        if error.reason in SLOW_DOWN:
            pause = QUOTA_PAUSE if error.reason == "SYSTEM_QUOTA_SPENT" else PAUSE_MIN
            asked = pause if error.retry_after is None else error.retry_after
            until = now + min(max(asked, PAUSE_MIN), RETRY_AFTER_MAX)
            self._paused_until = max(until, self._paused_until or until)
        elif isinstance(error, NotDone | OutcomeUnknown) and error.reason in UNREACHABLE | LOST:
            self._count_failure(now)
        elif error.reason != "CRASHED":
            self.succeeded()

    def _count_failure(self, now: datetime) -> None:
        """Calls that were under way when the breaker opened tell nothing new."""
        if self.is_open(now):
            return
        self._failures += 1
        if self._failures >= OPEN_AFTER_FAILURES:
            self._open_until = now + self._open_span
            self._open_span = min(self._open_span * 2, OPEN_MAX)

    def spends_attempt(self, error: OrdermeshError) -> bool:
        """A try that only found the target away or busy is no reason to give the record up."""
        return error.reason not in UNREACHABLE | SLOW_DOWN
