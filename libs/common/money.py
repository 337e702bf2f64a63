"""Exact amounts and quantities. Open this file before you compute with money.

Amounts are `decimal.Decimal` with a currency, never float. All arithmetic runs in a context that raises on rounding,
so a result is exact or an error.
"""

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from functools import lru_cache

from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money as MoneyMessage

from libs.common.errors import Refused
from libs.common.value import value

EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])
ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
NANO = Decimal("0.000000001")
AMOUNT_MAX = Decimal(999_999_999)
"""Of one price. Totals may be larger."""
DECIMAL_MAX = Decimal(10) ** 18
QUANTITY_MAX = Decimal(999_999_999)
QUANTITY_DECIMALS_MAX = 6
DECIMALS_MAX = 20
DECIMAL_TEXT_MAX = 40
DECIMAL_TEXT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
"""What `google.type.Decimal` allows; Python's own constructor takes spaces, underscores and digits of other scripts."""

_TWO_DECIMALS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP
    CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
    INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
    MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE
    SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW
    ZWG
"""
_NO_DECIMALS = """
    BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF
"""
_THREE_DECIMALS = """
    BHD IQD JOD KWD LYD OMR TND
"""
CURRENCY_DECIMALS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}
"""Decimals of each currency in use. Source: ISO 4217 list one, without funds and metals."""
_STEPS = {currency: Decimal(1).scaleb(-decimals) for currency, decimals in CURRENCY_DECIMALS.items()}
_NANOS = 10**9
_AMOUNT_NANOS_MAX = int(AMOUNT_MAX) * _NANOS
_ORDINARY_QUANTITY = re.compile(r"[1-9][0-9]{0,7}(?:\.[0-9]{1,6})?")
"""A quantity as most are written: keeps every rule of `parse_quantity`, and one match tells so."""
SEEN_MAX = 10_000
"""Prices and quantities remembered: the same ones come again and again, and making one takes 2 µs."""


class _Stated:
    """How a message states an amount, kept with it: a price is stated by every order that names it."""

    __slots__ = ("_stated",)
    amount: Decimal
    _stated: tuple[int, int]

    @property
    def units_and_nanos(self) -> tuple[int, int]:
        """Both of one sign."""
        try:
            return self._stated
        except AttributeError:
            self._stated = _units_and_nanos(self.amount)
            return self._stated


@value()
class Money(_Stated):
    """An exact amount in one currency."""

    amount: Decimal
    currency: str

    def __add__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "amounts of two currencies cannot be added"
        return Money(EXACT.add(self.amount, other.amount), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "amounts of two currencies cannot be subtracted"
        return Money(EXACT.subtract(self.amount, other.amount), self.currency)

    def times(self, quantity: Decimal) -> "Money":
        """Exact product; may be finer than the currency."""
        return Money(EXACT.multiply(self.amount, quantity), self.currency)

    def rounded(self) -> "Money":
        """Half even, to the currency's decimals: how ERPs round a line amount."""
        return Money(self.amount.quantize(_STEPS[self.currency], context=ROUNDING), self.currency)

    @property
    def text(self) -> str:
        """Plain decimal text without exponent, for example `12.50`."""
        return format(self.amount, "f")


def sum_of_products(prices: Iterable[Decimal], quantities: Iterable[Decimal], currency: str) -> Money:
    """Sum of price times quantity, each product rounded as `Money.rounded` does."""
    step, total, add, rounded = _STEPS[currency], Decimal(0), EXACT.add, ROUNDING.quantize
    for product in map(EXACT.multiply, prices, quantities):
        total = add(total, rounded(product, step))
    return Money(total, currency)


def zero(currency: str) -> Money:
    """Nothing, in a currency."""
    return Money(Decimal(0), currency)


def decimals_of(value: Decimal) -> int:
    """Number of decimals that matter, however many digits there are: 1 for 1.50, none for 1E+3."""
    digits, exponent = value.as_tuple()[1:]
    if not value or not isinstance(exponent, int):
        return 0
    zeros = len(digits) - len(bytes(digits).rstrip(b"\0"))
    return max(0, -exponent - zeros)


