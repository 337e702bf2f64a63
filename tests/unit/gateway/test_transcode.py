"""Whatever is sent becomes a message or a refusal, never anything else."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonpb.ordermesh.order.v1.order_pb import Order
from jsonpb.ordermesh.order.v1.order_service_pb import ListOrdersResponse, SubmitOrderResponse

from gateway.limits import Limits
from gateway.parameters import fill_from_query
from gateway.rules import Rule, public_rules
from gateway.transcode import Transcoder, render
from libs.common.errors import Refused

RULES = {rule.name: rule for rule in public_rules()}
TRANSCODER = Transcoder(Limits())
NAMES = st.sampled_from(
    [field.json_name for field in Order.desc().fields] + ["sku", "units", "value", "nope", "system"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "1e5", "1_0", "2026-01-01T00:00:00Z", "ORDER_STATE_PAID", "\ud800", "\x00"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_any_json_is_a_message_or_a_refusal(value: object) -> None:
    with suppress(Refused):
        TRANSCODER.parse(Order.desc(), json.dumps(value).encode())


@given(st.binary(max_size=200))
@example(b"\xff\xfe{")
@example(b'{"memo":"\\ud83d')
@example(b'{"total":{"units":1E9999999999}}')
@example(b'{"total":{"nanos":-0.0e-99999}}')
def test_any_bytes_are_a_message_or_a_refusal(text: bytes) -> None:
    with suppress(Refused):
        TRANSCODER.parse(Order.desc(), text)


DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=20)


def units_of(stated: str) -> int:
    """Of an amount whose units are stated so."""
    order, _ = TRANSCODER.parse(Order.desc(), f'{{"total":{{"units":{stated}}}}}'.encode())
    assert isinstance(order, Order)
    assert order.total is not None
    return order.total.units


@given(
    whole=st.integers(0, 10**20),
    fraction=st.none() | DIGITS,
    exponent=st.none() | st.integers(-30, 30) | st.integers(-500, 500),
    quote=st.sampled_from(["", '"']),
)
@example(9007199254740993, "0", None, "")
@example(9007199254740993, "0", None, '"')
@example(1, "00000000000000001", None, "")
@example(100000000000000001, None, -17, "")
@example(123456789, None, 10, "")
@example(1, "23456789", 18, "")
def test_an_integer_is_taken_as_it_is_stated_or_refused(
    whole: int, fraction: str | None, exponent: int | None, quote: str
) -> None:
    """The parser reads what has a fraction or an exponent as a float."""
    stated = (
        f"{whole}{'' if fraction is None else f'.{fraction}'}{'' if exponent is None else f'e{exponent}'}"
    )
    with suppress(Refused):
        assert units_of(f"{quote}{stated}{quote}") == Decimal(stated)


@pytest.mark.parametrize("stated", ["1.0", "15e2", "1.5e1", '"12.00"', "999999999999999.0", "12345678E2"])
def test_an_integer_may_have_a_fraction_or_an_exponent_that_a_float_keeps(stated: str) -> None:
    assert units_of(stated) == Decimal(stated.strip('"'))


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ("9007199254740993.0", "an integer of that size is stated by its digits alone"),
        ("123456789012345e4", "an integer of that size is stated by its digits alone"),
        ("1.00000000000000001", "an integer is expected"),
        ("1e-16", "an integer is expected"),
        ("1e30", "an integer from -9223372036854775808 to 9223372036854775807 is expected"),
    ],
)
def test_an_integer_that_a_float_would_round_is_told_of(stated: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        units_of(stated)

    (violation,) = refused.value.violations
    assert (violation.field, violation.description) == ("#/total/units", told)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES.values() if not rule.body], ids=lambda rule: rule.name
)
@given(query=st.text(alphabet="abcdefgpageSiztokn=&%+0123456789._-;é", max_size=60))
def test_any_query_fits_or_is_refused(rule: Rule, query: str) -> None:
    with suppress(Refused):
        fill_from_query(rule.request(), rule, query.encode("latin-1"))


@given(VALUES)
def test_what_is_taken_says_the_same_when_written_out(value: object) -> None:
    with suppress(Refused):
        message, written = TRANSCODER.parse(Order.desc(), json.dumps(value).encode())
        assert Order.from_json(written) == message


def test_lists_and_page_tokens_of_an_answer_are_shown_when_empty() -> None:
    assert json.loads(render(ListOrdersResponse())) == {"orders": [], "nextPageToken": ""}
    assert json.loads(render(SubmitOrderResponse(order_id="x"))) == {"orderId": "x"}


def test_answer_keeps_characters_as_they_are() -> None:
    assert "Café".encode() in render(ListOrdersResponse(orders=[Order(memo="Café")]))
