"""Nobody sets a field that somebody else owns; a refusal names the field and its owner."""

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.type.decimal_pb2 import Decimal
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.product.v1 import product_pb2

from libs.common.errors import Refused
from libs.common.ownership import (
    Ownership,
    Policy,
    check_registered,
    check_stored,
    judge,
    named_fields,
    output_only_fields,
    owner_of,
    ownership_of,
    refuse_output_only,
)


def test_what_the_caller_may_set_passes() -> None:
    order = order_pb2.Order(sold_to=order_pb2.PartyRef(customer_id="cus_1"), currency_code="USD")

    refuse_output_only(order, "order")


def test_an_output_only_field_is_refused_with_its_path_and_owner() -> None:
    order = order_pb2.Order(order_id="ord_1", currency_code="USD")

    with pytest.raises(Refused) as refused:
        refuse_output_only(order, "order")

    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("order.order_id", "OWNERSHIP_VIOLATION")
    assert violation.owner == owner_of(order.DESCRIPTOR.fields_by_name["order_id"])


def test_every_violation_is_named_however_deep_it_lies() -> None:
    order = order_pb2.Order(
        order_id="ord_1", lines=[order_pb2.OrderLine(sku="A"), order_pb2.OrderLine(sku="B")]
    )
    order.lines[1].shipped_quantity.CopyFrom(Decimal(value="1"))

    with pytest.raises(Refused) as refused:
        refuse_output_only(order, "order")

    assert [violation.field for violation in refused.value.violations] == [
        "order.order_id",
        "order.lines[1].shipped_quantity",
    ]


def test_a_map_of_plain_values_is_no_resource() -> None:
    refuse_output_only(change_pb2.Change(key="ord_1", reference_ids={"cus_1": "110"}), "change")


def test_every_field_of_an_order_has_an_owner_of_the_contract() -> None:
    owners = {rule.owner for rule in ownership_of(order_pb2.Order.DESCRIPTOR).fields.values()}

    assert owners == {"erp", "crm", "mesh"}


CUSTOMER = ownership_of(customer_pb2.Customer.DESCRIPTOR)
PRODUCT = ownership_of(product_pb2.Product.DESCRIPTOR)
ORDER = ownership_of(order_pb2.Order.DESCRIPTOR)
INVOICE = ownership_of(invoice_pb2.Invoice.DESCRIPTOR)


@pytest.mark.parametrize(
    ("ownership", "owner", "fields"),
    [
        (CUSTOMER, "erp", "legal_entity tax_id payment_terms credit_limit credit_used credit_hold"),
        (CUSTOMER, "crm", "account_owner segment engagement"),
        (PRODUCT, "erp", "quantity_available prices"),
        (INVOICE, "erp", "net_total tax_total total amount_due lines payments"),
        (ORDER, "mesh", "state stage"),
    ],
)
def test_fields_belong_to_whom_the_trade_expects(ownership: Ownership, owner: str, fields: str) -> None:
    assert {ownership.fields[name].owner for name in fields.split()} == {owner}


def test_the_owner_and_permitted_updaters_are_taken_at_their_word() -> None:
    assert judge(CUSTOMER, ["name"], "erp", "customer").taken == {"name"}
    assert judge(CUSTOMER, ["segment"], "crm", "customer").taken == {"segment"}
    assert judge(CUSTOMER, ["segment"], "mesh", "customer").taken == {"segment"}


def test_each_other_field_goes_the_way_of_its_own_policy() -> None:
    ruling = judge(CUSTOMER, ["segment", "name", "bill_to"], "crm", "customer")

    assert ruling.taken == {"segment"}
    assert [rule.field for rule in ruling.proposed] == ["name"]
    assert [rule.field for rule in ruling.dropped] == ["bill_to"]


def test_one_refused_field_refuses_the_write_with_field_owner_and_rule() -> None:
    with pytest.raises(Refused) as refused:
        judge(CUSTOMER, ["segment", "name", "credit_limit", "tax_id"], "crm", "customer")

    found = [(v.field, v.owner, v.rule) for v in refused.value.violations]
    assert found == [
        ("customer.credit_limit", "erp", "ownership.refuse"),
        ("customer.tax_id", "erp", "ownership.refuse"),
    ]
    assert refused.value.facts.metadata == {
        "field": "customer.credit_limit",
        "field_owner": "erp",
        "rule": "ownership.refuse",
    }


def test_an_erp_does_not_write_what_the_crm_owns() -> None:
    with pytest.raises(Refused, match="OWNERSHIP_VIOLATION"):
        judge(CUSTOMER, ["segment"], "erp", "customer")


def test_at_the_door_to_state_nobody_changes_what_another_system_owns() -> None:
    check_stored(CUSTOMER, ["name", "links", "not_in_the_contract"], "erp")
    check_stored(ORDER, ["state", "memo"], "erp")
    with pytest.raises(Refused) as refused:
        check_stored(CUSTOMER, ["segment", "name"], "crm")
    assert refused.value.violations[0].field == "customer.name"
    check_registered(ORDER, "crm")
    with pytest.raises(Refused, match="OWNERSHIP_VIOLATION"):
        check_registered(INVOICE, "crm")


def test_a_write_is_about_what_its_mask_names_or_else_what_is_present() -> None:
    customer = customer_pb2.Customer(customer_id="cus_1", segment="Retail")
    named = named_fields(customer, ["account_owner"], identity="customer_id", path="customer")
    assert named == {"account_owner"}
    assert named_fields(customer, [], identity="customer_id", path="customer") == {"segment"}
    with pytest.raises(Refused, match="INVALID_FIELD"):
        named_fields(customer, ["colour"], identity="customer_id", path="customer")
    with pytest.raises(Refused) as refused:
        named_fields(customer, ["etag"], identity="customer_id", path="customer")
    assert (refused.value.violations[0].field, refused.value.violations[0].owner) == ("customer.etag", "mesh")


@pytest.mark.parametrize("descriptor", [customer_pb2.Customer.DESCRIPTOR, product_pb2.Product.DESCRIPTOR])
def test_what_is_proposed_is_text(descriptor: Descriptor) -> None:
    proposed = [
        rule.field for rule in ownership_of(descriptor).fields.values() if rule.policy is Policy.PROPOSE
    ]
    kinds = {descriptor.fields_by_name[name].type for name in proposed}
    assert kinds <= {FieldDescriptor.TYPE_STRING}
    assert not output_only_fields(descriptor) & set(proposed)
