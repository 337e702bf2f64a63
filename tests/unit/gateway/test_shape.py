"""Depth and keys of a JSON text, told without parsing it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import AtTheEdge
from gateway.shape import ROUNDS_MAX, check_shape, depth_of, keys_of

TEXTS = st.text(alphabet='ab[]{}"\\:,\n\u00e9', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=40,
)


def true_depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(true_depth, value.values()), default=0)
    return 1 + max(map(true_depth, value), default=0) if isinstance(value, list) else 0


def true_keys(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(true_keys, value.values()))
    return sum(map(true_keys, value)) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, 40), st.booleans())
def test_depth_is_never_told_too_small_and_beyond_a_few_levels_exactly(
    value: object, around: int, ascii_only: bool
) -> None:
    for _ in range(around):
        value = [value]
    told = depth_of(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert told >= true_depth(value)
    assert told == true_depth(value) or told <= ROUNDS_MAX


@given(VALUES, st.booleans())
def test_keys_are_counted_exactly(value: object, ascii_only: bool) -> None:
    assert keys_of(json.dumps(value, ensure_ascii=ascii_only).encode()) == true_keys(value)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        (b"[" * 100_000, 100_000),
        (b'{"a":' * 5000, 5000),
        (b"[" * 100_000 + b"]" * 100_000, 100_000),
        (b'["]' + b"[" * 500, 1),
        (b'{"a":"\\"' + b"[" * 500 + b'","b":' + b"[" * 70, 71),
        (b"", 0),
    ],
)
def test_broken_texts_are_as_deep_as_a_parser_would_go(text: bytes, least: int) -> None:
    assert depth_of(text) >= least


def test_bounds_are_bounds() -> None:
    check_shape(b"[" * 64 + b"]" * 64, depth_max=64, keys_max=10)
    with pytest.raises(AtTheEdge, match="64 levels"):
        check_shape(b"[" * 65 + b"]" * 65, depth_max=64, keys_max=10)
    check_shape(b'{"a":1,"b":":::::::::::"}', depth_max=64, keys_max=2)
    with pytest.raises(AtTheEdge, match="2 keys"):
        check_shape(b'{"a":1,"b":2,"c":3}', depth_max=64, keys_max=2)
