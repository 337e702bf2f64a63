"""The exception queue, queues and lineage of the whole mesh: who is asked, and how answers merge."""

import base64
import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2

from libs.common.errors import NotDone, Refused
from libs.common.topology import SERVICES
from tests.contract.test_gateway.backend import Backend
from tests.contract.test_gateway.mesh import Mesh

LIST = "/v1/exceptions"
VIEWER = "support_viewer"


def an_item(service: str, number: int, second: int) -> operations_pb2.Delivery:
    return operations_pb2.Delivery(
        delivery_id=f"{service}.{number}", create_time=Timestamp(seconds=second), subject=f"{service}s/x"
    )


class Queue:
    """A service's exception queue: pages of it as a real service gives them, by number and with tokens."""

    def __init__(self, backend: Backend, *items: operations_pb2.Delivery) -> None:
        self.items = list(items)
        backend.computes("ListExceptions", self.answer)

    def answer(self, content: bytes) -> operations_service_pb2.ListExceptionsResponse:
        request = operations_service_pb2.ListExceptionsRequest.FromString(content)
        after = int(request.page_token or 0)
        left = [item for item in self.items if int(item.delivery_id.split(".")[1]) > after]
        page = left[: request.page_size]
        more = len(left) > len(page)
        return operations_service_pb2.ListExceptionsResponse(
            exceptions=page, next_page_token=page[-1].delivery_id.split(".")[1] if more else ""
        )


async def shown(mesh: Mesh, query: str = "") -> tuple[list[str], str]:
    answer = await mesh.get(LIST + query, VIEWER)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [item["deliveryId"] for item in body["exceptions"]], body["nextPageToken"]


async def test_exceptions_of_all_services_are_listed_oldest_first(mesh: Mesh) -> None:
    Queue(mesh.order, an_item("order", 1, 10), an_item("order", 2, 40))
    Queue(mesh.backends["invoice"], an_item("invoice", 1, 20), an_item("invoice", 9, 30))
    assert await shown(mesh) == (["order.1", "invoice.1", "invoice.9", "order.2"], "")
    assert all(mesh.backends[service].calls("ListExceptions") for service in SERVICES)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_show_everything_once_and_in_order(mesh: Mesh, size: int) -> None:
    Queue(mesh.order, *(an_item("order", number, number * 3) for number in range(1, 12)))
    Queue(mesh.backends["customer"], *(an_item("customer", number, number * 5) for number in range(1, 8)))
    Queue(mesh.backends["product"], an_item("product", 4, 1))
    seen: list[str] = []
    query = f"?pageSize={size}"
    for _ in range(40):
        page, token = await shown(mesh, query)
        assert len(page) <= size
        seen += page
        if not token:
            break
        query = f"?pageSize={size}&pageToken={token}"
    expected = sorted(
        [(n * 3, "order", f"order.{n}") for n in range(1, 12)]
        + [(n * 5, "customer", f"customer.{n}") for n in range(1, 8)]
        + [(1, "product", "product.4")],
        key=lambda entry: entry[0],
    )
    assert len(seen) == len(set(seen))
    ages = {name: age for age, _, name in expected}
    assert [ages[name] for name in seen] == [age for age, _, _ in expected]


async def test_item_that_leaves_the_queue_between_pages_hides_no_other(mesh: Mesh) -> None:
    queue = Queue(mesh.order, *(an_item("order", number, number) for number in range(1, 6)))
    Queue(mesh.backends["invoice"], an_item("invoice", 1, 2))
    first, token = await shown(mesh, "?pageSize=3")
    assert first == ["order.1", "invoice.1", "order.2"]
    del queue.items[:2]
    second, _ = await shown(mesh, f"?pageSize=3&pageToken={token}")
    assert second == ["order.3", "order.4", "order.5"]


