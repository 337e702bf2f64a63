"""Ranges of time follow one another without a gap, and one is always ahead."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.durable.ranges import SPAN_MAX, Range, range_after, span_for

DAY = timedelta(days=1)
NOW = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "span"), [(None, 30), (3660, 30), (180, 30), (179, 29), (90, 15), (11, 1), (1, 1)]
)
def test_a_range_is_a_sixth_of_the_time_that_history_is_kept(days: int | None, span: int) -> None:
    assert span_for(None if days is None else days * DAY) == span * DAY


def test_the_first_range_begins_when_the_day_is_over() -> None:
    made = range_after([], NOW, 15 * DAY)

    assert made == Range(datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 16, tzinfo=UTC))
    assert Range.named("attempt_20270101_20270116", in_use=True) == made


@pytest.mark.parametrize(
    "name", ["attempt_rest", "attempt_2027", "attempt_20270101_20270116_delivery_id_idx"]
)
def test_a_table_of_another_name_is_no_range(name: str) -> None:
    assert Range.named(name, in_use=True) is None


@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 30))
def test_there_is_a_range_ahead_however_seldom_anybody_looks(waits: list[int], span: int) -> None:
    known: list[Range] = []
    now = NOW
    for wait in waits:
        now += wait * DAY / 4
        if (made := range_after(known, now, min(span * DAY, SPAN_MAX))) is not None:
            assert made.begin > now and all(made.begin >= each.end for each in known)
            known.append(made)
        assert [each for each in known if each.begin > now] == known[-1:]
        assert range_after(known, now, DAY) is None
