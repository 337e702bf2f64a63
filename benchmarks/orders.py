"""The orders that are handed in. Open this file to check what is measured: the same seed gives the same bodies.

1 to 12 lines of 90 products for 60 companies in three currencies, as the demo draws them. A body may be sent more than
once in a run; the idempotency key of each request is new.
"""

import hashlib
from collections.abc import Sequence

from ordermesh.common.v1 import event_pb2, external_ref_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2
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


def reference_events(drawn: Goods) -> list[event_pb2.Event]:
    """What the customer and the product service would have told the order service."""
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
        _event(message.DESCRIPTOR.full_name, message.SerializeToString())
        for message in [*customers, *products]
    ]


def _link(external_id: str) -> external_ref_pb2.Link:
    return external_ref_pb2.Link(ref=external_ref_pb2.ExternalRef(system=SYSTEM, external_id=external_id))


def _event(kind: str, data: bytes) -> event_pb2.Event:
    digest = hashlib.sha256(data).hexdigest()[:26]
    return event_pb2.Event(
        event_id=f"evt_{digest}", type=kind, subject=f"bench/{digest}", sequence=1, data=data, tenant=TENANT
    )
