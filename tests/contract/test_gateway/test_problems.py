"""Errors of services as problems: every member, every header that goes with a status."""

import json
import re
from datetime import timedelta
from pathlib import Path

import grpc
import httpx
import pytest

from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation
from tests.contract.test_gateway.backend import Told
from tests.contract.test_gateway.mesh import Mesh

ROOT = Path(__file__).resolve().parents[3]


async def refused_with(mesh: Mesh, error: OrdermeshError) -> httpx.Response:
    mesh.order.refuses("SubmitOrder", error)
    return await mesh.submit()


@pytest.mark.parametrize("reason", sorted(POLICIES))
async def test_every_reason_arrives_with_its_policy(mesh: Mesh, reason: str) -> None:
    answer = await refused_with(mesh, Refused(reason, "in other words"))
    policy = POLICIES[reason]
    problem = answer.json()
    assert answer.status_code == problem["status"] == policy.http_status
    assert problem["type"] == "/problems/" + reason.lower().replace("_", "-")
    assert problem["code"] == reason
    assert problem["title"] == policy.title
    assert problem["detail"] == "in other words"
    assert problem["retryable"] is policy.retryable
    assert problem["failureClass"] == policy.failure_class
    assert problem["owner"] == policy.owner
    assert problem["instance"] == "/v1/orders"
    assert problem["correlationId"] == answer.headers["x-correlation-id"]
    assert len(problem["traceId"]) == 32
    explained = await mesh.http.get(problem["type"])
    assert explained.json()["code"] == reason


async def test_violations_point_into_the_body_the_caller_sent(mesh: Mesh) -> None:
    error = Refused(
        "PRODUCT_UNKNOWN",
        "order.lines[0].sku: no product BOLT-8",
        violations=[
            Violation("order.lines[0].sku", "no product BOLT-8", "PRODUCT_UNKNOWN"),
            Violation(
                "order.lines[0].unit_price.units", "owned by the ERP", "OWNERSHIP_VIOLATION", owner="erp"
            ),
            Violation("idempotency_key", "too short"),
        ],
    )
    problem = (await refused_with(mesh, error)).json()
    assert problem["detail"] == "#/lines/0/sku: no product BOLT-8"
    assert problem["errors"] == [
        {"detail": "no product BOLT-8", "code": "PRODUCT_UNKNOWN", "pointer": "#/lines/0/sku"},
        {
            "detail": "owned by the ERP",
            "code": "OWNERSHIP_VIOLATION",
            "pointer": "#/lines/0/unitPrice/units",
            "owner": "erp",
        },
        {
            "detail": "too short",
            "code": "INVALID_FIELD",
            "pointer": "#/idempotencyKey",
            "header": "Idempotency-Key",
        },
    ]


async def test_problem_on_the_page_for_callers_is_one_that_callers_get(mesh: Mesh) -> None:
    error = Refused.field("PRODUCT_UNKNOWN", "order.lines[0].sku", "no product CHAIR-OAX")
    problem = (await refused_with(mesh, error)).json()
    (sample,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs/rest.md").read_text(), re.DOTALL)
    shown = json.loads(sample)
    own = {"correlationId", "traceId"}
    assert {name: shown[name] for name in shown if name not in own} == {
        name: problem[name] for name in problem if name not in own
    }
    assert own <= set(shown)


async def test_pause_is_told_in_header_and_body(mesh: Mesh) -> None:
    error = NotDone("RATE_LIMITED", retry_after=timedelta(seconds=2.2))
    answer = await refused_with(mesh, error)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3"
    assert answer.json()["retryAfterSeconds"] == 3


@pytest.mark.parametrize("reason", ["IDEMPOTENCY_IN_FLIGHT", "RATE_LIMITED", "OVERLOADED", "UNAVAILABLE"])
async def test_there_is_a_pause_even_if_nobody_said_how_long(mesh: Mesh, reason: str) -> None:
    answer = await refused_with(mesh, NotDone(reason))
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["retryAfterSeconds"] == 1


async def test_conflict_of_another_kind_asks_for_no_pause(mesh: Mesh) -> None:
    answer = await refused_with(mesh, Refused("ALREADY_EXISTS"))
    assert answer.status_code == 409
    assert "retry-after" not in answer.headers


async def test_verdict_and_facts_of_the_outside_system_are_shown(mesh: Mesh) -> None:
    error = Refused("ERP_REFUSED", metadata={"system": "netsuite"}, verdict="USER_ERROR: period closed")
    problem = (await refused_with(mesh, error)).json()
    assert problem["verdict"] == "USER_ERROR: period closed"
    assert problem["facts"] == {"system": "netsuite"}


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [
        (NotDone("SYSTEM_CREDENTIALS"), 503, True),
        (OutcomeUnknown("DEADLINE_EXCEEDED"), 504, True),
        (OutcomeUnknown("INTERNAL"), 500, True),
        (Refused("INTERNAL"), 500, False),
    ],
)
async def test_what_may_be_repeated_says_so(
    mesh: Mesh, error: OrdermeshError, status: int, retryable: bool
) -> None:
    answer = await refused_with(mesh, error)
    assert answer.status_code == status
    assert answer.json()["retryable"] is retryable


@pytest.mark.parametrize(
    ("code", "read", "written"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503, 504),
        (grpc.StatusCode.UNKNOWN, 503, 504),
        (grpc.StatusCode.INTERNAL, 503, 504),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, 504),
        (grpc.StatusCode.UNIMPLEMENTED, 501, 501),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 503, 503),
    ],
)
async def test_bare_status_is_judged_by_whether_the_call_has_effects(
    mesh: Mesh, code: grpc.StatusCode, read: int, written: int
) -> None:
    mesh.order.breaks("ListOrders", code)
    mesh.order.breaks("SubmitOrder", code)
    assert (await mesh.get("/v1/orders")).status_code == read
    assert (await mesh.submit()).status_code == written


async def test_service_that_is_away_leaves_a_read_undone(mesh: Mesh) -> None:
    await mesh.backends["invoice"].stop()
    answer = await mesh.get("/v1/invoices")
    assert answer.status_code == 503
    assert answer.json()["retryable"] is True
    assert answer.headers["retry-after"] == "1"


async def test_fault_of_ours_shows_the_correlation_id_and_nothing_else(mesh: Mesh) -> None:
    mesh.order.told["GetOrder"] = Told(raw=b"\xff\xff\xff")
    answer = await mesh.get("/v1/orders/ord_1", X_Correlation_Id="corr-9")
    assert answer.status_code == 500
    problem = answer.json()
    assert problem["code"] == "INTERNAL"
    assert problem["correlationId"] == "corr-9"
    assert set(problem) == {
        "type", "title", "status", "code", "failureClass", "owner", "detail", "instance", "retryable",
        "correlationId", "traceId",
    }  # fmt: skip
    assert "Error" not in answer.text


async def test_explanations_are_listed_and_unknown_ones_are_not_there(mesh: Mesh) -> None:
    listed = (await mesh.http.get("/problems/")).json()["problems"]
    assert "/problems/credit-hold" in listed
    assert (await mesh.http.get("/problems/CREDIT_HOLD")).status_code == 404
    assert (await mesh.http.get("/problems/no-such-thing")).status_code == 404
