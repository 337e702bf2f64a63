"""Health, documents and systems: what can be asked without and with a caller."""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from gateway.rules import public_rules
from libs.common.config import Environment
from tests.contract.test_gateway.backend import NOT_SERVING
from tests.contract.test_gateway.mesh import Mesh, running_mesh

DOCUMENTS = ["/openapi.json", "/openapi-3.0.json"]


async def test_index_leads_on(mesh: Mesh) -> None:
    index = (await mesh.http.get("/")).json()
    for path in ("openapi", "live", "ready"):
        assert (await mesh.http.get(index[path])).status_code == 200


async def test_live_says_only_that_the_process_runs(mesh: Mesh) -> None:
    await mesh.order.stop()
    answer = await mesh.http.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-correlation-id"]


async def test_ready_when_everything_behind_serves(mesh: Mesh) -> None:
    answer = await mesh.http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "services": dict.fromkeys(("customer", "product", "order", "invoice"), "SERVING"),
        "systems": {"netsuite": "SERVING"},
    }


@pytest.mark.parametrize("name", ["order", "netsuite"])
async def test_not_ready_while_one_of_them_does_not_serve(mesh: Mesh, name: str) -> None:
    await mesh.backends[name].vitals.set("", NOT_SERVING)
    answer = await mesh.http.get("/health/ready")
    assert answer.status_code == 503
    assert {**answer.json()["services"], **answer.json()["systems"]}[name] == "NOT_SERVING"


async def test_not_ready_while_one_of_them_is_away(mesh: Mesh) -> None:
    await mesh.backends["invoice"].stop()
    answer = await mesh.http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["services"]["invoice"] == "UNREACHABLE"


async def test_not_ready_while_draining_but_still_answering(mesh: Mesh) -> None:
    mesh.gateway.load.draining = True
    answer = await mesh.http.get("/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
    assert (await mesh.get("/v1/orders")).status_code == 200


async def test_too_many_requests_at_a_time_are_turned_away(mesh: Mesh) -> None:
    mesh.gateway.load.under_way = mesh.settings.requests_max
    answer = await mesh.get("/v1/orders")
    assert answer.status_code == 503
    assert answer.json()["code"] == "OVERLOADED"
    assert answer.headers["retry-after"] == "1"
    assert (await mesh.http.get("/health/live")).status_code == 200


async def test_systems_of_the_tenant_are_shown_with_their_simulator(mesh: Mesh) -> None:
    shown = await mesh.get("/v1/systems")
    system = {"system": "netsuite", "role": "erp", "reachable": True, "simulator": "http://127.0.0.1:5301"}
    assert shown.json() == {"systems": [system]}


async def test_system_whose_connector_is_away_is_shown_so(mesh: Mesh) -> None:
    await mesh.backends["netsuite"].stop()
    assert (await mesh.get("/v1/systems")).json()["systems"][0]["reachable"] is False


async def test_systems_of_others_are_not_shown(mesh: Mesh) -> None:
    answer = await mesh.http.get("/v1/systems", headers=mesh.bearer(tenant="globex"))
    assert answer.json() == {"systems": []}


async def test_simulators_are_not_shown_in_production(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, environment=Environment.PRODUCTION) as mesh:
        (system,) = (await mesh.get("/v1/systems")).json()["systems"]
        assert "simulator" not in system


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_document_is_valid(mesh: Mesh, path: str) -> None:
    answer = await mesh.http.get(path)
    assert answer.headers["content-type"] == "application/json"
    validate(answer.json())


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_every_public_method_is_described_and_named_once(mesh: Mesh, path: str) -> None:
    document = (await mesh.http.get(path)).json()
    operations = [operation for verbs in document["paths"].values() for operation in verbs.values()]
    described = [operation["operationId"] for operation in operations]
    assert len(set(described)) == len(described)
    assert all(name.isalnum() for name in described)
    assert all(operation["description"] for operation in operations)
    assert len(described) == len(list(public_rules())) + 5


async def test_document_repeats_rules_and_comments_of_the_contract(mesh: Mesh) -> None:
    document = (await mesh.http.get("/openapi.json")).json()
    order = document["components"]["schemas"]["Order"]
    assert order["properties"]["currencyCode"]["pattern"] == "^[A-Z]{3}$"
    assert order["properties"]["lines"]["maxItems"] == 1000
    assert order["properties"]["memo"]["description"].startswith("Free text")
    assert order["properties"]["state"]["readOnly"] is True
    assert set(order["required"]) == {"soldTo", "currencyCode", "lines"}
    submit = document["paths"]["/v1/orders"]["post"]
    assert {"200", "202", "400", "401", "403", "409", "413", "415", "422", "503"} <= set(submit["responses"])
    assert submit["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Order"
    }
    hold = document["components"]["schemas"]["HoldOrderRequest"]
    assert set(hold["properties"]) == {"reason", "validateOnly"}
    assert hold["additionalProperties"] is False


async def test_every_field_is_described(mesh: Mesh) -> None:
    document = (await mesh.http.get("/openapi.json")).json()
    bare = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert not bare


async def test_older_document_has_nothing_that_importers_stumble_over(mesh: Mesh) -> None:
    text = (await mesh.http.get("/openapi-3.0.json")).text
    document = json.loads(text)
    assert document["openapi"] == "3.0.3"
    assert "problem+json" not in text
    assert '"oneOf"' not in text
    assert "headers" not in document["components"]
    assert '"additionalProperties": false' not in text
    operations = [operation for verbs in document["paths"].values() for operation in verbs.values()]
    assert max(len(operation["operationId"]) for operation in operations) <= 40
    assert not any(
        "headers" in answer for operation in operations for answer in operation["responses"].values()
    )
    answers = document["components"]["schemas"]["SubmitOrderResponse"]["properties"]
    assert {"statusUrl", "correlationId", "retryAfterSeconds"} <= answers.keys()
    assert len(text) < 10_000_000
    assert len(document["servers"]) == 1


async def test_document_names_the_address_callers_use(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, public_url="https://mesh.example.com") as mesh:
        document = (await mesh.http.get("/openapi.json")).json()
        assert document["servers"] == [{"url": "https://mesh.example.com"}]
