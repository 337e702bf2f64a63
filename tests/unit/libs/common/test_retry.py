"""When to try again is a pure decision: never too early, never for good, never a blind repeat."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.retry import Parked, Reconcile, RetryAt, RetryPolicy, decide, wait_before

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = RetryPolicy()

draws = st.floats(min_value=0, max_value=1, exclude_max=True)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400))
reasons = st.sampled_from(sorted(POLICIES))
policies = st.builds(
    RetryPolicy,
    attempts_max=st.integers(1, 50),
    wait_min=st.timedeltas(timedelta(milliseconds=1), timedelta(seconds=10)),
    wait_max=st.timedeltas(timedelta(seconds=10), timedelta(hours=1)),
    retry_after_max=st.timedeltas(timedelta(0), timedelta(hours=12)),
)


@given(st.integers(2, 10**6), policies, draws)
def test_a_wait_is_never_shorter_than_half_the_least_nor_longer_than_the_most(
    attempt: int, policy: RetryPolicy, draw: float
) -> None:
    wait = wait_before(attempt, policy, draw)

    assert policy.wait_min / 2 <= wait <= policy.wait_max


@given(st.integers(2, 60), policies, draws)
def test_waits_grow_with_the_attempt(attempt: int, policy: RetryPolicy, draw: float) -> None:
    assert wait_before(attempt, policy, draw) <= wait_before(attempt + 1, policy, draw)


def test_the_longest_waits_double_up_to_the_limit() -> None:
    almost_one = 1 - 1e-12

    waits = [wait_before(attempt, POLICY, almost_one) for attempt in range(2, 14)]

    in_seconds = [round(wait.total_seconds(), 3) for wait in waits]
    assert in_seconds == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 300.0]


@given(reasons, st.integers(1, 100), policies, draws, spans)
def test_a_refusal_is_never_tried_again(
    reason: str, attempt: int, policy: RetryPolicy, draw: float, asked: timedelta
) -> None:
    assert decide(Refused(reason, retry_after=asked), attempt, NOW, policy, draw) == Parked(reason)


@given(st.sampled_from([NotDone, OutcomeUnknown]), reasons, st.integers(1, 100), policies, draws)
def test_the_last_attempt_parks_and_none_before(
    kind: type[OrdermeshError], reason: str, attempt: int, policy: RetryPolicy, draw: float
) -> None:
    decision = decide(kind(reason), attempt, NOW, policy, draw)

    assert isinstance(decision, Parked) == (attempt >= policy.attempts_max)


@given(reasons, st.integers(1, 49), draws)
def test_what_is_in_doubt_is_looked_for_and_never_simply_tried_again(
    reason: str, attempt: int, draw: float
) -> None:
    policy = RetryPolicy(attempts_max=50)

    assert isinstance(decide(OutcomeUnknown(reason), attempt, NOW, policy, draw), Reconcile)
    assert isinstance(decide(NotDone(reason), attempt, NOW, policy, draw), RetryAt)


@given(st.integers(1, 49), policies, draws, st.one_of(st.none(), spans, spans.map(lambda span: -span)))
def test_a_retry_after_is_a_floor_within_bounds(
    attempt: int, policy: RetryPolicy, draw: float, asked: timedelta | None
) -> None:
    decision = decide(NotDone("RECORD_LOCKED", retry_after=asked), attempt, NOW, policy, draw)

    if isinstance(decision, Parked):
        return
    wait = decision.due_time - NOW
    assert wait >= wait_before(attempt + 1, policy, draw)
    assert wait >= min(asked or timedelta(0), policy.retry_after_max)
    assert wait <= max(policy.wait_max, policy.retry_after_max)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotDone("RECORD_LOCKED"), "ATTEMPTS_SPENT"),
        (OutcomeUnknown("DEADLINE_EXCEEDED"), "DEADLINE_EXCEEDED"),
    ],
)
def test_a_person_is_told_why_it_was_given_up(error: OrdermeshError, reason: str) -> None:
    assert decide(error, POLICY.attempts_max, NOW, POLICY, 0.5) == Parked(reason)
