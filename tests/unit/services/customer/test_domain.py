"""What a customer may become, and what is told of it."""

import pytest

from libs.common.aggregate import Link
from libs.common.errors import Refused
from services.customer.domain import CrmFields, Customer, CustomerEvent, ErpFields, State
from tests.unit.services.memory import NOW, at_minute

ERP_LINK = at_minute(0)
CRM_LINK = at_minute(0, "salesforce", "001")
ACME = ErpFields(number="C-100", name="Acme")


def a_customer(fields: ErpFields = ACME) -> Customer:
    """As stored after the ERP has told of it."""
    return Customer(
        tenant="acme",
        record_id="cus_1",
        create_time=NOW,
        update_time=NOW,
        correlation_id="cor-1",
        traceparent="",
        version=1,
        links=(ERP_LINK,),
        number=fields.number,
        name=fields.name,
    )


def test_a_customer_that_was_never_stored_is_registered() -> None:
    new = Customer(
        tenant="acme", record_id="cus_1", create_time=NOW, update_time=NOW, correlation_id="", traceparent=""
    )
    customer = new.stated_by_erp(ACME, ERP_LINK)
    assert customer.pending == (CustomerEvent.REGISTERED,)
    assert (customer.number, customer.name, customer.links) == ("C-100", "Acme", (ERP_LINK,))


def test_the_same_content_tells_nothing() -> None:
    assert a_customer().stated_by_erp(ACME, at_minute(5)).pending == ()


def test_a_change_by_the_erp_keeps_what_the_crm_said() -> None:
    customer = a_customer().stated_by_crm(CrmFields(account_owner="Ada", segment="Retail"), CRM_LINK)
    after = customer.stated_by_erp(ErpFields(number="C-100", name="Acme Ltd"), at_minute(1))
    assert (after.name, after.account_owner, after.segment) == ("Acme Ltd", "Ada", "Retail")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (CrmFields(account_owner="", segment=""), CustomerEvent.LINKED),
        (CrmFields(account_owner="Ada", segment=""), CustomerEvent.SALES_CHANGED),
    ],
)
def test_a_new_link_alone_is_a_link_and_with_news_a_change(fields: CrmFields, told: CustomerEvent) -> None:
    after = a_customer().stated_by_crm(fields, CRM_LINK)
    assert after.pending == (told,)
    assert after.link_of("salesforce") == CRM_LINK


def test_a_customer_gone_from_the_erp_is_inactive_and_comes_back_when_stated_again() -> None:
    gone = a_customer().gone_from_erp(at_minute(1))
    assert (gone.state, gone.pending) == (State.INACTIVE, (CustomerEvent.CHANGED,))
    assert gone.gone_from_erp(at_minute(2)).pending == gone.pending
    assert gone.stated_by_erp(ACME, at_minute(3)).state is State.ACTIVE


def test_two_records_of_one_system_never_stand_for_one_customer() -> None:
    linked = a_customer().stated_by_crm(CrmFields(), CRM_LINK)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        linked.stated_by_crm(CrmFields(), Link("salesforce", "002"))
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        linked.stated_by_erp(ACME, Link("netsuite", "111"))


def test_an_account_gone_from_the_crm_frees_its_place_and_another_s_end_changes_nothing() -> None:
    linked = a_customer().stated_by_crm(CrmFields(account_owner="Ada"), CRM_LINK)
    freed = linked.gone_from_crm(at_minute(1, "salesforce", "001"))
    assert freed.link_of("salesforce") is None
    assert freed.account_owner == "Ada"
    assert linked.gone_from_crm(Link("salesforce", "002")) is linked
    assert linked.gone_from_erp(Link("netsuite", "111")) is linked


def test_an_update_leaves_what_it_does_not_name() -> None:
    customer = a_customer().updated(CrmFields(account_owner="Ada", segment="Retail"))
    after = customer.updated(CrmFields(segment=""))
    assert (after.account_owner, after.segment) == ("Ada", "")
    assert a_customer().updated(CrmFields(account_owner="")).pending == ()


def test_a_link_known_already_is_nothing_to_tell() -> None:
    known = a_customer().linked_and_told(Link("salesforce", "001", "A-1"))
    assert known.pending == (CustomerEvent.LINKED,)
    assert known.linked_and_told(Link("salesforce", "001")).pending == known.pending
