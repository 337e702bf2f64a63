"""The model of orders, pure: no I/O, no clock, no ids made here.

states.py      how far an order can have come       values.py      what it is made of
order.py       what it may become                   references.py  what is known of customers and products
"""

from libs.common.address import Address
from services.order.domain.order import Order
from services.order.domain.references import (
    KnownCustomer,
    KnownProduct,
    check_references,
    customer_name,
    product_name,
    reference_ids,
)
from services.order.domain.states import FINAL, REACHED, REQUESTED, OrderEvent, Stage, State
from services.order.domain.values import (
    Correction,
    Hold,
    Invoice,
    OrderLine,
    Party,
    Progress,
    Shipment,
    sum_of,
)

__all__ = [
    "FINAL",
    "REACHED",
    "REQUESTED",
    "Address",
    "Correction",
    "Hold",
    "Invoice",
    "KnownCustomer",
    "KnownProduct",
    "Order",
    "OrderEvent",
    "OrderLine",
    "Party",
    "Progress",
    "Shipment",
    "Stage",
    "State",
    "check_references",
    "customer_name",
    "product_name",
    "reference_ids",
    "sum_of",
]
