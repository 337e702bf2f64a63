"""Paths, queries and conditions: how an HTTP request becomes a call, and what its answer says."""

import pytest
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2

from libs.common.errors import Refused
from tests.contract.test_gateway.mesh import Mesh

AN_ANSWER = order_service_pb2.GetOrderResponse(order=order_pb2.Order(order_id="ord_1", etag='"v7"'))


async def test_query_reaches_the_service_in_either_spelling(mesh: Mesh) -> None:
    answer = await mesh.get("/v1/orders?pageSize=20&page_token=abc&filter=state%20%3D%20POSTED")
    assert answer.status_code == 200
    (call,) = mesh.order.calls("ListOrders")
    request = order_service_pb2.ListOrdersRequest.FromString(call.request)
    assert (request.page_size, request.page_token, request.filter) == (20, "abc", "state = POSTED")


async def test_empty_list_is_shown_as_one(mesh: Mesh) -> None:
    answer = await mesh.get("/v1/orders")
    assert answer.json() == {"orders": [], "nextPageToken": ""}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("pageSize=many", "pageSize"),
        ("pageSize=99999999999", "pageSize"),
        ("pageSize=1001", "pageSize"),
        ("pageSize=1_0", "pageSize"),
        ("pageSize=1&pageSize=2", "pageSize"),
        ("colour=red", "colour"),
        ("filter.deep=1", "filter.deep"),
    ],
)
async def test_parameter_that_does_not_fit_is_named(mesh: Mesh, query: str, parameter: str) -> None:
    answer = await mesh.get(f"/v1/orders?{query}")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    assert not mesh.order.seen


@pytest.mark.parametrize("query", ["filter=%ff", "filter=%00", "&".join(f"p{n}=1" for n in range(60))])
async def test_query_that_cannot_be_read_is_refused(mesh: Mesh, query: str) -> None:
    answer = await mesh.get(f"/v1/orders?{query}")
    assert answer.status_code == 400


async def test_order_is_read_with_its_version(mesh: Mesh) -> None:
    mesh.order.answers("GetOrder", AN_ANSWER)
    answer = await mesh.get("/v1/orders/ord_1")
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"v7"'
    assert answer.json()["order"]["orderId"] == "ord_1"


@pytest.mark.parametrize("stated", ['"v7"', 'W/"v7"', '"v6", "v7"', "*"])
async def test_version_the_caller_has_is_not_sent_again(mesh: Mesh, stated: str) -> None:
    mesh.order.answers("GetOrder", AN_ANSWER)
    answer = await mesh.get("/v1/orders/ord_1", If_None_Match=stated)
    assert answer.status_code == 304
    assert answer.headers["etag"] == '"v7"'
    assert answer.content == b""


async def test_newer_version_is_sent(mesh: Mesh) -> None:
    mesh.order.answers("GetOrder", AN_ANSWER)
    answer = await mesh.get("/v1/orders/ord_1", If_None_Match='"v6"')
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("query", "prefer", "seconds", "applied"),
    [
        ("?wait=5s", "", 5, ""),
        ("?wait=5", "", 5, ""),
        ("", "wait=7", 7, "wait=7"),
        ("?wait=2s", "wait=7", 2, ""),
    ],
)
async def test_reader_may_wait_for_news(
    mesh: Mesh, query: str, prefer: str, seconds: int, applied: str
) -> None:
    mesh.order.answers("GetOrder", AN_ANSWER)
    answer = await mesh.get(f"/v1/orders/ord_1{query}", Prefer=prefer)
    (call,) = mesh.order.calls("GetOrder")
    assert order_service_pb2.GetOrderRequest.FromString(call.request).wait.seconds == seconds
    assert call.seconds_left > seconds
    assert answer.headers.get("preference-applied", "") == applied


async def test_verb_on_a_record_carries_its_id_key_and_version(mesh: Mesh) -> None:
    mesh.order.answers("HoldOrder", order_service_pb2.HoldOrderResponse(order=AN_ANSWER.order))
    answer = await mesh.post("/v1/orders/ord_1:hold", {"reason": "call me first"}, If_Match='"v6"')
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"v7"'
    (call,) = mesh.order.calls("HoldOrder")
    request = order_service_pb2.HoldOrderRequest.FromString(call.request)
    assert request.order_id == "ord_1"
    assert request.idempotency_key == "key-1"
    assert (request.reason, request.etag) == ("call me first", '"v6"')


async def test_version_without_its_quotes_is_understood(mesh: Mesh) -> None:
    await mesh.post("/v1/orders/ord_1:hold", {}, If_Match="v6")
    (call,) = mesh.order.calls("HoldOrder")
    assert order_service_pb2.HoldOrderRequest.FromString(call.request).etag == '"v6"'


