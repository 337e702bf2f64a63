"""The gateway's metrics: requests by route and status, refusals by reason, and no word of the caller's."""

import asyncio
import signal
from pathlib import Path

import httpx
from prometheus_client import parser

from libs.cli.ports import hold_port
from libs.common.metrics.declaring import REGISTRY
from tests.contract.test_gateway.mesh import AN_ORDER, Mesh, running_mesh
from tests.contract.test_gateway.test_process import END_SECONDS, running

COUNT = "http_server_request_duration_seconds_count"


def answered(verb: str, route: str, status: int) -> float:
    labels = {"http_request_method": verb, "http_route": route, "http_response_status_code": str(status)}
    return REGISTRY.get_sample_value(COUNT, labels) or 0.0


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("ordermesh_requests_refused_total", {"reason": reason}) or 0.0


def labels_told() -> set[str]:
    return {
        value
        for family in REGISTRY.collect()
        for sample in family.samples
        for value in sample.labels.values()
    }


async def test_requests_are_counted_by_the_template_of_their_path(mesh: Mesh) -> None:
    before = answered("POST", "/v1/orders", 202), answered("GET", "/v1/orders/{order_id}", 200)
    await mesh.submit()
    await mesh.get("/v1/orders/ord_4711secret")
    after = answered("POST", "/v1/orders", 202), answered("GET", "/v1/orders/{order_id}", 200)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert not [value for value in labels_told() if "4711" in value]


async def test_refusals_are_counted_by_reason(mesh: Mesh) -> None:
    before, unknown = refused("UNAUTHENTICATED"), answered("POST", "/v1/orders", 401)
    assert (await mesh.http.post("/v1/orders", json=AN_ORDER)).status_code == 401
    assert (refused("UNAUTHENTICATED") - before, answered("POST", "/v1/orders", 401) - unknown) == (1, 1)


async def test_words_of_the_caller_are_no_labels(mesh: Mesh) -> None:
    before = answered("_OTHER", "", 405) + answered("_OTHER", "/v1/orders", 405)
    await mesh.http.request("BREW4711", "/v1/orders")
    await mesh.http.get("/no/such/path4711", headers=mesh.bearer())
    assert answered("_OTHER", "", 405) + answered("_OTHER", "/v1/orders", 405) - before == 1
    assert not [value for value in labels_told() if "4711" in value]


async def test_a_spent_rate_is_counted_by_quota(tmp_path: Path) -> None:
    def limited() -> float:
        return REGISTRY.get_sample_value("ordermesh_rate_limited_total", {"quota": "client"}) or 0.0

    before = limited()
    async with running_mesh(tmp_path, client_requests_per_minute=1) as mesh:
        answers = [(await mesh.get("/v1/orders/ord_1")).status_code for _ in range(8)]
    assert limited() - before == answers.count(429) > 0


async def test_a_process_tells_its_metrics_on_a_port_of_their_own(mesh: Mesh, tmp_path: Path) -> None:
    port = hold_port()
    told_at = f"http://{port.address}/metrics"
    async with running(tmp_path, ORDERMESH_METRICS_LISTEN=port.address) as (process, address):
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            assert (await http.get(f"{address}/v1/orders")).status_code == 401
            assert (await http.get(f"{address}/metrics")).status_code == 404
            text = (await http.get(told_at)).text
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_SECONDS):
            assert await process.wait() == 0
    port.release()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples[COUNT, "/v1/orders", "401", "GET"] == 1
    assert samples["http_server_active_requests",] == 0
    assert samples["process_resident_memory_bytes",] > 0
