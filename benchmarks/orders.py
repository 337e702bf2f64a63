"""The orders that are handed in. Open this file to check what is measured: the same seed gives the same bodies.

1 to 12 lines of 90 products for 60 companies in three currencies, as the demo draws them. A body may be sent more than
once in a run; the idempotency key of each request is new.
"""

import hashlib
from collections.abc import Sequence

from google.type import money_pb2
from ordermesh.common.v1 import event_pb2, external_ref_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2
from ordermesh.invoice.v1 import invoice_events_pb2, invoice_pb2
from ordermesh.product.v1 import product_events_pb2, product_pb2

from libs.cli.demo.goods import Goods, draw_goods
from libs.cli.demo.submission import canonical_parcel

SEED = 20
DISTINCT = 2_000
TENANT = "acme"
SYSTEM = "netsuite"


def goods() -> Goods:
    """Companies, products and orders of every run."""
    return draw_goods(SEED, DISTINCT, tag="bench")


def bodies(drawn: Goods) -> Sequence[bytes]:
    """Bodies of `POST /v1/orders`."""
    return [
        canonical_parcel(order, {"system": SYSTEM, "externalId": order.company.key}).body
        for order in drawn.orders
    ]


def reference_events(drawn: Goods, tenant: str = TENANT) -> list[event_pb2.Event]:
    """What the customer and the product service would have told the order service about a tenant's records."""
    customers = [
        customer_events_pb2.CustomerRegistered(
            customer=customer_pb2.Customer(
                customer_id=f"cus_{company.key}",
                name=company.name,
                state=customer_pb2.CUSTOMER_STATE_ACTIVE,
                links=[_link(company.key)],
            )
        )
        for company in drawn.companies
    ]
    products = [
        product_events_pb2.ProductRegistered(
            product=product_pb2.Product(
                sku=article.sku,
                unit_code=article.unit,
                state=product_pb2.PRODUCT_STATE_ACTIVE,
                links=[_link(article.sku)],
            )
        )
        for article in drawn.articles
    ]
    return [
        _event(message.DESCRIPTOR.full_name, message.SerializeToString(), tenant)
        for message in [*customers, *products]
    ]


def _link(external_id: str) -> external_ref_pb2.Link:
    return external_ref_pb2.Link(ref=external_ref_pb2.ExternalRef(system=SYSTEM, external_id=external_id))


def paid_event(order_id: str, total: money_pb2.Money) -> event_pb2.Event:
    """What the invoice service tells once an order's invoice is paid."""
    invoice = invoice_pb2.Invoice(
        invoice_id=order_id.replace("ord_", "inv_"),
        number=order_id,
        order_id=order_id,
        currency_code=total.currency_code,
        state=invoice_pb2.INVOICE_STATE_PAID,
        net_total=total,
        total=total,
        amount_due=money_pb2.Money(currency_code=total.currency_code),
    )
    paid = invoice_events_pb2.InvoicePaid(invoice=invoice)
    return _event(paid.DESCRIPTOR.full_name, paid.SerializeToString(), TENANT)


def _event(kind: str, data: bytes, tenant: str) -> event_pb2.Event:
    digest = hashlib.sha256(tenant.encode() + data).hexdigest()[:26]
    return event_pb2.Event(
        event_id=f"evt_{digest}", type=kind, subject=f"bench/{digest}", sequence=1, data=data, tenant=tenant
    )
