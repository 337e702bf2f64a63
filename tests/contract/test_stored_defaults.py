"""What a record does not say for itself: defaults are left out of what is stored, so they are part of its form."""

import dataclasses
import typing
from collections.abc import Iterator

from services.customer.domain import Customer
from services.invoice.domain import Invoice
from services.order.domain import Order
from services.product.domain import Product

STORED = (Customer, Invoice, Order, Product)
NOTHING = ("", "0", "()", "None", "False", "b''")
OTHER_DEFAULTS = {
    "Customer.state": "ACTIVE",
    "Invoice.state": "OPEN",
    "Product.state": "ACTIVE",
    "Order.state": "RECEIVED",
    "Order.stage": "VALIDATE",
}
"""Those that are something. Add what is new; change none, for it would change every row that was stored with it."""


def parts_of(kind: object, seen: set[type]) -> Iterator[type]:
    """The dataclass and those its fields are made of."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        yield kind
        for hint in typing.get_type_hints(kind).values():
            yield from parts_of(hint, seen)
    for inner in typing.get_args(kind):
        yield from parts_of(inner, seen)


def defaults_of(kind: type) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            yield f"{kind.__name__}.{field.name}", getattr(field.default, "name", str(field.default))
        assert field.default_factory is dataclasses.MISSING, f"{kind.__name__}.{field.name} is made afresh"


def test_a_default_is_nothing_or_stands_here_and_stays() -> None:
    seen: set[type] = set()
    parts = [part for kind in STORED for part in parts_of(kind, seen)]

    found = {name: value for part in parts for name, value in defaults_of(part) if value not in NOTHING}

    assert {part.__name__ for part in parts} >= {"OrderLine", "Address", "Money", "Link"}
    assert found == OTHER_DEFAULTS