async def test_verb_needs_no_body(mesh: Mesh) -> None:
    answer = await mesh.http.post(
        "/v1/orders/ord_1:release", headers={**mesh.bearer(), "Idempotency-Key": "k"}
    )
    assert answer.status_code == 200
    assert len(mesh.order.calls("ReleaseOrder")) == 1


async def test_body_may_repeat_path_key_and_version(mesh: Mesh) -> None:
    body = {"orderId": "ord_1", "idempotencyKey": "key-1", "etag": '"v6"'}
    answer = await mesh.post("/v1/orders/ord_1:hold", body, If_Match='"v6"')
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("member", "pointer"),
    [
        ({"orderId": "ord_2"}, "#/orderId"),
        ({"idempotencyKey": "key-2"}, "#/idempotencyKey"),
        ({"etag": '"v5"'}, "#/etag"),
    ],
)
async def test_body_must_not_contradict_path_key_or_version(
    mesh: Mesh, member: dict[str, str], pointer: str
) -> None:
    answer = await mesh.post("/v1/orders/ord_1:hold", member, If_Match='"v6"')
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert not mesh.order.seen


@pytest.mark.parametrize("stated", ['"a", "b"', '"open', "a b"])
async def test_version_that_cannot_be_one_is_refused(mesh: Mesh, stated: str) -> None:
    answer = await mesh.post("/v1/orders/ord_1:hold", {}, If_Match=stated)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["header"] == "If-Match"


@pytest.mark.parametrize("stated", ['W/"v7"', '""', '"' + "v" * 65 + '"'])
async def test_version_that_cannot_match_is_a_mismatch(mesh: Mesh, stated: str) -> None:
    answer = await mesh.post("/v1/orders/ord_1:hold", {}, If_Match=stated)
    assert answer.status_code == 412
    assert answer.json()["code"] == "ETAG_MISMATCH"


async def test_outdated_version_is_412(mesh: Mesh) -> None:
    mesh.order.refuses("HoldOrder", Refused("ETAG_MISMATCH"))
    answer = await mesh.post("/v1/orders/ord_1:hold", {}, If_Match='"v6"')
    assert answer.status_code == 412


async def test_change_of_a_record_names_it_in_the_path_and_its_fields_in_the_query(mesh: Mesh) -> None:
    changed = customer_pb2.Customer(customer_id="cus_1", etag='"v3"')
    mesh.backends["customer"].answers(
        "UpdateCustomer", customer_service_pb2.UpdateCustomerResponse(customer=changed)
    )
    answer = await mesh.http.patch(
        "/v1/customers/cus_1?updateMask=accountOwner,segment",
        json={"segment": "gold", "accountOwner": "dana"},
        headers={**mesh.bearer(), "Idempotency-Key": "k", "If-Match": '"v2"'},
    )
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"v3"'
    (call,) = mesh.backends["customer"].calls("UpdateCustomer")
    request = customer_service_pb2.UpdateCustomerRequest.FromString(call.request)
    assert request.customer.customer_id == "cus_1"
    assert list(request.update_mask.paths) == ["account_owner", "segment"]
    assert (request.etag, request.idempotency_key) == ('"v2"', "k")


@pytest.mark.parametrize("stated", [None, "", "  "])
async def test_change_of_a_record_must_say_which_version_it_was_decided_on(
    mesh: Mesh, stated: str | None
) -> None:
    answer = await mesh.http.patch(
        "/v1/customers/cus_1",
        json={"segment": "gold"},
        headers={
            **mesh.bearer(),
            "Idempotency-Key": "k",
            **({"If-Match": stated} if stated is not None else {}),
        },
    )
    assert answer.status_code == 428
    problem = answer.json()
    assert (problem["code"], problem["errors"][0]["header"]) == ("ETAG_MISSING", "If-Match")
    assert not mesh.backends["customer"].seen


async def test_change_of_any_version_says_so(mesh: Mesh) -> None:
    answer = await mesh.http.patch(
        "/v1/customers/cus_1",
        json={"segment": "gold"},
        headers={**mesh.bearer(), "Idempotency-Key": "k", "If-Match": "*"},
    )
    assert answer.status_code == 200
    (call,) = mesh.backends["customer"].calls("UpdateCustomer")
    assert customer_service_pb2.UpdateCustomerRequest.FromString(call.request).etag == ""


async def test_minimal_answer_to_a_write_is_an_empty_object(mesh: Mesh) -> None:
    mesh.order.answers("HoldOrder", order_service_pb2.HoldOrderResponse(order=AN_ANSWER.order), replayed=True)
    answer = await mesh.post("/v1/orders/ord_1:hold", {}, Prefer="return=minimal")
    assert answer.json() == {}
    assert answer.headers["preference-applied"] == "return=minimal"
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["etag"] == '"v7"'


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/products", "/v1/orders", "/v1/invoices"])
async def test_each_collection_is_asked_of_its_service(mesh: Mesh, path: str) -> None:
    await mesh.get(path)
    service = path.removeprefix("/v1/").removesuffix("s")
    assert [name for name, backend in mesh.backends.items() if backend.seen] == [service]


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/orders/", "/v1/orders/ord_1/x", "/v2/orders", "/v1/orders/%00"]
)
async def test_unknown_path_is_a_problem(mesh: Mesh, path: str) -> None:
    answer = await mesh.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "ROUTE_UNKNOWN"


