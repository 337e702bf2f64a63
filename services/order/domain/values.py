"""What an order is made of: lines, parties, shipments, invoices, decisions. Open this file to add a part."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from libs.common.money import Money, sum_of_products, zero
from libs.common.value import value
from services.order.domain.states import State


@value()
class Party:
    """The sold-to party as the caller named it: our id, or an outside record."""

    customer_id: str = ""
    system: str = ""
    external_id: str = ""


@value()
class OrderLine:
    """One position. `quantity` is in `unit_code`, `unit_price` is for one unit."""

    line_number: int
    sku: str
    quantity: Decimal
    unit_price: Money
    unit_code: str = ""
    tax_code: str = ""
    description: str = ""
    source_line_id: str = ""
    shipped_quantity: Decimal = Decimal(0)

    @property
    def amount(self) -> Money:
        """Quantity times price, rounded to the currency as ERPs round a line."""
        return self.unit_price.times(self.quantity).rounded()


@dataclass(frozen=True, slots=True)
class Hold:
    """Why the order stands still."""

    reason: str
    note: str
    requested_by: str
    requested_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Shipment:
    """Goods that left together, as the ERP says."""

    system: str
    external_id: str
    number: str
    tracking_number: str
    ship_date: date | None
    lines: tuple[tuple[str, Decimal], ...]
    """SKU and quantity."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """What the order knows of an invoice."""

    invoice_id: str
    number: str
    net_total: Money
    total: Money
    amount_due: Money
    void: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What the ERP says of the order, the whole of it. `state` is None while it only waits there."""

    state: State | None
    number: str
    shipments: tuple[Shipment, ...]
    tax_total: Money | None
    closed: bool
    """Closed in the ERP: nothing more will be shipped."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person mends. None leaves a value as it is."""

    lines: tuple[tuple[int, str | None, str | None], ...]
    """Line number, tax code, description."""
    purchase_order_number: str | None
    memo: str | None


def sum_money(amounts: list[Money], currency: str) -> Money:
    """Exact sum of amounts in one currency."""
    total = zero(currency)
    for amount in amounts:
        total = total + amount
    return total


def sum_of(lines: tuple[OrderLine, ...], currency: str) -> Money:
    """Sum of the line amounts; all are in this currency."""
    prices, quantities = [line.unit_price.amount for line in lines], [line.quantity for line in lines]
    return sum_of_products(prices, quantities, currency)


def shipped_quantities(shipments: tuple[Shipment, ...]) -> dict[str, Decimal]:
    """Quantity that left, by SKU."""
    shipped: dict[str, Decimal] = {}
    for shipment in shipments:
        for sku, quantity in shipment.lines:
            shipped[sku] = shipped.get(sku, Decimal(0)) + quantity
    return shipped


def with_shipped(lines: tuple[OrderLine, ...], shipped: dict[str, Decimal]) -> tuple[OrderLine, ...]:
    """Spreads shipped quantities over the lines of a SKU, first line first."""
    left = dict(shipped)
    spread = []
    for line in lines:
        taken = min(line.quantity, left.get(line.sku, Decimal(0)))
        left[line.sku] = left.get(line.sku, Decimal(0)) - taken
        spread.append(replace(line, shipped_quantity=taken))
    return tuple(spread)
