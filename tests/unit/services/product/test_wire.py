"""Products on the wire and back."""

from decimal import Decimal

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.decimal_pb2 import Decimal as DecimalMessage
from ordermesh.product.v1 import product_events_pb2, product_pb2
from ordermesh.product.v1 import product_service_pb2 as pb

from libs.common.errors import Refused
from libs.common.ownership import Policy
from services.product import wire
from services.product.domain import CrmFields, Product, ProductEvent
from services.product.reactions import HEARS, targets
from tests.builders import crm_product, erp_product, usd
from tests.unit.services.memory import NOW


def a_product() -> Product:
    return Product(
        tenant="acme",
        record_id="prd_1",
        create_time=NOW,
        update_time=NOW,
        correlation_id="c",
        traceparent="",
        sku="BOLT",
        quantity_available=Decimal("1E+1"),
    )


def test_everything_that_the_erp_says_is_shown_again() -> None:
    change = erp_product("7")
    stated = product_pb2.Product(
        sku="BOLT",
        name="Bolt",
        description="M8",
        state=product_pb2.PRODUCT_STATE_INACTIVE,
        unit_code="EA",
        prices=[
            product_pb2.Price(price_book="base", unit_price=usd("12.50")),
            product_pb2.Price(price_book="a", unit_price=usd("0")),
        ],
        quantity_available=DecimalMessage(value="-2.5"),
        stocked=True,
    )
    change.product.CopyFrom(stated)
    command = wire.parse_erp_change(change)
    assert command.fields is not None
    shown = wire.render_product(a_product().stated_by_erp(command.fields, command.link))
    for name in ("product_id", "links", "create_time", "update_time", "etag", "correlation_id"):
        shown.ClearField(name)
    assert shown == stated


def test_a_service_has_no_stock_and_a_quantity_is_plain_text() -> None:
    change = erp_product("7")
    change.product.ClearField("quantity_available")
    fields = wire.parse_erp_change(change).fields
    assert fields is not None
    assert fields.quantity_available is None
    assert wire.render_product(a_product()).quantity_available.value == "10"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (erp_product("7", sku=""), "MAPPING_FAILED"),
        (erp_product("7", stock="many"), "QUANTITY_INVALID"),
        (erp_product("7", stock="1e999"), "QUANTITY_INVALID"),
    ],
)
def test_what_cannot_be_understood_is_refused(change: object, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        wire.parse_erp_change(change)  # type: ignore[arg-type]


def test_a_product_without_state_is_refused() -> None:
    change = erp_product("7")
    change.product.state = product_pb2.PRODUCT_STATE_UNSPECIFIED
    with pytest.raises(Refused, match="MAPPING_VALUE_UNKNOWN"):
        wire.parse_erp_change(change)


def test_the_crm_says_what_it_owns_and_which_sku_it_means() -> None:
    command = wire.parse_crm_change(crm_product("01t"))
    assert (command.sku, command.fields) == ("BOLT", CrmFields(marketing_text="Holds."))
    open_to_others = {
        rule.field
        for rule in wire.OWNERSHIP.fields.values()
        if rule.owner == "erp" and rule.policy is not Policy.REFUSE
    }
    assert set(command.others) == open_to_others
    assert wire.parse_crm_change(crm_product("01t", gone=True)).fields is None


@pytest.mark.parametrize(("mask", "text"), [((), "Holds."), (("marketing_text",), "Holds.")])
def test_an_update_takes_the_marketing_text(mask: tuple[str, ...], text: str) -> None:
    product = product_pb2.Product(product_id="prd_1", marketing_text="Holds.")
    request = pb.UpdateProductRequest(product=product, update_mask=FieldMask(paths=mask))
    assert wire.parse_update_product(request).fields == CrmFields(marketing_text=text)


def test_every_event_is_one_of_the_contract_and_has_somebody_who_hears_of_it() -> None:
    for event in ProductEvent:
        name, data = wire.render_event(event, a_product())
        told: product_events_pb2.ProductChanged = getattr(
            product_events_pb2, name.rsplit(".", 1)[1]
        ).FromString(data)
        assert told.product == wire.render_product(a_product())
        assert HEARS[event]
    assert wire.render_event(ProductEvent.OFFER_CHANGED, a_product())[0].endswith(".ProductChanged")


def test_orders_do_not_hear_of_an_offer() -> None:
    assert targets(ProductEvent.OFFER_CHANGED, ["salesforce"]) == ["connector:salesforce", "stream"]
    assert "service:order" in targets(ProductEvent.CHANGED, [])


def test_a_crm_is_told_under_the_sku() -> None:
    change = wire.render_change(a_product(), "01t")
    assert (change.key, change.external_id, change.product.product_id) == ("BOLT", "01t", "prd_1")
