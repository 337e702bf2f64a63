"""What an accepted order is shown as: the same whether the answer was read whole or only what is new in it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpb.ordermesh.order.v1.order_pb import Order
from jsonpb.ordermesh.order.v1.order_service_pb import SubmitOrderResponse
from ordermesh.order.v1 import order_pb2
from ordermesh.order.v1 import order_service_pb2 as pb

from gateway.acceptance import Acceptance, Stated
from libs.common.ownership import output_only_fields
from libs.common.wire import message_field
from services.order.wire import submitted_order
from tests.unit.services.order.test_domain import an_order

ORDER_ID = "ord_01jx2v0000000000000000000a"
ORDER = pb.SubmitOrderResponse.ORDER_FIELD_NUMBER

texts = st.text('aé"\\:{},\n\u2028', max_size=3)
amounts: st.SearchStrategy[Mapping[str, object]] = st.builds(
    dict, units=st.integers(-1, 2), nanos=st.integers(0, 1), currency_code=texts
)
lines: st.SearchStrategy[list[Mapping[str, object]]] = st.lists(
    st.builds(dict, line_number=st.integers(0, 2), sku=texts, description=texts, unit_price=amounts),
    max_size=2,
)
statements = st.builds(
    order_pb2.Order,
    sold_to=st.builds(dict, customer_id=texts)
    | st.builds(dict, external=st.builds(dict, system=texts, external_id=texts)),
    purchase_order_number=texts,
    currency_code=texts,
    lines=lines,
    total=st.none() | amounts,
    memo=texts,
    source=st.none() | st.builds(dict, system=texts, external_id=texts),
)
additions = st.builds(
    order_pb2.Order,
    order_id=st.sampled_from([ORDER_ID, ORDER_ID, ORDER_ID, "", "ord_1"]),
    lines=lines | st.just([]),
    total=st.none() | amounts,
    region=texts,
    state=st.sampled_from([order_pb2.ORDER_STATE_UNSPECIFIED, order_pb2.ORDER_STATE_RECEIVED]),
    customer_id=texts,
    create_time=st.none() | st.builds(dict, seconds=st.integers(0, 9), nanos=st.sampled_from([0, 1000])),
    etag=texts,
)


def stated_as(order: order_pb2.Order) -> Stated:
    """As the gateway has read and written it."""
    message = Order.from_binary(order.SerializeToString())
    return Stated(message.to_binary(), message.to_json())


def answer(order: order_pb2.Order, order_id: str = ORDER_ID, behind: bytes = b"") -> bytes:
    """As the service writes it: the order last, or with something `behind`."""
    head = pb.SubmitOrderResponse(
        order_id=order_id, correlation_id="cor_1", status_url='/v1/orders/"order":{'
    )
    return head.SerializeToString() + message_field(ORDER, order.SerializeToString()) + behind


def accepted(**changed: object) -> order_pb2.Order:
    parts: dict[str, Any] = {
        "order_id": ORDER_ID,
        "sold_to": order_pb2.PartyRef(customer_id="cus_1"),
        "currency_code": "EUR",
        "lines": [order_pb2.OrderLine(line_number=1, sku="BOLT-8")],
        "state": order_pb2.ORDER_STATE_RECEIVED,
        "etag": '"v1"',
    }
    return order_pb2.Order(**{**parts, **changed})


def a_statement() -> order_pb2.Order:
    order = accepted(order_id="", etag="")
    order.ClearField("state")
    return order


@given(
    stated=statements,
    added=additions,
    order_id=st.sampled_from([ORDER_ID, ORDER_ID, ORDER_ID, "", "ord_1"]),
    behind=st.sampled_from([b"", b"\x28\x07"]),
)
def test_an_order_is_shown_as_the_service_tells_it_whatever_was_stated(
    stated: order_pb2.Order, added: order_pb2.Order, order_id: str, behind: bytes
) -> None:
    told = order_pb2.Order()
    told.CopyFrom(stated)
    told.MergeFrom(added)
    content = answer(told, order_id, behind)
    shown = Acceptance(content, stated_as(stated))
    assert json.loads(shown.render()) == json.loads(SubmitOrderResponse.from_binary(content).to_json())
    assert shown.message.order_id == order_id
    assert shown.message.order is not None
    assert shown.message.order.etag == told.etag


def test_only_what_is_new_is_read_where_the_order_came_back_unchanged() -> None:
    shown = Acceptance(answer(accepted()), stated_as(a_statement()))
    assert shown.message.order is not None
    assert not shown.message.order.lines
    assert json.loads(shown.render())["order"]["lines"][0]["sku"] == "BOLT-8"


def test_the_order_service_answers_so_that_only_what_is_new_is_read() -> None:
    content = submitted_order(replace(an_order(), record_id=ORDER_ID))
    told = pb.SubmitOrderResponse.FromString(content).order
    own = output_only_fields(told.DESCRIPTOR)
    stated = order_pb2.Order(
        **{field.name: said for field, said in told.ListFields() if field.name not in own}
    )
    shown = Acceptance(content, stated_as(stated))
    assert shown.message.order is not None
    assert not shown.message.order.lines
    assert json.loads(shown.render()) == json.loads(SubmitOrderResponse.from_binary(content).to_json())


@pytest.mark.parametrize(
    "changed",
    [
        {"currency_code": "USD"},
        {"purchase_order_number": "1"},
        {"order_id": ORDER_ID[:-1] + "b"},
        {"lines": [*accepted().lines, order_pb2.OrderLine(line_number=2, sku="FREIGHT")]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_the_service_has_changed_is_shown_as_changed(changed: dict[str, object]) -> None:
    content = answer(accepted(**changed))
    shown = json.loads(Acceptance(content, stated_as(a_statement())).render())
    assert shown == json.loads(SubmitOrderResponse.from_binary(content).to_json())


def test_an_order_that_is_replaced_is_shown_alone() -> None:
    shown = Acceptance(answer(accepted()), stated_as(a_statement()))
    shown.replace_order(Order(order_id=ORDER_ID, memo="newer"))
    assert json.loads(shown.render())["order"] == {"orderId": ORDER_ID, "memo": "newer"}
    shown.replace_order(None)
    assert "order" not in json.loads(shown.render())