async def test_service_that_is_away_is_named_and_spoils_nothing(mesh: Mesh) -> None:
    Queue(mesh.order, an_item("order", 1, 1), an_item("order", 2, 2))
    mesh.backends["customer"].refuses("ListExceptions", NotDone("STORE_UNAVAILABLE"))
    body = (await mesh.get(LIST + "?pageSize=1", VIEWER)).json()
    assert body["unreachable"] == ["customer"]
    assert [item["deliveryId"] for item in body["exceptions"]] == ["order.1"]
    Queue(mesh.backends["customer"], an_item("customer", 1, 0))
    later, _ = await shown(mesh, f"?pageSize=9&pageToken={body['nextPageToken']}")
    assert later == ["customer.1", "order.2"]


async def test_list_fails_when_nobody_answers(mesh: Mesh) -> None:
    for service in SERVICES:
        mesh.backends[service].refuses("ListExceptions", NotDone("STORE_UNAVAILABLE"))
    answer = await mesh.get(LIST, VIEWER)
    assert answer.status_code == 503
    assert answer.json()["code"] == "STORE_UNAVAILABLE"


async def test_filter_that_nobody_understands_is_refused(mesh: Mesh) -> None:
    mesh.order.refuses(
        "ListExceptions", Refused.field("FILTER_INVALID", "filter", "knows state and not colour")
    )
    answer = await mesh.get(LIST + "?filter=colour%3Dred", VIEWER)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == "filter"


async def test_page_token_is_bound_to_tenant_and_filter(mesh: Mesh) -> None:
    Queue(mesh.order, an_item("order", 1, 1), an_item("order", 2, 2))
    _, token = await shown(mesh, "?pageSize=1")
    other_filter = await mesh.get(f"{LIST}?pageToken={token}&filter=state%3DPARKED", VIEWER)
    other_tenant = await mesh.http.get(
        f"{LIST}?pageToken={token}", headers=mesh.bearer(VIEWER, tenant="globex")
    )
    for answer in (other_filter, other_tenant):
        assert answer.status_code == 400
        assert answer.json()["code"] == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"for":1}', '{"for":"x","at":{}}', '{"for":"x","at":{"order":["",-1]}}', "{" * 500]
)
async def test_page_token_of_somebody_s_own_making_is_refused(mesh: Mesh, content: str) -> None:
    token = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=") or "%21"
    answer = await mesh.get(f"{LIST}?pageToken={token}", VIEWER)
    assert answer.status_code == 400
    assert answer.json()["code"] == "PAGE_TOKEN_INVALID"


async def test_exception_is_asked_of_the_service_its_id_names(mesh: Mesh) -> None:
    found = operations_service_pb2.GetExceptionResponse(exception=an_item("invoice", 7, 1))
    mesh.backends["invoice"].answers("GetException", found)
    answer = await mesh.get(f"{LIST}/invoice.7", VIEWER)
    assert answer.json()["exception"]["deliveryId"] == "invoice.7"
    assert [name for name, backend in mesh.backends.items() if backend.seen] == ["invoice"]


@pytest.mark.parametrize("exception_id", ["netsuite.7", "7", "orders.7", "Order.7"])
async def test_exception_of_no_service_is_not_found(mesh: Mesh, exception_id: str) -> None:
    answer = await mesh.get(f"{LIST}/{exception_id}", VIEWER)
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"


async def test_replay_may_be_previewed(mesh: Mesh) -> None:
    preview = operations_service_pb2.ReplayExceptionResponse(preview="{}")
    mesh.order.answers("ReplayException", preview)
    answer = await mesh.post(f"{LIST}/order.7:replay", {"validateOnly": True}, "support_operator")
    assert answer.json()["preview"] == "{}"
    (call,) = mesh.order.calls("ReplayException")
    request = operations_service_pb2.ReplayExceptionRequest.FromString(call.request)
    assert (request.exception_id, request.validate_only, request.idempotency_key) == (
        "order.7",
        True,
        "key-1",
    )


