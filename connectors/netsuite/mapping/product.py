"""Products: items with list prices and stock. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from ordermesh.product.v1 import product_pb2

from connectors.netsuite.mapping.values import Row, decimal_of
from libs.common.money import Money, render_decimal, render_money

READ = "netsuite.product@1"
STOCKED = frozenset({"InvtPart", "Assembly"})
"""Item types that stock is kept of."""


def product_of(row: Row, prices: Sequence[Row], available: Decimal | None) -> product_pb2.Product:
    """row: one item. prices: its price rows; of quantity breaks the first counts. available: over all locations."""
    inactive = row.get("isinactive") == "T"
    stocked = row.get("itemtype") in STOCKED
    return product_pb2.Product(
        sku=row["itemid"],
        name=row.get("displayname") or row["itemid"],
        description=row.get("description", ""),
        state=product_pb2.PRODUCT_STATE_INACTIVE if inactive else product_pb2.PRODUCT_STATE_ACTIVE,
        unit_code=row.get("unit", ""),
        prices=[_price(price) for price in prices if not decimal_of(price, "quantity")],
        quantity_available=render_decimal(available or Decimal(0)) if stocked else None,
        stocked=stocked,
    )


def _price(row: Row) -> product_pb2.Price:
    amount = Money(decimal_of(row, "unitprice"), row["currency"])
    return product_pb2.Price(price_book=row.get("pricelevel", ""), unit_price=render_money(amount))
