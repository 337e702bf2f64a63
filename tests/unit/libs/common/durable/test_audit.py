"""The audit chain shows every row that was altered, put in, taken out or put elsewhere."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.durable.tx import audit_digest, verify_audit

Row = dict[str, object]
NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
texts = st.text(max_size=20)


def chained(values: list[str]) -> list[Row]:
    rows: list[Row] = []
    chain = b""
    for position, value in enumerate(values, 1):
        row: Row = {"tenant": "acme", "subject": "notes/1", "new_value": value, "occurred_time": NOW}
        chain = audit_digest(chain, row)
        rows.append({**row, "position": position * 10, "hash": chain})
    return rows


def last(rows: list[Row]) -> bytes:
    return bytes(rows[-1]["hash"]) if rows else b""  # type: ignore[call-overload]


@given(st.lists(texts, max_size=20))
def test_a_whole_chain_verifies(values: list[str]) -> None:
    rows = chained(values)

    assert verify_audit(rows, last(rows)) is None


@given(st.lists(texts, min_size=1, max_size=20), st.data())
def test_an_altered_row_shows_at_its_place(values: list[str], data: st.DataObject) -> None:
    rows = chained(values)
    index = data.draw(st.integers(0, len(rows) - 1))
    altered = data.draw(texts.filter(lambda text: text != rows[index]["new_value"]))
    rows[index] = {**rows[index], "new_value": altered}

    assert verify_audit(rows) == rows[index]["position"]


@given(st.lists(texts, min_size=2, max_size=20), st.data())
def test_a_row_taken_out_shows(values: list[str], data: st.DataObject) -> None:
    rows = chained(values)
    end = last(rows)
    del rows[data.draw(st.integers(0, len(rows) - 1))]

    assert verify_audit(rows, end) is not None


@pytest.mark.parametrize("seed", range(10))
def test_rows_in_another_order_show(seed: int) -> None:
    rows = chained([str(number) for number in range(8)])
    shuffled = list(rows)
    while shuffled == rows:
        Random(seed).shuffle(shuffled)
        seed += 1000

    assert verify_audit(shuffled) is not None


def test_a_row_put_in_shows() -> None:
    rows = chained(["a", "b", "c"])
    rows.insert(1, {**rows[1], "position": 15, "new_value": "forged"})

    assert verify_audit(rows) == 15


@given(st.lists(texts, min_size=1, max_size=20))
def test_a_chain_cut_at_the_end_shows_only_against_the_record(values: list[str]) -> None:
    rows = chained(values)

    assert verify_audit(rows[:-1]) is None
    assert verify_audit(rows[:-1], last(rows)) is not None
