"""What a product may become, and who must hear of it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from libs.common.aggregate import Link
from libs.common.errors import Refused
from libs.common.money import Money
from services.product.domain import CrmFields, ErpFields, Price, Product, ProductEvent, State
from tests.unit.services.memory import NOW, at_minute

ERP_LINK = at_minute(0)
CRM_LINK = at_minute(0, "salesforce", "01t")
BOLT = ErpFields(sku="BOLT", name="Bolt", unit_code="EA", quantity_available=Decimal(10), stocked=True)


def a_product() -> Product:
    """As stored after the ERP has told of it."""
    new = Product(
        tenant="acme", record_id="prd_1", create_time=NOW, update_time=NOW, correlation_id="", traceparent=""
    )
    return replace(new.stated_by_erp(BOLT, ERP_LINK), version=1, pending=())


def test_a_product_that_was_never_stored_is_registered() -> None:
    told = replace(a_product(), version=0).stated_by_erp(BOLT, ERP_LINK).pending
    assert told == (ProductEvent.REGISTERED,)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (BOLT, ()),
        (replace(BOLT, quantity_available=Decimal("10.00")), ()),
        (replace(BOLT, quantity_available=Decimal(9)), (ProductEvent.OFFER_CHANGED,)),
        (replace(BOLT, prices=(Price("base", Money(Decimal(1), "USD")),)), (ProductEvent.OFFER_CHANGED,)),
        (replace(BOLT, name="Bolt M8"), (ProductEvent.OFFER_CHANGED,)),
        (replace(BOLT, sku="BOLT-8"), (ProductEvent.CHANGED,)),
        (replace(BOLT, unit_code="KGM"), (ProductEvent.CHANGED,)),
        (replace(BOLT, state=State.INACTIVE, quantity_available=None), (ProductEvent.CHANGED,)),
    ],
)
def test_orders_are_concerned_only_by_what_they_depend_on(
    fields: ErpFields, told: tuple[ProductEvent, ...]
) -> None:
    assert a_product().stated_by_erp(fields, at_minute(5)).pending == told


def test_a_new_link_concerns_orders_even_when_only_the_text_changed_with_it() -> None:
    assert a_product().stated_by_crm(CrmFields(), CRM_LINK).pending == (ProductEvent.LINKED,)
    changed = a_product().stated_by_crm(CrmFields(marketing_text="Holds."), CRM_LINK)
    assert changed.pending == (ProductEvent.CHANGED,)
    assert a_product().updated(CrmFields(marketing_text="Holds.")).pending == (ProductEvent.OFFER_CHANGED,)


def test_a_product_gone_from_the_erp_is_not_for_sale() -> None:
    gone = a_product().gone_from_erp(at_minute(1))
    assert (gone.state, gone.pending) == (State.INACTIVE, (ProductEvent.CHANGED,))


def test_the_crm_s_text_stays_when_the_erp_speaks() -> None:
    text = a_product().stated_by_crm(CrmFields(marketing_text="Holds."), CRM_LINK)
    assert text.stated_by_erp(replace(BOLT, name="Bolt M8"), at_minute(1)).marketing_text == "Holds."


def test_two_records_of_one_system_never_stand_for_one_product() -> None:
    linked = a_product().stated_by_crm(CrmFields(), CRM_LINK)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        linked.stated_by_crm(CrmFields(), Link("salesforce", "02t"))
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        linked.stated_by_erp(BOLT, Link("netsuite", "111"))


def test_a_record_gone_from_the_crm_frees_its_place_and_another_s_end_changes_nothing() -> None:
    linked = a_product().stated_by_crm(CrmFields(), CRM_LINK)
    assert linked.gone_from_crm(CRM_LINK).link_of("salesforce") is None
    assert linked.gone_from_crm(Link("salesforce", "02t")) is linked
    assert linked.gone_from_erp(Link("netsuite", "111")) is linked
