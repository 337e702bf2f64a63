"""Nobody sets a field that somebody else owns; a refusal names the field and its owner."""

import pytest
from google.type.decimal_pb2 import Decimal
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.errors import Refused
from libs.common.ownership import field_owners, owner_of, refuse_output_only


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
    owners = field_owners(order_pb2.Order.DESCRIPTOR)

    assert set(owners.values()) <= {"erp", "crm", "mesh"}
    assert all(owners.values())
