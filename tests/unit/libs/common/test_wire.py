"""Pieces of messages: what is put together from bytes reads as what was set."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from ordermesh.order.v1 import order_events_pb2, order_pb2, order_service_pb2

from libs.common.wire import fill_time, message_field, parse_time, render_time


@pytest.mark.parametrize("characters", [0, 1, 120, 130, 20_000])
def test_a_message_with_one_more_field_in_bytes_reads_as_if_that_field_had_been_set(characters: int) -> None:
    order = order_pb2.Order(memo="m" * characters)
    answer = order_service_pb2.SubmitOrderResponse(order_id="ord_1")

    content = answer.SerializeToString() + message_field(answer.ORDER_FIELD_NUMBER, order.SerializeToString())

    answer.order.CopyFrom(order)
    assert content == answer.SerializeToString()
    assert order_service_pb2.SubmitOrderResponse.FromString(content) == answer


def test_nothing_is_needed_but_the_field() -> None:
    content = message_field(order_events_pb2.OrderTaxed.ORDER_FIELD_NUMBER, b"")

    assert order_events_pb2.OrderTaxed.FromString(content).HasField("order")


@pytest.mark.parametrize("time", [Timestamp(seconds=1_766_400_000, nanos=123_456_000), Timestamp()])
def test_a_time_filled_in_is_there_and_is_the_time(time: Timestamp) -> None:
    order = order_pb2.Order()

    fill_time(order.create_time, parse_time(time))

    assert order.HasField("create_time")
    assert order.create_time == render_time(parse_time(time)) == time