async def test_unknown_verb_on_a_record_is_no_path(mesh: Mesh) -> None:
    answer = await mesh.post("/v1/orders/ord_1:vanish", {})
    assert answer.status_code == 404
    assert answer.json()["code"] == "ROUTE_UNKNOWN"


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("DELETE", "/v1/orders", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/v1/customers/cus_1", "GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/v1/orders/ord_1:hold", "OPTIONS, POST"),
        ("POST", "/health/ready", "GET, HEAD, OPTIONS"),
    ],
)
async def test_verb_that_does_not_fit_is_told_which_do(
    mesh: Mesh, verb: str, path: str, allowed: str
) -> None:
    answer = await mesh.http.request(verb, path, headers=mesh.bearer())
    assert answer.status_code == 405
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"
    assert answer.headers["allow"] == allowed
    asked = await mesh.http.options(path)
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allowed, b"")


async def test_head_says_what_get_would(mesh: Mesh) -> None:
    mesh.order.answers("GetOrder", AN_ANSWER)
    got = await mesh.get("/v1/orders/ord_1")
    told = await mesh.http.head("/v1/orders/ord_1", headers=mesh.bearer())
    assert (told.status_code, told.content) == (200, b"")
    assert told.headers["content-length"] == got.headers["content-length"]
    assert told.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize("stated", ["text/html", "application/xml, text/*;q=0.5", "application/json;q=0"])
async def test_caller_that_takes_no_json_is_told_so_in_json(mesh: Mesh, stated: str) -> None:
    answer = await mesh.get("/v1/orders", Accept=stated)
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "stated", ["*/*", "application/*", "text/html, application/json;q=0.9", "application/problem+json"]
)
async def test_caller_that_takes_json_gets_it(mesh: Mesh, stated: str) -> None:
    assert (await mesh.get("/v1/orders", Accept=stated)).status_code == 200


@pytest.mark.parametrize("stated", ["corr-1", "A" * 128, "a.b_c-9"])
async def test_correlation_id_of_the_caller_goes_all_the_way(mesh: Mesh, stated: str) -> None:
    answer = await mesh.get("/v1/orders", X_Correlation_Id=stated)
    assert answer.headers["x-correlation-id"] == stated
    assert mesh.order.seen[0].metadata["x-correlation-id"] == stated


@pytest.mark.parametrize("stated", ["", "with space", "A" * 129, "a/b", "é"])
async def test_correlation_id_that_is_none_is_replaced(mesh: Mesh, stated: str) -> None:
    raw = [
        (b"X-Correlation-Id", stated.encode("latin-1")),
        (b"Authorization", mesh.bearer()["Authorization"].encode()),
    ]
    answer = await mesh.http.get("/v1/orders", headers=raw)
    made = answer.headers["x-correlation-id"]
    assert made.startswith("cor_")
    assert mesh.order.seen[0].metadata["x-correlation-id"] == made


async def test_trace_of_the_caller_goes_on(mesh: Mesh) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await mesh.get("/v1/orders", traceparent=trace, tracestate="vendor=1")
    assert mesh.order.seen[0].metadata["traceparent"] == trace
    assert mesh.order.seen[0].metadata["tracestate"] == "vendor=1"


async def test_correlation_id_names_the_trace_that_begins_with_the_request(mesh: Mesh) -> None:
    answer = await mesh.get("/v1/orders")
    trace_id = mesh.order.seen[0].metadata["traceparent"].split("-")[1]
    assert answer.headers["x-correlation-id"] == f"cor_{trace_id}"


async def test_requests_of_one_trace_have_correlation_ids_of_their_own(mesh: Mesh) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answers = [await mesh.get("/v1/orders", traceparent=trace) for _ in range(2)]
    assert len({answer.headers["x-correlation-id"] for answer in answers}) == 2


@pytest.mark.parametrize("stated", ["", "00-0-0-00", "00-" + "0" * 32 + "-" + "1" * 16 + "-01"])
async def test_trace_is_made_where_there_is_none(mesh: Mesh, stated: str) -> None:
    await mesh.get("/v1/orders", traceparent=stated, tracestate="vendor=1")
    made = mesh.order.seen[0].metadata["traceparent"]
    assert len(made) == 55
    assert made != stated
    assert "tracestate" not in mesh.order.seen[0].metadata
