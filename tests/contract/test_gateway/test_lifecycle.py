"""What the contracts mark as deprecated is announced: with each answer, and in the document.

Nothing is deprecated today; each test marks one method or field for as long as it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jsonpb.ordermesh.common.v1 import lifecycle_pb
from openapi_spec_validator import validate
from ordermesh.order.v1 import order_service_pb2
from protobuf.wkt.google.protobuf.descriptor_pb import FieldOptions, MethodOptions

from gateway import lifecycle
from gateway.rules import Rule, field_of, public_rules
from tests.contract.test_gateway.mesh import running_mesh

GONE_IN_MAY = lifecycle_pb.Deprecation(since="2026-11-21", sunset="2027-05-20", instead="/v2/orders")
IN_WORDS = lifecycle_pb.Deprecation(since="2026-12-01", sunset="2027-06-01", instead="say it in `memo`")
HEADERS = {
    "deprecation": "@1795219200",
    "sunset": "Thu, 20 May 2027 00:00:00 GMT",
    "link": '</v2/orders>; rel="successor-version"',
}


def rule_of(name: str) -> Rule:
    return next(rule for rule in public_rules() if rule.name == name)


@contextmanager
def forgetting() -> Iterator[None]:
    """What was learnt of the contracts is learnt anew, before and after."""
    learnt = (lifecycle.deprecation_of, lifecycle._holds_deprecated)
    for function in learnt:
        function.cache_clear()
    yield
    for function in learnt:
        function.cache_clear()


@pytest.fixture
def deprecated_method() -> Iterator[None]:
    """ListOrders goes away."""
    proto = rule_of("ListOrders").desc.proto
    kept = proto.options
    assert kept is not None
    options = MethodOptions.from_binary(kept.to_binary())
    options.deprecated = True
    options[lifecycle_pb.ext_method_deprecation] = GONE_IN_MAY
    with forgetting():
        proto.options = options
        yield
        proto.options = kept


@pytest.fixture
def deprecated_field() -> Iterator[None]:
    """The reason of a hold goes away."""
    field = field_of(rule_of("HoldOrder").desc.input, "reason")
    assert field is not None
    kept = field.proto.options
    assert kept is not None
    options = FieldOptions.from_binary(kept.to_binary())
    options.deprecated = True
    options[lifecycle_pb.ext_field_deprecation] = IN_WORDS
    with forgetting():
        field.proto.options = options
        yield
        field.proto.options = kept


@pytest.mark.usefixtures("deprecated_method")
async def test_answers_of_a_deprecated_method_say_until_when_it_is_there(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        listed = await mesh.get("/v1/orders")
        refused = await mesh.get("/v1/orders?colour=red")
        other = await mesh.get("/v1/customers")
    assert (listed.status_code, refused.status_code) == (200, 400)
    for answer in (listed, refused):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert not HEADERS.keys() & other.headers.keys()


@pytest.mark.usefixtures("deprecated_method")
@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-3.0.json"])
async def test_the_document_marks_a_deprecated_method(tmp_path: Path, path: str) -> None:
    async with running_mesh(tmp_path) as mesh:
        document = (await mesh.http.get(path)).json()
    validate(document)
    assert document["paths"]["/v1/orders"]["get"]["deprecated"] is True
    assert "deprecated" not in document["paths"]["/v1/orders"]["post"]


@pytest.mark.usefixtures("deprecated_field")
async def test_only_who_sends_a_deprecated_field_is_told(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        mesh.order.answers("HoldOrder", order_service_pb2.HoldOrderResponse())
        told = await mesh.post("/v1/orders/ord_1:hold", {"reason": "call me"})
        not_told = await mesh.post("/v1/orders/ord_1:hold", {})
        document = (await mesh.http.get("/openapi.json")).json()
    assert told.headers["sunset"] == "Tue, 01 Jun 2027 00:00:00 GMT"
    assert "link" not in told.headers
    assert "sunset" not in not_told.headers
    hold = document["components"]["schemas"]["HoldOrderRequest"]["properties"]
    assert hold["reason"]["deprecated"] is True


def test_of_several_the_first_to_go_is_told() -> None:
    may, june = (lifecycle.Deprecation.stated(stated) for stated in (GONE_IN_MAY, IN_WORDS))
    assert lifecycle.headers_of(june, may) == lifecycle.headers_of(may)
    assert lifecycle.headers_of() == ()
