"""Two requests are the same when they say the same, whatever their keys."""

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from ordermesh.order.v1 import order_service_pb2 as pb

from libs.common.durable.idempotency import once

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def a_request(key: str, reason: str = "why") -> pb.HoldOrderRequest:
    return pb.HoldOrderRequest(order_id="ord_1", idempotency_key=key, reason=reason)


@given(texts, texts)
def test_the_key_is_not_part_of_what_a_request_says(one: str, other: str) -> None:
    assert once(a_request(one)).fingerprint == once(a_request(other)).fingerprint
    assert once(a_request(one)).key == one


@given(texts, texts)
def test_another_request_has_another_fingerprint(one: str, other: str) -> None:
    same = once(a_request("k", one)).fingerprint == once(a_request("k", other)).fingerprint

    assert same is (one == other)


def test_the_order_of_fields_on_the_wire_does_not_count() -> None:
    forwards = pb.HoldOrderRequest.FromString(
        a_request("k").SerializeToString() + pb.HoldOrderRequest(reason="why").SerializeToString()
    )
    backwards = json_format.Parse(
        '{"reason": "why", "idempotencyKey": "k", "orderId": "ord_1"}', pb.HoldOrderRequest()
    )

    assert once(forwards) == once(backwards)


def test_the_request_itself_keeps_its_key() -> None:
    request = a_request("k")

    once(request)

    assert request.idempotency_key == "k"
