"""Field paths of the contract as JSON pointers into a body."""

import pytest
from jsonpb.ordermesh.connector.v1.change_pb import Change
from jsonpb.ordermesh.order.v1.order_service_pb import CorrectOrderRequest, SubmitOrderRequest
from protobuf import DescMessage

from gateway.pointers import pointer_of

SUBMIT = SubmitOrderRequest.desc()


@pytest.mark.parametrize(
    ("path", "desc", "body", "pointer"),
    [
        ("order.lines[0].unit_price", SUBMIT, "order", "#/lines/0/unitPrice"),
        ("order", SUBMIT, "order", "#"),
        ("order.sold_to.external.external_id", SUBMIT, "order", "#/soldTo/external/externalId"),
        ("idempotency_key", SUBMIT, "order", "#/idempotencyKey"),
        ("lines[3].tax_code", CorrectOrderRequest.desc(), "*", "#/lines/3/taxCode"),
        ('reference_ids["cus/1~x"]', Change.desc(), "*", "#/referenceIds/cus~11~0x"),
        ("order.lines[0].no_such_field", SUBMIT, "order", "#/lines/0/noSuchField"),
        ("order.lines[0]!", SUBMIT, "order", "#/lines/0/!"),
        ("#/lines/0/unit_price", SUBMIT, "order", "#/lines/0/unit_price"),
        ("", SUBMIT, "order", "#"),
    ],
)
def test_path_leads_to_its_place(path: str, desc: DescMessage, body: str, pointer: str) -> None:
    assert pointer_of(path, desc, body) == pointer
