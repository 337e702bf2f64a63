"""Orders handed in over REST: what reaches the service, and what the caller is told."""

import grpc
import pytest
from ordermesh.order.v1 import order_pb2, order_service_pb2

from libs.common.errors import NotDone
from tests.contract.test_gateway.mesh import AN_ORDER, Mesh

ORDER_ID = "ord_01jx2v0000000000000000000a"
RECEIVED = order_pb2.OrderState.ORDER_STATE_RECEIVED


@pytest.fixture(autouse=True)
def accepting(mesh: Mesh) -> None:
    """The order service takes every order and knows it as received."""
    mesh.order.answers("SubmitOrder", accepted())
    mesh.order.answers("GetOrder", order_service_pb2.GetOrderResponse(order=accepted().order))


def accepted(
    state: order_pb2.OrderState.ValueType = RECEIVED,
) -> order_service_pb2.SubmitOrderResponse:
    return order_service_pb2.SubmitOrderResponse(
        order_id=ORDER_ID,
        correlation_id="cor_1",
        status_url=f"/v1/orders/{ORDER_ID}",
        order=order_pb2.Order(order_id=ORDER_ID, state=state, etag='"v1"'),
    )


async def test_order_is_accepted_with_the_place_to_ask_for_it(mesh: Mesh) -> None:
    answer = await mesh.submit()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/orders/{ORDER_ID}"
    assert answer.headers["etag"] == '"v1"'
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["cache-control"] == "no-store"
    assert "idempotent-replayed" not in answer.headers
    assert answer.json() == {
        "orderId": ORDER_ID,
        "correlationId": "cor_1",
        "statusUrl": f"/v1/orders/{ORDER_ID}",
        "order": {"orderId": ORDER_ID, "state": "ORDER_STATE_RECEIVED", "etag": '"v1"'},
        "retryAfterSeconds": 1,
    }


async def test_service_gets_the_order_the_key_and_the_caller(mesh: Mesh) -> None:
    await mesh.submit(Idempotency_Key="sf-801-1", X_Correlation_Id="corr-7", tracestate="a=1")
    (call,) = mesh.order.calls("SubmitOrder")
    request = order_service_pb2.SubmitOrderRequest.FromString(call.request)
    assert request.idempotency_key == "sf-801-1"
    assert request.order.sold_to.external.external_id == "001A"
    assert request.order.lines[0].unit_price.nanos == 500_000_000
    assert call.metadata["authorization"].startswith("Bearer ey")
    assert call.metadata["x-correlation-id"] == "corr-7"
    assert 0 < call.seconds_left < 16


async def test_order_of_a_thousand_lines_passes(mesh: Mesh) -> None:
    lines = [
        {
            "lineNumber": number,
            "sku": f"BOLT-{number}",
            "quantity": {"value": "1.5"},
            "unitCode": "EA",
            "unitPrice": {"currencyCode": "EUR", "units": "2", "nanos": 500000000},
            "taxCode": "VAT-DE",
            "description": "Hexagon head bolt, galvanised, strength class 8.8, packed by the hundred " * 2,
            "sourceLineId": f"802{number:015}",
        }
        for number in range(1, 1001)
    ]
    answer = await mesh.submit({**AN_ORDER, "lines": lines})
    assert answer.status_code == 202
    (call,) = mesh.order.calls("SubmitOrder")
    assert len(order_service_pb2.SubmitOrderRequest.FromString(call.request).order.lines) == 1000


async def test_repeated_answer_says_that_it_is_one(mesh: Mesh) -> None:
    mesh.order.answers("SubmitOrder", accepted(), replayed=True)
    answer = await mesh.submit()
    assert answer.status_code == 202
    assert answer.headers["idempotent-replayed"] == "true"


async def test_waiting_caller_gets_200_once_the_erp_has_spoken(mesh: Mesh) -> None:
    posted = accepted(order_pb2.OrderState.ORDER_STATE_POSTED).order
    mesh.order.answers("GetOrder", order_service_pb2.GetOrderResponse(order=posted))
    answer = await mesh.submit(Prefer="wait=10")
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=10"
    assert answer.json()["orderId"] == ORDER_ID
    assert answer.json()["order"]["state"] == "ORDER_STATE_POSTED"
    (call,) = mesh.order.calls("GetOrder")
    request = order_service_pb2.GetOrderRequest.FromString(call.request)
    assert (request.order_id, request.wait.seconds) == (ORDER_ID, 10)
    assert 10 < call.seconds_left < 16


