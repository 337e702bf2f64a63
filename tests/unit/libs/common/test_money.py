"""Amounts are exact or refused: nothing is ever rounded on the way in or out."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TypeVar

import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money as MoneyMessage
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Refused
from libs.common.money import (
    AMOUNT_MAX,
    CURRENCY_DECIMALS,
    Money,
    decimals_of,
    money_from,
    parse_decimal,
    parse_money,
    parse_quantity,
    render_decimal,
    render_money,
    zero,
)

V = TypeVar("V")

currencies = st.sampled_from(sorted(CURRENCY_DECIMALS))


@st.composite
def amounts(draw: st.DrawFn) -> Money:
    """An amount that its currency can hold."""
    currency = draw(currencies)
    minor = draw(st.integers(1, 10 ** (9 + CURRENCY_DECIMALS[currency]) - 1))
    return Money(Decimal(minor).scaleb(-CURRENCY_DECIMALS[currency]), currency)


@given(amounts())
def test_an_amount_survives_the_way_out_and_in(money: Money) -> None:
    if money.amount > AMOUNT_MAX:
        return

    again = parse_money(render_money(money), "PRICE_INVALID", "price")

    assert again == money


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=9), currencies)
def test_any_amount_to_a_nano_survives_the_way_out_and_in(amount: Decimal, currency: str) -> None:
    message = render_money(Money(amount, currency))

    assert money_from(message).amount == amount
    assert message.units * message.nanos >= 0  # both have the sign of the amount


def test_an_amount_that_was_told_is_the_same_as_one_that_was_not() -> None:
    told, other = Money(Decimal("1.50"), "USD"), Money(Decimal("1.50"), "USD")

    assert render_money(told) == render_money(told)
    assert told == other
    assert len({told, other}) == 1
    assert replace(told, amount=Decimal(2)).units_and_nanos == (2, 0)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=12))
def test_an_amount_finer_than_a_nano_is_a_bug_and_not_rounded(amount: Decimal) -> None:
    if amount == amount.quantize(Decimal("1e-9")):
        assert money_from(render_money(Money(amount, "USD"))).amount == amount
    else:
        with pytest.raises(AssertionError):
            render_money(Money(amount, "USD"))


@given(amounts(), st.data())
def test_sums_and_differences_are_exact(money: Money, data: st.DataObject) -> None:
    minor = data.draw(st.integers(1, 10**12))
    other = Money(Decimal(minor).scaleb(-CURRENCY_DECIMALS[money.currency]), money.currency)

    assert (money + other) - other == money
    assert money + zero(money.currency) == money


def test_amounts_of_two_currencies_cannot_be_added() -> None:
    with pytest.raises(AssertionError):
        zero("USD") + zero("EUR")


@given(amounts(), st.decimals(min_value="0.000001", max_value=999_999_999, places=6))
def test_a_line_amount_is_exact_before_it_is_rounded_once_to_its_currency(
    price: Money, quantity: Decimal
) -> None:
    product = price.times(quantity)
    rounded = product.rounded()

    assert Fraction(product.amount) == Fraction(price.amount) * Fraction(quantity)
    assert abs(rounded.amount - product.amount) * 2 <= Decimal(1).scaleb(-CURRENCY_DECIMALS[price.currency])
    assert decimals_of(rounded.amount) <= CURRENCY_DECIMALS[price.currency]
    assert rounded.rounded() == rounded


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.125", "USD", "0.12"),
        ("0.135", "USD", "0.14"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("0.0005", "KWD", "0.000"),
        ("0.0015", "KWD", "0.002"),
        ("999999999999999999999999999.995", "USD", "1000000000000000000000000000.00"),
    ],
)
def test_halves_are_rounded_to_even(amount: str, currency: str, rounded: str) -> None:
    assert Money(Decimal(amount), currency).rounded().text == rounded


def test_rounding_does_not_depend_on_the_thread() -> None:
    with localcontext() as context:
        context.prec = 3
        context.rounding = "ROUND_UP"

        assert Money(Decimal("123456.785"), "USD").rounded().text == "123456.78"


@given(st.text(max_size=60))
def test_any_text_is_a_decimal_or_refused(text: str) -> None:
    found = value_or_refusal(lambda: parse_decimal(text, "QUANTITY_INVALID", "quantity"))

    if isinstance(found, Refused):
        assert (found.reason, found.violations[0].field) == ("QUANTITY_INVALID", "quantity")
    else:
        assert found == Decimal(text)


def value_or_refusal(parse: Callable[[], V]) -> V | Refused:
    try:
        return parse()
    except Refused as refused:
        return refused


@given(st.from_regex(r"[+-]?[0-9]{0,22}(\.[0-9]{0,22})?([eE][+-]?[0-9]{1,9})?", fullmatch=True))
def test_a_number_is_taken_exactly_or_refused(text: str) -> None:
    try:
        value = parse_decimal(text, "QUANTITY_INVALID", "quantity")
    except Refused:
        return
    assert value == Decimal(text)
    assert abs(value) <= 10**18
    assert len(render_decimal(value).value) <= 80
    assert Decimal(render_decimal(value).value) == value


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1_000", "١٢", "NaN", "Infinity", "0x10", "1e", "--1", "1,5", "1e-999999999", "9" * 41],
)
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_decimal(text, "QUANTITY_INVALID", "quantity")


@given(st.integers(1, 10**9), st.integers(0, 40))
def test_decimals_are_counted_without_trailing_zeros(number: int, zeros: int) -> None:
    value = Decimal(number).scaleb(-zeros)

    assert decimals_of(value) == max(0, zeros - (len(str(number)) - len(str(number).rstrip("0"))))
    assert decimals_of(Decimal(f"{value:f}" + ("0" if "." in f"{value:f}" else ".0"))) == decimals_of(value)


@pytest.mark.parametrize(
    "text",
    [
        "999999999.1000000000000000000000000001",
        "1.0000001",
        "0",
        "-1",
        "1000000000",
        "0.0000001",
        "1e-7",
    ],
)
def test_a_quantity_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_quantity(DecimalMessage(value=text), "lines[0].quantity")

    assert refused.value.reason == "QUANTITY_INVALID"


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("1e3", 1000), ("0.500000", "0.5"), ("999999999", 999999999)]
)
def test_a_quantity_within_bounds_is_taken(text: str, value: str | int) -> None:
    assert parse_quantity(DecimalMessage(value=text), "q") == Decimal(value)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.one_of(currencies, st.sampled_from(["", "usd", "XXX", "US"])),
)
def test_any_message_is_an_amount_or_refused(units: int, nanos: int, currency: str) -> None:
    message = MoneyMessage(units=units, nanos=nanos, currency_code=currency)

    found = value_or_refusal(lambda: parse_money(message, "PRICE_INVALID", "price"))

    if isinstance(found, Refused):
        assert found.reason in ("PRICE_INVALID", "CURRENCY_UNKNOWN")
    else:
        assert 0 < found.amount <= AMOUNT_MAX
        assert render_money(found) == message


def test_an_amount_finer_than_its_currency_is_refused() -> None:
    with pytest.raises(Refused):
        parse_money(MoneyMessage(units=1, nanos=5_000_000, currency_code="USD"), "PRICE_INVALID", "price")
