"""What may be asked."""

from typing import TYPE_CHECKING

from ordermesh.connector.v1 import connector_service_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.errors import Refused, Violation
from libs.common.rpc.channel import MeshChannel
from libs.common.rpc.server import MESSAGE_BYTES_MAX

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

from tests.contract.test_rpc.scripted import ORDER, FindByKey, raw, refusal


async def test_a_broken_rule_is_refused_with_path_and_rule(stub: "Stub") -> None:
    error = await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="k" * 65)))
    assert error.violations == (
        Violation("key", "must be at most 64 characters", "INVALID_FIELD", rule="string.max_len"),
    )


async def test_paths_lead_into_lists_and_maps(stub: "Stub") -> None:
    line = order_pb2.OrderLine(line_number=-1, sku="A-1")
    error = await refusal(
        stub.CheckAvailability(
            connector_service_pb2.CheckAvailabilityRequest(lines=[order_pb2.OrderLine(), line])
        )
    )
    assert "lines[1].line_number" in {violation.field for violation in error.violations}


async def test_bytes_that_are_no_message_are_refused(channel: MeshChannel) -> None:
    error = await refusal(raw(channel, "FindByKey")(b"\xff\xff\xff"))
    assert (type(error), error.reason) == (Refused, "MALFORMED_BODY")


async def test_a_request_over_the_limit_is_refused(channel: MeshChannel) -> None:
    error = await refusal(raw(channel, "FindByKey")(bytes(MESSAGE_BYTES_MAX + 1)))
    assert (type(error), error.reason) == (Refused, "BODY_TOO_LARGE")