async def test_a_bulk_replay_of_all_services_tells_how_to_follow_it(mesh: Mesh) -> None:
    for service in SERVICES:
        mesh.backends[service].answers(
            "ReplayExceptions",
            operations_service_pb2.ReplayExceptionsResponse(
                replayed=2, awaiting_approval=1, replay_ids=[f"{service}.rpl_1"]
            ),
        )
    answer = await mesh.post(f"{LIST}:replay", {"reason": "mended"}, "support_operator")
    body = answer.json()
    assert (body["replayed"], body["awaitingApproval"]) == (2 * len(SERVICES), len(SERVICES))
    assert sorted(body["replayIds"]) == sorted(f"{service}.rpl_1" for service in SERVICES)

    progress = operations_service_pb2.GetReplayResponse(replay=operations_pb2.Replay(items=2, waiting=1))
    mesh.backends["invoice"].answers("GetReplay", progress)
    followed = await mesh.get("/v1/replays/invoice.rpl_1", VIEWER)
    assert followed.json()["replay"]["waiting"] == 1
    assert (await mesh.get("/v1/replays/rpl_1", VIEWER)).status_code == 404


async def test_a_preview_is_open_to_who_may_not_replay(mesh: Mesh) -> None:
    mesh.order.answers("PreviewException", operations_service_pb2.PreviewExceptionResponse())
    answer = await mesh.get(f"{LIST}/order.7/preview?pinnedMapping=netsuite.sales_order%401", VIEWER)
    assert answer.status_code == 200
    (call,) = mesh.order.calls("PreviewException")
    request = operations_service_pb2.PreviewExceptionRequest.FromString(call.request)
    assert (request.exception_id, request.pinned_mapping) == ("order.7", "netsuite.sales_order@1")


async def test_only_an_approver_approves_and_names_the_request(mesh: Mesh) -> None:
    mesh.order.answers("ApproveException", operations_service_pb2.ApproveExceptionResponse())
    path = f"{LIST}/order.7:approve"
    assert (await mesh.post(path, {"requestId": "req_1"}, "support_operator")).status_code == 403
    assert (await mesh.post(path, {}, "approver")).json()["errors"][0]["pointer"] == "#/requestId"
    assert (await mesh.post(path, {"requestId": "req_1"}, "approver")).status_code == 200


async def test_an_edit_carries_the_payload_as_text(mesh: Mesh) -> None:
    mesh.order.answers("EditException", operations_service_pb2.EditExceptionResponse())
    body = {"payload": '{"version": "1"}', "reason": "as told"}
    assert (await mesh.post(f"{LIST}/order.7:edit", body, "steward")).status_code == 200
    (call,) = mesh.order.calls("EditException")
    assert operations_service_pb2.EditExceptionRequest.FromString(call.request).payload == body["payload"]


async def test_decision_needs_a_reason_and_a_role(mesh: Mesh) -> None:
    unreasoned = await mesh.post(f"{LIST}/order.7:discard", {}, "support_operator")
    assert unreasoned.json()["errors"][0]["pointer"] == "#/reason"
    assert (await mesh.post(f"{LIST}/order.7:discard", {"reason": "x"}, VIEWER)).status_code == 403
    assert not mesh.order.seen


async def test_a_reveal_needs_a_reason_and_its_role(mesh: Mesh) -> None:
    revealed = operations_service_pb2.RevealExceptionResponse(payload="{}")
    mesh.order.answers("RevealException", revealed)
    path = f"{LIST}/order.7:reveal"
    for role in ("support_viewer", "support_operator", "auditor", "integration"):
        assert (await mesh.post(path, {"reason": "x"}, role)).status_code == 403
    assert (await mesh.post(path, {}, "steward")).json()["errors"][0]["pointer"] == "#/reason"
    assert not mesh.order.calls("RevealException")

    answer = await mesh.post(path, {"reason": "she called", "attempt": 2}, "steward")
    assert (answer.status_code, answer.json()["payload"]) == (200, "{}")
    assert answer.headers["cache-control"] == "no-store"
    mesh.order.refuses("RevealException", Refused("ORIGINAL_UNREADABLE"))
    gone = await mesh.post(path, {"reason": "she called"}, "approver")
    assert (gone.status_code, gone.json()["code"]) == (410, "ORIGINAL_UNREADABLE")


