"""Customers on the wire and back."""

from decimal import Decimal

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from ordermesh.common.v1 import address_pb2, proposal_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2
from ordermesh.customer.v1 import customer_service_pb2 as pb

from libs.common import conflicts
from libs.common.address import Address
from libs.common.aggregate import Link
from libs.common.errors import Refused
from libs.common.money import Money
from libs.common.ownership import Policy
from services.customer import wire
from services.customer.domain import CrmFields, Customer, CustomerEvent, State
from services.customer.reactions import HEARS, targets
from tests.builders import crm_customer, erp_customer, usd
from tests.unit.services.memory import NOW


def an_update(*mask: str, **fields: str) -> pb.UpdateCustomerRequest:
    customer = customer_pb2.Customer(customer_id="cus_1", **fields)  # type: ignore[arg-type]
    return pb.UpdateCustomerRequest(customer=customer, update_mask=FieldMask(paths=mask), etag='"1"')


def test_everything_that_the_erp_says_is_shown_again() -> None:
    change = erp_customer("110")
    stated = customer_pb2.Customer(
        number="C-100",
        name="Acme",
        legal_name="Acme Ltd",
        tax_id="T1",
        email="a@b.example",
        phone="1",
        state=customer_pb2.CUSTOMER_STATE_INACTIVE,
        currency_code="USD",
        payment_terms="Net 30",
        credit_limit=usd("1000"),
        credit_used=usd("-12.5"),
        credit_hold=True,
        price_level="A",
        legal_entity="Parent",
        bill_to=address_pb2.Address(addressee="Acme", lines=["1 Road"], country_code="US"),
        ship_to=address_pb2.Address(locality="Town"),
    )
    change.customer.CopyFrom(stated)
    command = wire.parse_erp_change(change)
    assert command.fields is not None
    new = Customer(
        tenant="acme", record_id="cus_1", create_time=NOW, update_time=NOW, correlation_id="c", traceparent=""
    )
    shown = wire.render_customer(new.stated_by_erp(command.fields, command.link))

    ours = ("customer_id", "links", "create_time", "update_time", "etag", "correlation_id")
    assert shown.customer_id == "cus_1"
    for name in ours:
        shown.ClearField(name)  # type: ignore[arg-type]
    assert shown == stated
    assert command.fields.bill_to == Address("Acme", ("1 Road",), country_code="US")
    assert command.fields.credit_used == Money(Decimal("-12.5"), "USD")


def test_the_link_sorts_by_the_time_of_the_change() -> None:
    first, second = (wire.parse_erp_change(erp_customer("110", minute=minute)).link for minute in (9, 10))
    assert (first.system, first.external_id, first.number) == ("netsuite", "110", "C-100")
    assert first.version < second.version


def test_a_deletion_says_nothing_but_that() -> None:
    assert wire.parse_erp_change(erp_customer("110", gone=True)).fields is None
    assert wire.parse_crm_change(crm_customer("001", gone=True)).fields is None


@pytest.mark.parametrize(
    ("number", "state", "reason"),
    [
        ("", customer_pb2.CUSTOMER_STATE_ACTIVE, "MAPPING_FAILED"),
        ("C-1", customer_pb2.CUSTOMER_STATE_UNSPECIFIED, "MAPPING_VALUE_UNKNOWN"),
    ],
)
def test_a_customer_without_number_or_state_is_refused(
    number: str, state: customer_pb2.CustomerState.ValueType, reason: str
) -> None:
    change = erp_customer("110", number=number)
    change.customer.state = state
    with pytest.raises(Refused, match=reason):
        wire.parse_erp_change(change)


def test_the_crm_says_what_it_owns_and_which_number_it_means() -> None:
    command = wire.parse_crm_change(crm_customer("001", owner="Ada"))
    assert command.number == "C-100"
    assert command.fields == CrmFields(account_owner="Ada", segment="", engagement="")
    assert command.others["name"] == "as the CRM spells it"


def test_all_that_is_not_refused_at_once_can_be_ruled_on() -> None:
    open_to_others = {
        rule.field
        for rule in wire.OWNERSHIP.fields.values()
        if rule.owner == "erp" and rule.policy is not Policy.REFUSE
    }
    assert set(wire.parse_crm_change(crm_customer("001")).others) == open_to_others
    held = a_customer()
    assert all(conflicts.held(held, name) in ("", None) for name in open_to_others)