def parse_decimal(text: str, reason: str, path: str) -> Decimal:
    """Finite decimal from text. Refused with `reason` at `path` for anything else, exponents beyond use included."""
    written = len(text) <= DECIMAL_TEXT_MAX and DECIMAL_TEXT.fullmatch(text)
    value = Decimal(text) if written else None
    if value is None or abs(value) > DECIMAL_MAX or decimals_of(value) > DECIMALS_MAX:
        raise Refused.field(reason, path, "is not a decimal number of at most 40 characters")
    return value or Decimal(0)


def parse_quantity(message: DecimalMessage, path: str) -> Decimal:
    """Quantity above 0 and within bounds. Refused with QUANTITY_INVALID at `path`."""
    text: str = message.value
    if len(text) <= DECIMAL_TEXT_MAX:
        ordinary = _ordinary_quantity(text)
        if ordinary is not None:
            return ordinary
    value = parse_decimal(text or "0", "QUANTITY_INVALID", path)
    if value <= 0 or value > QUANTITY_MAX:
        raise Refused.field("QUANTITY_INVALID", path, f"must be more than 0 and at most {QUANTITY_MAX}")
    if decimals_of(value) > QUANTITY_DECIMALS_MAX:
        raise Refused.field("QUANTITY_INVALID", path, f"has more than {QUANTITY_DECIMALS_MAX} decimals")
    return value


@lru_cache(SEEN_MAX)
def _ordinary_quantity(text: str) -> Decimal | None:
    return Decimal(text) if _ORDINARY_QUANTITY.fullmatch(text) else None


def parse_money(message: MoneyMessage, reason: str, path: str) -> Money:
    """Amount above 0, not finer than its currency. Refused with CURRENCY_UNKNOWN or `reason` at `path`."""
    currency = message.currency_code
    if currency not in CURRENCY_DECIMALS:
        raise Refused.field("CURRENCY_UNKNOWN", f"{path}.currency_code", "is not an ISO 4217 code in use")
    price = _price(currency, message.units, message.nanos)
    if isinstance(price, str):
        raise Refused.field(reason, path, price)
    return price


@lru_cache(SEEN_MAX)
def _price(currency: str, units: int, nanos: int) -> Money | str:
    """The price, or what is wrong with it."""
    if units < 0 or not 0 <= nanos < _NANOS:
        return "must be more than 0, with nanos from 0 to 999,999,999"
    if not 0 < units * _NANOS + nanos <= _AMOUNT_NANOS_MAX:
        return f"must be more than 0 and at most {AMOUNT_MAX}"
    decimals = CURRENCY_DECIMALS[currency]
    smallest, finer = divmod(units * _NANOS + nanos, 10 ** (9 - decimals))
    if finer:
        return f"is finer than {currency} allows ({decimals} decimals)"
    return Money(Decimal(smallest).scaleb(-decimals, EXACT), currency)


def money_from(message: MoneyMessage) -> Money:
    """Amount of a message that was checked before; may be negative."""
    nanos = Decimal(message.units * _NANOS + message.nanos)
    return Money(nanos.scaleb(-9, EXACT), message.currency_code)


def render_money(money: Money) -> MoneyMessage:
    """The message; exact to nine decimals, which every amount here is."""
    message = MoneyMessage()
    fill_money(message, money)
    return message


def fill_money(message: MoneyMessage, money: Money) -> None:
    """`render_money` in the message's place: making one and copying it in takes several times as long."""
    message.units, message.nanos = money.units_and_nanos
    message.currency_code = money.currency


def _units_and_nanos(amount: Decimal) -> tuple[int, int]:
    scaled = amount.scaleb(9, EXACT)
    whole = int(scaled)
    assert whole == scaled, f"{amount} is finer than a nano"
    if whole < 0:
        units, nanos = divmod(-whole, _NANOS)
        return -units, -nanos
    return divmod(whole, _NANOS)


def render_decimal(value: Decimal) -> DecimalMessage:
    """The message, as plain text without exponent."""
    return DecimalMessage(value=format(value, "f"))
