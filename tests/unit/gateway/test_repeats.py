"""Repeated fields in JSON texts: the cheap look agrees with the exact one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpb.ordermesh.order.v1.order_pb import Order

from gateway.diagnosis import faults_in
from gateway.repeats import may_repeat

MEMBERS = st.lists(
    st.sampled_from(
        [
            '"memo":"a"',
            '"memo":":"',
            '"memo":"\\u003a"',
            '"memo":null',
            '"memo":""',
            '"purchaseOrderNumber":"1"',
            '"purchase_order_number":"1"',
            '"soldTo":{"customerId":"c"}',
            '"soldTo":{"customerId":"c","external":{"system":"s","externalId":"1"}}',
            '"soldTo":{"customerId":"c","external":null}',
            '"total":{"units":"1","units":"1"}',
            '"lines":[{"sku":"a"},{"sku":"b"}]',
            '"lines":[{"sku":"a","lineNumber":0}]',
            '"createTime":"2026-01-01T00:00:00+01:00"',
        ]
    ),
    max_size=5,
)


@given(MEMBERS)
def test_text_that_states_a_field_twice_is_never_let_pass(members: list[str]) -> None:
    text = ("{" + ",".join(members) + "}").encode()
    if faults_in(text, Order.desc()):
        assert may_repeat(text, Order.desc(), Order.from_json(text).to_json())


@pytest.mark.parametrize(
    "members",
    [
        {"memo": "10:30"},
        {"memo": None, "lines": []},
        {"memo": "", "lines": [{"sku": "a", "lineNumber": 0}]},
        {"soldTo": {"customerId": "c", "external": None}},
        {"createTime": "2026-01-01T00:00:00+01:00"},
    ],
)
def test_ordinary_text_needs_no_closer_look(members: dict[str, object]) -> None:
    text = json.dumps(members).encode()
    assert not may_repeat(text, Order.desc(), Order.from_json(text).to_json())
