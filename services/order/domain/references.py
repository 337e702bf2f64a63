"""What the order service knows of customers and products, told to it by their services.

Open this file to change what is checked before an order goes on.
"""

from dataclasses import dataclass

from libs.common.errors import Refused, Violation
from services.order.domain.order import Order
from services.order.domain.values import OrderLine, Party


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """A customer as far as orders need to know."""

    customer_id: str
    active: bool
    external_ids: dict[str, str]
    """System to that system's id."""


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """A product as far as orders need to know."""

    sku: str
    active: bool
    unit_code: str
    external_ids: dict[str, str]


def customer_name(party: Party) -> str:
    """Name under which what is known of a customer is kept: by our id, or by an outside record."""
    return (
        f"customer/{party.customer_id}"
        if party.customer_id
        else f"customer/{party.system}/{party.external_id}"
    )


def product_name(sku: str) -> str:
    """Name under which what is known of a product is kept."""
    return f"product/{sku}"


def check_references(order: Order, customer: KnownCustomer | None, products: dict[str, KnownProduct]) -> None:
    """Refused with all violations at once: CUSTOMER_UNKNOWN, CUSTOMER_INACTIVE, PRODUCT_…, UNIT_UNKNOWN."""
    violations: list[Violation] = []
    if customer is None:
        violations.append(Violation("order.sold_to", "no such customer", "CUSTOMER_UNKNOWN", owner="erp"))
    elif not customer.active:
        violations.append(Violation("order.sold_to", "is closed", "CUSTOMER_INACTIVE", owner="erp"))
    for index, line in enumerate(order.lines):
        violation = _line_violation(index, line, products.get(line.sku))
        if violation:
            violations.append(violation)
    if violations:
        raise Refused(violations[0].reason, violations[0].description, violations=violations[:50])


def _line_violation(index: int, line: OrderLine, product: KnownProduct | None) -> Violation | None:
    if product is None:
        said = f"there is no product {line.sku}"
        return Violation(f"order.lines[{index}].sku", said, "PRODUCT_UNKNOWN", owner="erp")
    if not product.active:
        said = f"{line.sku} is not for sale"
        return Violation(f"order.lines[{index}].sku", said, "PRODUCT_INACTIVE", owner="erp")
    if line.unit_code and product.unit_code and line.unit_code != product.unit_code:
        said = f"{line.sku} is sold in {product.unit_code}"
        return Violation(f"order.lines[{index}].unit_code", said, "UNIT_UNKNOWN", owner="erp")
    return None


def reference_ids(
    customer: KnownCustomer | None, products: dict[str, KnownProduct], system: str
) -> dict[str, str]:
    """Ids in one system of what an order refers to, by our customer id and by SKU."""
    ids = {
        sku: product.external_ids[system]
        for sku, product in products.items()
        if system in product.external_ids
    }
    if customer and system in customer.external_ids:
        ids[customer.customer_id] = customer.external_ids[system]
    return ids