async def test_queues_of_all_services_are_put_together(mesh: Mesh) -> None:
    for service in ("order", "invoice"):
        depth = operations_pb2.QueueDepth(service=service, target="connector:netsuite", waiting=3)
        lag = operations_pb2.IngestLag(service=service, system="netsuite")
        mesh.backends[service].answers(
            "GetQueues", operations_service_pb2.GetQueuesResponse(queues=[depth], ingest=[lag])
        )
    mesh.backends["product"].refuses("GetQueues", NotDone("UNAVAILABLE"))
    body = (await mesh.get("/v1/queues", VIEWER)).json()
    assert {entry["service"] for entry in body["queues"]} == {"order", "invoice"}
    assert len(body["ingest"]) == 2
    assert body["unreachable"] == ["product"]


def lineage(*seconds: int) -> operations_service_pb2.GetLineageResponse:
    return operations_service_pb2.GetLineageResponse(
        events=[
            operations_pb2.EventSummary(event_id=f"evt_{second}", occurred_time=Timestamp(seconds=second))
            for second in seconds
        ],
        attempts=[
            operations_pb2.Attempt(number=1, start_time=Timestamp(seconds=second)) for second in seconds
        ],
    )


async def test_lineage_is_the_owner_s_with_what_others_add(mesh: Mesh) -> None:
    for service in SERVICES:
        mesh.backends[service].refuses("GetLineage", Refused("NOT_FOUND"))
    mesh.order.answers("GetLineage", lineage(1, 5))
    mesh.backends["invoice"].answers("GetLineage", lineage(3))
    answer = await mesh.get("/v1/orders/ord_1/lineage", VIEWER)
    body = answer.json()
    assert [event["eventId"] for event in body["events"]] == ["evt_1", "evt_3", "evt_5"]
    assert "unreachable" not in body
    (call,) = mesh.order.calls("GetLineage")
    assert operations_service_pb2.GetLineageRequest.FromString(call.request).subject == "orders/ord_1"


async def test_lineage_of_an_unknown_record_is_not_found(mesh: Mesh) -> None:
    mesh.order.refuses("GetLineage", Refused("NOT_FOUND"))
    mesh.backends["invoice"].answers("GetLineage", lineage(3))
    assert (await mesh.get("/v1/orders/ord_1/lineage", VIEWER)).status_code == 404


@pytest.mark.parametrize("service", SERVICES)
async def test_lineage_is_asked_of_the_owner_first(mesh: Mesh, service: str) -> None:
    mesh.backends[service].refuses("GetLineage", Refused("NOT_FOUND"))
    await mesh.get(f"/v1/{service}s/x/lineage", VIEWER)
    assert [name for name, backend in mesh.backends.items() if backend.seen] == [service]


async def test_lineage_without_its_owner_fails_and_without_others_says_so(mesh: Mesh) -> None:
    mesh.order.answers("GetLineage", lineage(1))
    mesh.backends["product"].refuses("GetLineage", NotDone("UNAVAILABLE"))
    body = (await mesh.get("/v1/orders/ord_1/lineage", VIEWER)).json()
    assert body["unreachable"] == ["product"]
    mesh.order.refuses("GetLineage", NotDone("UNAVAILABLE"))
    assert (await mesh.get("/v1/orders/ord_1/lineage", VIEWER)).status_code == 503


def test_a_token_is_short_enough_for_the_contract() -> None:
    at = {service: ["x" * 300, 10**18] for service in SERVICES}
    assert len(base64.urlsafe_b64encode(json.dumps({"for": "x" * 16, "at": at}).encode())) < 4000
