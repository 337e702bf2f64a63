"""Faults of a body, each with its place."""

import json

import pytest
from jsonpb.ordermesh.customer.v1.customer_service_pb import UpdateCustomerRequest
from jsonpb.ordermesh.order.v1.order_pb import Order
from jsonpb.ordermesh.order.v1.order_service_pb import GetOrderRequest
from protobuf import DescMessage

from gateway.diagnosis import FAULTS_MAX, diagnose, faults_in

CLEAN = [
    (Order.desc(), {"lines": [{"sku": "a", "lineNumber": 1.0}], "total": {"units": -5, "nanos": "7"}}),
    (Order.desc(), {"state": 999, "createTime": "2026-01-01T00:00:00.5Z"}),
    (UpdateCustomerRequest.desc(), {"updateMask": "accountOwner,segment"}),
    (GetOrderRequest.desc(), {"wait": "2.5s", "orderId": "x"}),
]


@pytest.mark.parametrize(("desc", "value"), CLEAN)
def test_what_the_parser_takes_has_no_fault(desc: DescMessage, value: object) -> None:
    text = json.dumps(value).encode()
    desc.type.from_json(text)
    assert not faults_in(text, desc)


@pytest.mark.parametrize(
    ("desc", "value", "place"),
    [
        (UpdateCustomerRequest.desc(), {"updateMask": 5}, "#/updateMask"),
        (GetOrderRequest.desc(), {"wait": "soon"}, "#/wait"),
        (Order.desc(), {"lines": {"0": {}}}, "#/lines"),
        (Order.desc(), {"lines": [[]]}, "#/lines/0"),
        (Order.desc(), {"cancelRequested": "true"}, "#/cancelRequested"),
        (Order.desc(), {"total": {"units": 2**63}}, "#/total/units"),
        (Order.desc(), {"lines": [{"lineNumber": True}]}, "#/lines/0/lineNumber"),
        (Order.desc(), {"a/b~c": 1}, "#/a~1b~0c"),
    ],
)
def test_fault_is_found_where_it_is(desc: DescMessage, value: object, place: str) -> None:
    (fault,) = faults_in(json.dumps(value).encode(), desc)
    assert fault.field == place


def test_no_more_faults_are_told_than_a_person_reads() -> None:
    text = json.dumps({f"field{number}": 1 for number in range(1000)}).encode()
    assert len(diagnose(text, Order.desc()).violations) == FAULTS_MAX


def test_values_are_never_repeated() -> None:
    text = json.dumps(
        {"memo": 12345678, "state": "SECRET", "createTime": "SECRET", "total": "SECRET"}
    ).encode()
    refused = diagnose(text, Order.desc())
    told = " ".join([refused.detail, *(violation.description for violation in refused.violations)])
    assert len(refused.violations) == 4
    assert "SECRET" not in told
    assert "12345678" not in told


def test_long_names_are_cut() -> None:
    (fault,) = faults_in(json.dumps({"n" * 5000: 1}).encode(), Order.desc())
    assert len(fault.field) < 120


def test_name_that_is_half_a_character_can_be_told() -> None:
    (fault,) = faults_in(b'{"\\ud800":1}', Order.desc())
    assert fault.field.encode()
