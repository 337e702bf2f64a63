"""Lanes: one per target, so that a slow or dead system holds up nobody else.

Open this file to change how many deliveries to a target run at once, or when a failing target is left alone.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.common.durable.model import Delivery
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
QUICK = timedelta(milliseconds=250)
"""Tries that take no longer are quick: many may be under way, and more are held than can begin at once."""
SLOW = timedelta(seconds=1)
"""Tries that take longer are not. What is in between changes nothing: with many under way, each waits its turn at a
target that takes a few at a time."""
READY_SHARE = 1
"""Deliveries that wait ready for each that may always be tried."""


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """Bounds of one lane."""

    concurrency_max: int = 8
    concurrency_quick: int = 0
    """Where tries are quick, if that is more: they end together then and share their commits, so each costs less. How
    many calls a system bears at a time is its connector's matter."""
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
        """Deliveries that this process holds: those that are tried, and those in `ready`."""
        self.ready: deque[Delivery] = deque()
        """Held, and begun as soon as another is over, so that nothing has to be claimed in between."""
        self._is_quick = False
        self._asked = 0
        """Deliveries that a claim under way may bring."""
        self._has_more = False
        """The last claim took as many as it might: there may be more."""
        self._failures = 0
        self._open_span = OPEN_MIN
        self._open_until: datetime | None = None
        self._paused_until: datetime | None = None

    @property
    def under_way(self) -> int:
        """Tries under way."""
        return self.in_flight - len(self.ready)

    def free(self, now: datetime) -> int:
        """Deliveries that may be held and begun now."""
        return max(0, self._limit(now) - self.in_flight - self._asked)

    def room(self, now: datetime) -> int:
        """Deliveries that may be held now, those included that wait for one to be over."""
        limit = self._limit(now)
        return max(0, limit - self.in_flight - self._asked + (self._spare() if limit > 1 else 0))

    def _limit(self, now: datetime) -> int:
        if self.is_open(now) or (self._paused_until and now < self._paused_until):
            return 0
        return 1 if self._failures >= OPEN_AFTER_FAILURES else self._bound

    @property
    def _bound(self) -> int:
        quick = self.policy.concurrency_quick if self._is_quick else 0
        return max(self.policy.concurrency_max, quick)

    def _spare(self) -> int:
        """Places in `ready`. Where tries take long, others may have time before us."""
        return READY_SHARE * self.policy.concurrency_max if self._is_quick else 0

    def next(self, now: datetime) -> Delivery | None:
        """Another that is ready, where one more may be tried."""
        return self.ready.popleft() if self.ready and self.under_way < self._limit(now) else None

    def give_back(self, now: datetime, *, lease_left: timedelta) -> list[Delivery]:
        """What had better be due for everybody: the target is to be left alone, or the lease is running out."""
        last = now + lease_left
        back = [each for each in self.ready if not self._limit(now) or each.lease_end < last]
        for delivery in back:
            self.ready.remove(delivery)
        return back

    def forget_ready(self) -> None:
        """The process ends; what is ready stays leased."""
        self.in_flight -= len(self.ready)
        self.ready.clear()

    def ask(self, count: int) -> int:
        """A claim may bring so many; their places are kept until it has ended."""
        self._asked = count
        return count

    def claimed(self, count: int, *, asked: int) -> None:
        """So many of those asked for were due."""
        self._asked = 0
        self.in_flight += count
        if asked:
            self._has_more = count >= asked

    def not_claimed(self) -> None:
        """The claim came to nothing, and nobody knows what is due."""
        self._asked = 0

    def admits_next(self, now: datetime) -> bool:
        """True when a delivery that is just being made may begin unclaimed; it is under way from here.

        Never where others may be waiting, and never in the last quarter of the lane: whatever is due for longer, or was
        made by another process, comes in by a claim.
        """
        if self._has_more or not self._limit(now):
            return False
        if self.in_flight + self._asked >= self._busy_from():
            self._has_more = True
            return False
        self.in_flight += 1
        return True

    def wants_more(self) -> bool:
        """True when more may wait and a quarter of the lane is free: one delivery costs a claim as much as many."""
        return self._has_more and self.in_flight <= self._busy_from()

    def _busy_from(self) -> int:
        return (self._bound + self._spare()) * 3 // 4

    def took(self, span: timedelta) -> None:
        """So long a try has taken."""
        self._is_quick = span <= (SLOW if self._is_quick else QUICK)

    def is_open(self, now: datetime) -> bool:
        """True while the breaker leaves the target alone."""
        return self._open_until is not None and now < self._open_until

    def is_sound(self, now: datetime) -> bool:
        """True while nothing speaks against a call out of turn: no pause, no failures that await a probe."""
        return self._failures < OPEN_AFTER_FAILURES and not self.pause_left(now)

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