async def test_waiting_caller_gets_202_while_the_order_is_received(mesh: Mesh) -> None:
    answer = await mesh.submit(Prefer="wait=1")
    assert answer.status_code == 202
    assert answer.json()["order"]["state"] == "ORDER_STATE_RECEIVED"


async def test_waiting_caller_gets_200_when_the_order_stands_still(mesh: Mesh) -> None:
    parked = accepted().order
    parked.standstill.exception_id = "order.17"
    mesh.order.answers("GetOrder", order_service_pb2.GetOrderResponse(order=parked))
    answer = await mesh.submit(Prefer="wait=5")
    assert answer.status_code == 200
    assert answer.json()["order"]["standstill"]["exceptionId"] == "order.17"


async def test_wait_is_bounded_to_thirty_seconds(mesh: Mesh) -> None:
    answer = await mesh.submit(Prefer="wait=3600")
    assert answer.headers["preference-applied"] == "wait=30"
    (call,) = mesh.order.calls("GetOrder")
    assert order_service_pb2.GetOrderRequest.FromString(call.request).wait.seconds == 30


async def test_accepted_order_stays_accepted_when_following_it_fails(mesh: Mesh) -> None:
    mesh.order.refuses("GetOrder", NotDone("UNAVAILABLE"))
    answer = await mesh.submit(Prefer="wait=5")
    assert answer.status_code == 202
    assert answer.json()["order"]["state"] == "ORDER_STATE_RECEIVED"


async def test_respond_async_is_acknowledged_and_does_not_wait(mesh: Mesh) -> None:
    answer = await mesh.submit(Prefer="respond-async")
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert not mesh.order.calls("GetOrder")


async def test_minimal_answer_leaves_the_order_out(mesh: Mesh) -> None:
    answer = await mesh.submit(Prefer="return=minimal")
    assert answer.headers["preference-applied"] == "return=minimal"
    assert answer.headers["etag"] == '"v1"'
    assert set(answer.json()) == {"orderId", "correlationId", "statusUrl", "retryAfterSeconds"}


async def test_lost_connection_after_sending_is_told_as_unknown_and_repeatable(mesh: Mesh) -> None:
    mesh.order.breaks("SubmitOrder", grpc.StatusCode.UNAVAILABLE)
    answer = await mesh.submit()
    assert answer.status_code == 504
    problem = answer.json()
    assert (problem["code"], problem["retryable"]) == ("OUTCOME_UNKNOWN", True)


async def test_key_in_quotes_is_the_same_key(mesh: Mesh) -> None:
    await mesh.submit(Idempotency_Key='"8e03978e-40d5-43dd-bc93-6894a57f9324"')
    (call,) = mesh.order.calls("SubmitOrder")
    request = order_service_pb2.SubmitOrderRequest.FromString(call.request)
    assert request.idempotency_key == "8e03978e-40d5-43dd-bc93-6894a57f9324"


@pytest.mark.parametrize("key", ["", "   ", '""'])
async def test_write_without_a_key_is_refused(mesh: Mesh, key: str) -> None:
    answer = await mesh.submit(Idempotency_Key=key)
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["code"] == "IDEMPOTENCY_KEY_MISSING"
    assert problem["errors"][0]["header"] == "Idempotency-Key"
    assert not mesh.order.seen


@pytest.mark.parametrize("key", ["k" * 256, '"' + "k" * 256 + '"', "schl\u00fcssel", '"half', "a\tb"])
async def test_key_that_cannot_be_one_is_refused_with_its_place(mesh: Mesh, key: str) -> None:
    headers = [*mesh.bearer().items(), ("Idempotency-Key", key)]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = await mesh.http.post("/v1/orders", json=AN_ORDER, headers=raw)
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["code"] == "INVALID_FIELD"
    assert problem["errors"][0]["pointer"] == "#/idempotencyKey"
    assert not mesh.order.seen


async def test_two_keys_are_no_key(mesh: Mesh) -> None:
    headers = [*mesh.bearer().items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await mesh.http.post("/v1/orders", json=AN_ORDER, headers=headers)
    assert answer.status_code == 400
    assert not mesh.order.seen
