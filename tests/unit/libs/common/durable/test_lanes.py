"""A lane leaves its target alone when it should, for as long as it should, and asks no more of it than it bears."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.durable.lanes import (
    LOST,
    OPEN_AFTER_FAILURES,
    OPEN_MAX,
    OPEN_MIN,
    PAUSE_MIN,
    QUICK,
    QUOTA_PAUSE,
    RETRY_AFTER_MAX,
    SLOW,
    SLOW_DOWN,
    UNREACHABLE,
    Lane,
    LanePolicy,
)
from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AWAY = NotDone("SYSTEM_UNAVAILABLE")
MOMENT = timedelta(microseconds=1)


def a_lane(concurrency_max: int = 4) -> Lane:
    return Lane("connector:erp", LanePolicy(concurrency_max=concurrency_max))


def an_open_lane() -> Lane:
    lane = a_lane()
    for _ in range(OPEN_AFTER_FAILURES):
        lane.failed(AWAY, NOW)
    return lane


@given(st.integers(1, 64), st.integers(0, 100))
def test_what_is_free_is_the_bound_without_what_is_under_way(bound: int, in_flight: int) -> None:
    lane = a_lane(bound)
    lane.in_flight = in_flight

    assert lane.free(NOW) == max(0, bound - in_flight)


def test_it_wants_more_once_a_quarter_is_free_of_what_a_claim_has_filled() -> None:
    lane = a_lane(8)
    lane.claimed(8, asked=8)
    wanted = []
    while lane.in_flight:
        lane.in_flight -= 1
        wanted.append(lane.wants_more())

    assert wanted == [False, *[True] * 7]


def test_it_wants_no_more_where_the_last_claim_found_less_than_it_asked_for() -> None:
    lane = a_lane(8)
    lane.claimed(8, asked=8)
    lane.in_flight = 0
    lane.claimed(7, asked=8)
    lane.in_flight = 0

    assert not lane.wants_more()


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    lane = a_lane()
    for _ in range(OPEN_AFTER_FAILURES - 1):
        lane.failed(AWAY, NOW)
    assert lane.free(NOW) == 4

    lane.failed(AWAY, NOW)

    assert lane.is_open(NOW)
    assert lane.free(NOW) == 0


@pytest.mark.parametrize("answer", [Refused("ERP_REFUSED"), NotDone("RECORD_LOCKED"), None])
def test_an_answer_in_between_starts_the_count_anew(answer: OrdermeshError | None) -> None:
    lane = a_lane()
    for _ in range(3):
        for _ in range(OPEN_AFTER_FAILURES - 1):
            lane.failed(AWAY, NOW)
        lane.failed(answer, NOW) if answer else lane.succeeded()

    assert not lane.is_open(NOW)


def test_a_crash_of_ours_tells_nothing_of_the_target() -> None:
    lane = a_lane()
    for _ in range(OPEN_AFTER_FAILURES):
        lane.failed(AWAY, NOW)
        lane.failed(OutcomeUnknown("CRASHED"), NOW)

    assert lane.is_open(NOW)


@pytest.mark.parametrize("reason", sorted(UNREACHABLE | LOST))
def test_a_target_that_does_not_answer_opens_it(reason: str) -> None:
    lane = a_lane()
    for _ in range(OPEN_AFTER_FAILURES):
        lane.failed(OutcomeUnknown(reason), NOW)

    assert lane.is_open(NOW)


def test_after_its_time_one_probe_goes_out_and_no_second_one() -> None:
    lane = an_open_lane()
    later = NOW + OPEN_MIN
    assert lane.free(later - MOMENT) == 0
    assert lane.free(later) == 1

    lane.in_flight = 1

    assert lane.free(later) == 0


def test_a_probe_that_succeeds_closes_it() -> None:
    lane = an_open_lane()

    lane.succeeded()

    assert lane.free(NOW) == 4


def test_each_probe_that_fails_doubles_the_time_up_to_the_limit() -> None:
    lane, now = an_open_lane(), NOW
    spans = []
    for _ in range(10):
        start = now
        while lane.is_open(now):
            now += timedelta(milliseconds=100)
        spans.append(now - start)
        lane.failed(AWAY, now)

    assert spans == [min(OPEN_MIN * 2**number, OPEN_MAX) for number in range(10)]


def test_failures_of_calls_that_were_under_way_when_it_opened_do_not_prolong_it() -> None:
    lane = an_open_lane()
    for _ in range(30):
        lane.failed(AWAY, NOW)

    assert lane.free(NOW + OPEN_MIN) == 1


@given(st.one_of(st.none(), st.timedeltas(timedelta(days=-1), timedelta(days=900))))
def test_a_pause_lasts_as_long_as_asked_within_bounds(asked: timedelta | None) -> None:
    lane = a_lane()
    lane.failed(NotDone("SYSTEM_THROTTLED", retry_after=asked), NOW)
    expected = min(max(asked or timedelta(0), PAUSE_MIN), RETRY_AFTER_MAX)

    assert lane.free(NOW + expected) == 4
    assert lane.free(NOW + expected - MOMENT) == 0


def test_a_spent_quota_pauses_for_long() -> None:
    lane = a_lane()
    lane.failed(NotDone("SYSTEM_QUOTA_SPENT"), NOW)

    assert lane.free(NOW + QUOTA_PAUSE - MOMENT) == 0
    assert lane.free(NOW + QUOTA_PAUSE) == 4


def test_a_success_does_not_end_a_pause_and_a_shorter_one_does_not_shorten_it() -> None:
    lane = a_lane()
    lane.failed(NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=60)), NOW)
    lane.succeeded()
    lane.failed(NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=1)), NOW)

    assert lane.free(NOW + timedelta(seconds=59)) == 0
    assert lane.free(NOW + timedelta(seconds=60)) == 4


def test_a_pause_is_not_told_as_an_open_breaker() -> None:
    lane = a_lane()
    lane.failed(NotDone("SYSTEM_THROTTLED"), NOW)

    assert not lane.is_open(NOW)


def test_it_is_sound_unless_it_pauses_or_a_probe_has_yet_to_tell_that_the_target_is_back() -> None:
    lane = a_lane()
    assert lane.is_sound(NOW)
    lane.failed(NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=7)), NOW)
    assert not lane.is_sound(NOW)
    assert lane.is_sound(NOW + timedelta(seconds=7))

    lane = an_open_lane()
    assert not lane.is_sound(NOW)
    assert not lane.is_sound(NOW + OPEN_MAX)
    lane.succeeded()
    assert lane.is_sound(NOW)


@pytest.mark.parametrize("reason", sorted(POLICIES))
def test_only_a_target_that_is_away_or_busy_costs_no_attempt(reason: str) -> None:
    assert a_lane().spends_attempt(NotDone(reason)) is (reason not in UNREACHABLE | SLOW_DOWN)


def test_every_reason_it_knows_is_of_the_contract() -> None:
    assert set(POLICIES) >= UNREACHABLE | LOST | SLOW_DOWN


# Next steps and what is held ready -------------------------------------------------------------------------


def test_a_next_step_is_admitted_until_a_quarter_is_left_for_claims() -> None:
    lane = a_lane(8)

    assert [lane.admits_next(NOW) for _ in range(8)] == [True] * 6 + [False] * 2
    assert lane.in_flight == 6
    assert lane.wants_more(), "what was not admitted is to be claimed"


def test_no_next_step_goes_before_what_a_claim_has_left() -> None:
    lane = a_lane(8)
    lane.claimed(2, asked=2)

    assert not lane.admits_next(NOW)


def test_places_that_a_claim_under_way_may_fill_are_nobody_else_s() -> None:
    lane = a_lane(4)
    lane.ask(lane.free(NOW))

    assert lane.free(NOW) == lane.room(NOW) == 0
    assert not lane.admits_next(NOW)
    lane.not_claimed()
    assert lane.free(NOW) == 4


def test_a_lane_that_leaves_its_target_alone_admits_nothing() -> None:
    assert not an_open_lane().admits_next(NOW)


@pytest.mark.parametrize(("span", "room"), [(QUICK, 8), (QUICK + MOMENT, 4)])
def test_more_is_held_than_can_begin_only_where_tries_are_quick(span: timedelta, room: int) -> None:
    lane = a_lane(4)
    lane.took(span)

    assert (lane.room(NOW), lane.free(NOW)) == (room, 4)


def test_many_are_tried_at_once_only_where_tries_are_quick() -> None:
    lane = Lane("connector:erp", LanePolicy(concurrency_max=4, concurrency_quick=16))

    found = []
    for span in (QUICK + MOMENT, QUICK, SLOW, SLOW + MOMENT, QUICK + MOMENT):
        lane.took(span)
        found.append(lane.free(NOW))

    assert found == [4, 16, 16, 4, 4]


def test_more_that_wait_than_may_be_tried_by_now_begin_when_there_is_room_again() -> None:
    lane = Lane("connector:erp", LanePolicy(concurrency_max=4, concurrency_quick=16))
    lane.took(MOMENT)
    lane.claimed(16, asked=16)
    lane.took(SLOW + MOMENT)

    assert (lane.free(NOW), lane.room(NOW), lane.next(NOW)) == (0, 0, None)
    lane.in_flight = 3
    assert (lane.free(NOW), lane.room(NOW)) == (1, 1)


def test_a_lane_that_probes_holds_one() -> None:
    lane = Lane("connector:erp", LanePolicy(concurrency_max=4, concurrency_quick=16))
    for _ in range(OPEN_AFTER_FAILURES):
        lane.failed(AWAY, NOW)
    lane.took(MOMENT)

    assert lane.room(NOW + OPEN_MIN) == 1
