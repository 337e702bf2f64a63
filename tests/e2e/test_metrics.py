"""What Prometheus hears of a whole mesh: what each process did, and nobody's name."""

import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import Metric, parser

from libs.cli.keys import Bearer
from libs.cli.mesh import Mesh
from libs.common.topology import SERVICES

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("mesh"),
    pytest.mark.timeout(240),
    pytest.mark.slow,
]
CANARY = "DE89370400440532013000"
PERSONAL = re.compile(
    rf"\bacme\b|@|{CANARY}|(?:ord|cus|prd|inv|evt|cor)_[0-9a-z]{{10}}|\bSO\d+", re.IGNORECASE
)
"""A tenant, an address, a planted account, one of our ids, a number of the ERP's."""


async def families(mesh: Mesh) -> dict[str, list[Metric]]:
    """What each process tells, by its name."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        told = {
            process.name: (await http.get(f"http://{process.metrics}/metrics")).text
            for process in mesh.record().processes
            if process.metrics
        }
    return {name: list(parser.text_string_to_metric_families(text)) for name, text in told.items()}


def values(found: list[Metric], name: str, **labels: str) -> Iterator[float]:
    """Values of the series that have these labels."""
    for family in found:
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample.value


async def test_every_process_tells_what_it_did_and_nobody_s_name(mesh: Mesh) -> None:
    bearer = mesh.token(Bearer(tenant="acme", system="salesforce", roles=("integration",), subject=CANARY))
    headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": CANARY, "X-Correlation-Id": CANARY}
    buyer = {"external": {"system": "salesforce", "externalId": CANARY}}
    price = {"currencyCode": "EUR", "units": "2"}
    line = {"sku": CANARY, "quantity": {"value": "3"}, "unitPrice": price}
    order = {"soldTo": buyer, "currencyCode": "EUR", "lines": [line], "memo": CANARY}
    async with httpx.AsyncClient(base_url=mesh.base_url, trust_env=False, timeout=30) as http:
        refused = await http.post("/v1/orders", json=order, headers=headers)
        unknown = await http.get(f"/v1/orders/{CANARY}", headers=headers)
    assert (refused.status_code, unknown.status_code) == (400, 404), (refused.text, unknown.text)

    told = await families(mesh)
    assert len(told) == 7
    count = "http_server_request_duration_seconds_count"
    assert sum(values(told["gateway"], count, http_route="/v1/orders", http_response_status_code="400")) >= 1
    submitting = {"command": "submit_order", "outcome": "failed"}
    assert sum(values(told["order"], "ordermesh_commands_total", **submitting)) >= 1
    for name in SERVICES:
        assert any(values(told[name], "ordermesh_database_connections_max")), name
        assert list(values(told[name], "ordermesh_delivery_overdue_seconds")), name
        assert list(values(told[name], "ordermesh_ingest_lag_seconds")), name
    for system in ("netsuite", "salesforce"):
        assert sum(values(told[f"connector-{system}"], "http_client_request_duration_seconds_count")) > 0
    named = sorted(
        f"{process}: {sample.name}{{{label}={value}}}"
        for process, found in told.items()
        for family in found
        for sample in family.samples
        for label, value in sample.labels.items()
        if PERSONAL.search(value)
    )
    assert not named
