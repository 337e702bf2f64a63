"""Payloads in a vendor's own shape: translated by the connector, carried out by the service."""

import pytest
from ordermesh.connector.v1 import connector_service_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2

from libs.common.errors import NotDone, Refused, Violation
from tests.contract.test_gateway.mesh import Mesh

PATH = "/v1/systems/netsuite/inbound"
PAYLOAD = b'{"Name": "Opportunity 7", "lines": []}'


@pytest.fixture(autouse=True)
def translating(mesh: Mesh) -> None:
    """The connector makes an order of everything; the service accepts it."""
    command = order_service_pb2.SubmitOrderRequest(
        order=order_pb2.Order(currency_code="EUR"), idempotency_key="salesforce/801/3"
    )
    mesh.backends["netsuite"].answers(
        "Translate", connector_service_pb2.TranslateResponse(submit_order=command)
    )
    mesh.order.answers(
        "SubmitOrder",
        order_service_pb2.SubmitOrderResponse(order_id="ord_1", order=order_pb2.Order(order_id="ord_1")),
    )


async def hand_in(
    mesh: Mesh, path: str = PATH, content: bytes = PAYLOAD, **headers: str
) -> "tuple[int, dict[str, object], dict[str, str]]":
    stated = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await mesh.http.post(
        path, content=content, headers={"Content-Type": "application/json", **mesh.bearer(), **stated}
    )
    return answer.status_code, answer.json(), dict(answer.headers)


async def test_payload_becomes_an_order_under_its_own_key(mesh: Mesh) -> None:
    status, body, headers = await hand_in(mesh, PATH + "?nativeType=Order")
    assert (status, body["orderId"]) == (202, "ord_1")
    assert headers["location"] == "/v1/orders/ord_1"
    (translation,) = mesh.backends["netsuite"].calls("Translate")
    request = connector_service_pb2.TranslateRequest.FromString(translation.request)
    assert request.payload == PAYLOAD
    assert (request.native_type, request.content_type) == ("Order", "application/json")
    (call,) = mesh.order.calls("SubmitOrder")
    submitted = order_service_pb2.SubmitOrderRequest.FromString(call.request)
    assert submitted.idempotency_key == "salesforce/801/3"
    assert submitted.order.currency_code == "EUR"
    assert call.metadata["x-correlation-id"] == headers["x-correlation-id"]
    assert translation.metadata["authorization"] == call.metadata["authorization"]


async def test_key_of_the_caller_goes_before_the_derived_one(mesh: Mesh) -> None:
    await hand_in(mesh, Idempotency_Key="mine")
    (call,) = mesh.order.calls("SubmitOrder")
    assert order_service_pb2.SubmitOrderRequest.FromString(call.request).idempotency_key == "mine"


async def test_payload_is_passed_on_untouched_whatever_it_is(mesh: Mesh) -> None:
    soap = b"\xef\xbb\xbf<soapenv:Envelope>\x00</soapenv:Envelope>"
    status, _, _ = await hand_in(mesh, content=soap, Content_Type="text/xml; charset=utf-8")
    assert status == 202
    (call,) = mesh.backends["netsuite"].calls("Translate")
    assert connector_service_pb2.TranslateRequest.FromString(call.request).payload == soap


async def test_payload_of_five_megabytes_passes(mesh: Mesh) -> None:
    status, _, _ = await hand_in(mesh, content=b'"' + b"x" * 5_000_000 + b'"')
    assert status == 202


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        pytest.param(b"", {}, 400, "MALFORMED_BODY", id="empty"),
        pytest.param(b"x" * (6 * 1024 * 1024 + 1), {}, 413, "BODY_TOO_LARGE", id="too long"),
        pytest.param(b"[" * 1000, {}, 413, "BODY_TOO_LARGE", id="too deep"),
        pytest.param(PAYLOAD, {"Content_Type": ""}, 415, "UNSUPPORTED_MEDIA_TYPE", id="no type"),
        pytest.param(
            PAYLOAD, {"Content_Type": "x/" + "y" * 300}, 415, "UNSUPPORTED_MEDIA_TYPE", id="odd type"
        ),
        pytest.param(PAYLOAD, {"Idempotency_Key": "k" * 256}, 400, "INVALID_FIELD", id="key too long"),
    ],
)
async def test_payload_that_must_not_pass_is_refused(
    mesh: Mesh, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    got, problem, _ = await hand_in(mesh, content=content, **headers)
    assert (got, problem["code"]) == (status, code)
    assert not mesh.backends["netsuite"].seen


@pytest.mark.parametrize("query", ["?nativeType=", "?nativeType=A&nativeType=B", "?type=Order"])
async def test_parameter_that_does_not_fit_is_refused(mesh: Mesh, query: str) -> None:
    status, problem, _ = await hand_in(mesh, PATH + query)
    assert (status, problem["code"]) == (400, "INVALID_FIELD")


@pytest.mark.parametrize("path", ["/v1/systems/sap/inbound", "/v1/systems/NETSUITE/inbound"])
async def test_unknown_system_is_not_there(mesh: Mesh, path: str) -> None:
    status, problem, _ = await hand_in(mesh, path)
    assert (status, problem["code"]) == (404, "SYSTEM_UNKNOWN")


async def test_system_of_another_tenant_is_not_there_either(mesh: Mesh) -> None:
    answer = await mesh.http.post(PATH, content=PAYLOAD, headers=mesh.bearer(tenant="globex"))
    assert (answer.status_code, answer.json()["code"]) == (404, "SYSTEM_UNKNOWN")
    assert not mesh.backends["netsuite"].seen


async def test_payload_the_connector_cannot_translate_is_refused_with_the_place(mesh: Mesh) -> None:
    fault = Violation("lines[0].PricebookEntryId", "is missing", "PAYLOAD_UNTRANSLATABLE")
    mesh.backends["netsuite"].refuses("Translate", Refused("PAYLOAD_UNTRANSLATABLE", violations=[fault]))
    status, problem, _ = await hand_in(mesh)
    assert (status, problem["code"]) == (400, "PAYLOAD_UNTRANSLATABLE")
    assert problem["errors"] == [
        {"detail": "is missing", "code": "PAYLOAD_UNTRANSLATABLE", "field": "lines[0].PricebookEntryId"}
    ]
    assert not mesh.order.seen


async def test_payload_that_is_no_command_is_refused(mesh: Mesh) -> None:
    mesh.backends["netsuite"].answers("Translate", connector_service_pb2.TranslateResponse())
    status, problem, _ = await hand_in(mesh)
    assert (status, problem["code"]) == (400, "PAYLOAD_UNTRANSLATABLE")


async def test_refusal_of_the_order_names_its_field(mesh: Mesh) -> None:
    mesh.order.refuses(
        "SubmitOrder", Refused.field("PRODUCT_UNKNOWN", "order.lines[0].sku", "no such product")
    )
    _, problem, _ = await hand_in(mesh)
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert errors[0]["field"] == "order.lines[0].sku"


async def test_connector_that_is_away_leaves_nothing_done(mesh: Mesh) -> None:
    mesh.backends["netsuite"].refuses("Translate", NotDone("UNAVAILABLE"))
    status, problem, _ = await hand_in(mesh)
    assert (status, problem["retryable"]) == (503, True)


async def test_handing_in_is_for_integrations(mesh: Mesh) -> None:
    answer = await mesh.http.post(PATH, content=PAYLOAD, headers=mesh.bearer("support_viewer"))
    assert answer.status_code == 403