def test_a_crm_s_word_on_every_other_field_of_the_erp_is_heard_too() -> None:
    change = crm_customer("001")
    stated = customer_pb2.Customer(
        legal_name="L",
        tax_id="T",
        duns="123456789",
        state=customer_pb2.CUSTOMER_STATE_INACTIVE,
        payment_terms="N",
        credit_limit=usd("1"),
        credit_used=usd("2"),
        credit_hold=True,
        price_level="P",
        legal_entity="E",
    )
    change.customer.MergeFrom(stated)
    others = wire.parse_crm_change(change).others
    owned = {rule.field for rule in wire.OWNERSHIP.fields.values() if rule.owner == "erp"}
    assert owned - set(others) == {"number", "parent_customer_id"}, "the key, and what no domain keeps"
    assert all(hasattr(a_customer(), conflicts.ATTRIBUTES.get(name, name)) for name in others)


def test_an_accepted_value_goes_to_the_owner_alone() -> None:
    proposed = proposal_pb2.ChangeProposed(subject="customers/cus_1", field="phone", value="+49 1")
    change = wire.render_proposed(a_customer(), "110", proposed)
    assert (list(change.fields), change.customer.phone, change.external_id) == (["phone"], "+49 1", "110")


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (an_update(segment="Retail"), CrmFields(segment="Retail")),
        (an_update("account_owner", "segment"), CrmFields(account_owner="", segment="")),
        (an_update("segment", account_owner="Ada"), CrmFields(segment="")),
        (an_update(), CrmFields()),
    ],
)
def test_an_update_takes_the_mask_or_else_what_is_present(
    request_: pb.UpdateCustomerRequest, fields: CrmFields
) -> None:
    command = wire.parse_update_customer(request_)
    assert (command.customer_id, command.fields, command.etag) == ("cus_1", fields, '"1"')


@pytest.mark.parametrize(
    ("request_", "field", "owner"),
    [
        (an_update(etag="mine"), "customer.etag", "mesh"),
        (an_update("customer_id"), "customer.customer_id", "mesh"),
    ],
)
def test_an_update_of_what_ordermesh_sets_is_refused(
    request_: pb.UpdateCustomerRequest, field: str, owner: str
) -> None:
    with pytest.raises(Refused) as refused:
        wire.parse_update_customer(request_)
    assert refused.value.reason == "OWNERSHIP_VIOLATION"
    assert [(violation.field, violation.owner) for violation in refused.value.violations] == [(field, owner)]


def test_an_update_of_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Refused, match="INVALID_FIELD"):
        wire.parse_update_customer(an_update("nickname"))


def a_customer() -> Customer:
    return Customer(
        tenant="acme",
        record_id="cus_1",
        create_time=NOW,
        update_time=NOW,
        correlation_id="c",
        traceparent="",
        number="C-100",
        links=(Link("netsuite", "110"),),
        state=State.INACTIVE,
    )


def test_every_event_holds_the_customer_and_has_somebody_who_hears_of_it() -> None:
    for event in CustomerEvent:
        name, data = wire.render_event(event, a_customer())
        told: customer_events_pb2.CustomerChanged = getattr(
            customer_events_pb2, name.rsplit(".", 1)[1]
        ).FromString(data)
        assert told.customer == wire.render_customer(a_customer())
        assert HEARS[event]
    assert wire.render_event(CustomerEvent.SALES_CHANGED, a_customer())[0].endswith(".CustomerChanged")


def test_each_crm_of_the_tenant_hears_of_a_change_and_none_of_a_link() -> None:
    heard = targets(CustomerEvent.CHANGED, a_customer(), ["salesforce", "hubspot"], ["netsuite"])
    assert heard == ["connector:salesforce", "connector:hubspot", "service:order", "stream"]
    assert targets(CustomerEvent.LINKED, a_customer(), ["salesforce"], []) == ["service:order", "stream"]


def test_an_erp_that_has_the_customer_hears_of_what_the_crm_owns() -> None:
    heard = targets(CustomerEvent.SALES_CHANGED, a_customer(), ["salesforce"], ["netsuite", "sap"])
    assert heard == ["connector:salesforce", "connector:netsuite", "service:order", "stream"]


def test_a_crm_is_told_under_the_erp_s_number() -> None:
    change = wire.render_change(a_customer(), "001")
    assert (change.key, change.external_id, change.customer.customer_id) == ("C-100", "001", "cus_1")
