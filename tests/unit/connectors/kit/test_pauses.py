"""A `Retry-After` is read in every form that vendors send, and no form can break or stop anything."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.pauses import PAUSE_MAX, retry_after

NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("0000000000007", 7),
        ("999999999999", 604_800),
        ("9" * 5000, 604_800),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 9999 07:28:30 GMT", 604_800),
        ("Wed, 21 Oct 2026 07:27:30 GMT", None),
        ("Wed, 99 Oct 2026 07:27:30 GMT", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_every_form(value: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(value, NOW) == expected


@pytest.mark.parametrize("date", [None, "", "today", "Wed, 21 Oct 2026 07:28:00"])
def test_a_date_without_a_date_to_count_from_says_nothing(date: str | None) -> None:
    assert retry_after("Wed, 21 Oct 2026 07:28:30 GMT", date) is None


@given(st.text(max_size=60) | st.integers().map(str), st.none() | st.text(max_size=40))
def test_no_header_breaks_anything_or_stops_a_system_for_good(value: str, date: str | None) -> None:
    wait = retry_after(value, date)
    assert wait is None or timedelta(0) <= wait <= PAUSE_MAX
