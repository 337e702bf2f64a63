"""The parts of a budget are never more than the budget, however it is divided."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.budget import SPAN, OwnShare, own_share

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUDGETS = st.integers(1, 10_000)
PROCESSES = st.integers(1, 100)


@given(BUDGETS, PROCESSES)
def test_most_of_a_budget_is_shared_and_the_rest_divided_fairly(budget: int, processes: int) -> None:
    share = own_share(budget, processes, has_pool=True)

    assert 0 <= share * processes <= budget / 2
    assert (share > 0) == (budget >= 2 * processes)


@given(BUDGETS, PROCESSES)
def test_without_a_pool_the_shares_are_no_more_than_the_budget(budget: int, processes: int) -> None:
    share = own_share(budget, processes, has_pool=False)

    assert budget - processes < share * processes <= budget


@given(st.integers(0, 5), st.lists(st.integers(0, 30_000), max_size=60))
def test_no_minute_has_more_calls_than_the_share_and_none_is_refused_that_fits(
    calls_max: int, pauses_ms: list[int]
) -> None:
    share, now, taken = OwnShare(calls_max, NOW), NOW, [NOW] * calls_max
    for pause_ms in pauses_ms:
        now += timedelta(milliseconds=pause_ms)
        fits = sum(now - at < SPAN for at in taken) < calls_max
        wait = share.take(now)

        assert (wait == timedelta(0)) == fits
        assert timedelta(0) <= wait <= SPAN
        if fits:
            taken.append(now)
