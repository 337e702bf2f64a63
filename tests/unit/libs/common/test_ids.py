"""Ids sort by the time they were made and look the same everywhere."""

import re

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import ALPHABET, encode, new_id, new_span_id, new_trace_id, uuid7_number

moments = st.integers(0, 2**48 - 1)
bits = st.integers(0, 2**74 - 1)


@given(moments, moments, bits, bits)
def test_ids_sort_by_the_millisecond_they_were_made_in(one: int, other: int, a: int, b: int) -> None:
    first, second = encode(uuid7_number(one, a)), encode(uuid7_number(other, b))

    if one != other:
        assert (first < second) == (one < other)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_text_sorts_as_the_number_does(one: int, other: int) -> None:
    assert (encode(one) < encode(other)) == (one < other)
    assert (encode(one) == encode(other)) == (one == other)


@given(moments, bits)
def test_the_number_is_a_uuid_of_version_seven(moment: int, random_bits: int) -> None:
    number = uuid7_number(moment, random_bits)

    assert number >> 80 == moment
    assert number >> 76 & 0xF == 7
    assert number >> 62 & 0b11 == 0b10
    assert number.bit_length() <= 128


def test_an_id_has_its_prefix_and_26_plain_characters() -> None:
    assert re.fullmatch(f"ord_[{ALPHABET}]{{26}}", new_id("ord"))


def test_ten_thousand_ids_are_all_different() -> None:
    assert len({new_id("ord") for _ in range(10_000)}) == 10_000


def test_ids_of_one_process_sort_as_they_were_made() -> None:
    made = [new_id("ord") for _ in range(10_000)]
    assert made == sorted(made)


def test_trace_and_span_ids_are_hexadecimal() -> None:
    assert re.fullmatch("[0-9a-f]{32}", new_trace_id())
    assert re.fullmatch("[0-9a-f]{16}", new_span_id())
