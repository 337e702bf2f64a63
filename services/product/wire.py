"""Messages to domain and back, pure. Open this file when a field is missing on the wire, or refused at the door."""

from collections.abc import Mapping
from decimal import Decimal

from google.protobuf.message import Message
from ordermesh.connector.v1 import change_pb2
from ordermesh.product.v1 import product_events_pb2, product_pb2, product_service_pb2

from libs.common import money
from libs.common.conflicts import Claimed
from libs.common.errors import Refused
from libs.common.ownership import named_fields, ownership_of
from libs.common.wire import link_of_change, render_link, render_time
from services.product import domain
from services.product.commands import TakeInFromCrm, TakeInFromErp, UpdateProduct
from services.product.domain import Product, ProductEvent, State

STATES = {
    product_pb2.PRODUCT_STATE_ACTIVE: State.ACTIVE,
    product_pb2.PRODUCT_STATE_INACTIVE: State.INACTIVE,
}
TOLD_AS: dict[str, str] = {ProductEvent.OFFER_CHANGED: ProductEvent.CHANGED}
"""Facts that the contract does not tell apart."""

OWNERSHIP = ownership_of(product_pb2.Product.DESCRIPTOR)


# Requests ------------------------------------------------------------------------------------------------------


def parse_update_product(request: product_service_pb2.UpdateProductRequest) -> UpdateProduct:
    """Refused with OWNERSHIP_VIOLATION or INVALID_FIELD and the field's path."""
    product = request.product
    named = named_fields(product, request.update_mask.paths, identity="product_id", path="product")
    fields = domain.CrmFields(marketing_text=product.marketing_text if "marketing_text" in named else None)
    return UpdateProduct(product.product_id, named, fields, _contested(product), request.etag)


def _contested(product: product_pb2.Product) -> Mapping[str, object]:
    """Values of the fields of the ERP that others may be heard about: all whose policy is not to refuse."""
    return {"name": product.name}


# Answers -------------------------------------------------------------------------------------------------------


def render_updated_product(claimed: Claimed[Product]) -> product_service_pb2.UpdateProductResponse:
    return product_service_pb2.UpdateProductResponse(
        product=render_product(claimed.record),
        dropped_fields=claimed.dropped,
        proposed_fields=claimed.proposed,
    )


def render_product(product: Product) -> product_pb2.Product:
    """The product as callers and connectors see it."""
    message = product_pb2.Product(
        product_id=product.record_id,
        sku=product.sku,
        name=product.name,
        description=product.description,
        state=product_pb2.ProductState.ValueType(product.state),
        unit_code=product.unit_code,
        prices=[_render_price(price) for price in product.prices],
        stocked=product.stocked,
        marketing_text=product.marketing_text,
        links=[render_link(link) for link in product.links],
        create_time=render_time(product.create_time),
        update_time=render_time(product.update_time),
        etag=product.etag,
        correlation_id=product.correlation_id,
    )
    if product.quantity_available is not None:
        message.quantity_available.CopyFrom(money.render_decimal(product.quantity_available))
    return message


def _render_price(price: domain.Price) -> product_pb2.Price:
    return product_pb2.Price(price_book=price.price_book, unit_price=money.render_money(price.unit_price))


# Events and changes --------------------------------------------------------------------------------------------


def render_event(name: str, product: Product) -> tuple[str, bytes]:
    """Full name and data of an event: each holds the product just after the change."""
    event_type: type[Message] = getattr(product_events_pb2, TOLD_AS.get(name, name))
    data = event_type(product=render_product(product)).SerializeToString()
    return event_type.DESCRIPTOR.full_name, data


def render_change(product: Product, external_id: str) -> change_pb2.Change:
    """What a connector is to write of a product. Its key is the SKU, which a CRM keeps beside its own id."""
    return change_pb2.Change(
        kind=change_pb2.KIND_PRODUCT,
        intent=change_pb2.INTENT_UPSERT,
        key=product.sku,
        external_id=external_id,
        product=render_product(product),
    )


def parse_erp_change(change: change_pb2.ExternalChange) -> TakeInFromErp:
    """The ERP's word on a product.

    Refused with MAPPING_FAILED without a SKU, MAPPING_VALUE_UNKNOWN or QUANTITY_INVALID.
    """
    product = change.product
    link = link_of_change(change, product.sku)
    return TakeInFromErp(link, None if change.deleted else _parse_erp_fields(product))


def _parse_erp_fields(product: product_pb2.Product) -> domain.ErpFields:
    if not product.sku:
        raise Refused.field("MAPPING_FAILED", "product.sku", "the ERP names none")
    if product.state not in STATES:
        raise Refused("MAPPING_VALUE_UNKNOWN", f"product state {product.state} has no counterpart")
    return domain.ErpFields(
        sku=product.sku,
        name=product.name,
        description=product.description,
        state=STATES[product.state],
        unit_code=product.unit_code,
        prices=_parse_prices(product),
        quantity_available=_parse_available(product),
        stocked=product.stocked,
    )


def _parse_prices(product: product_pb2.Product) -> tuple[domain.Price, ...]:
    return tuple(
        domain.Price(price.price_book, money.money_from(price.unit_price)) for price in product.prices
    )


def _parse_available(product: product_pb2.Product) -> Decimal | None:
    if not product.HasField("quantity_available"):
        return None
    text = product.quantity_available.value
    return money.parse_decimal(text, "QUANTITY_INVALID", "product.quantity_available")


def parse_crm_change(change: change_pb2.ExternalChange) -> TakeInFromCrm:
    """The CRM's word on a product: the fields it owns, what it shows in others, the SKU where it knows it."""
    product, link = change.product, link_of_change(change, "")
    sku = change.key or product.sku
    if change.deleted:
        return TakeInFromCrm(link, sku, None)
    fields = domain.CrmFields(marketing_text=product.marketing_text)
    return TakeInFromCrm(link, sku, fields, {**_contested(product), **_refused(product)})


def _refused(product: product_pb2.Product) -> Mapping[str, object]:
    """Values of the other fields of the ERP, as far as a CRM's connector reads them."""
    shown = {
        "description": product.description,
        "state": STATES.get(product.state),
        "unit_code": product.unit_code,
        "prices": _parse_prices(product),
        "quantity_available": _parse_available(product),
        "stocked": product.stocked,
    }
    return {name: value for name, value in shown.items() if value}
