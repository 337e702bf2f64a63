"""Who owns which field, asked over REST; and a steward's decisions on their way to the service."""

import pytest
from ordermesh.operations.v1 import proposal_service_pb2 as pb

from libs.common.ownership_matrix import matrices
from tests.contract.test_gateway.mesh import Mesh


async def test_the_matrix_is_what_the_contracts_say(mesh: Mesh) -> None:
    answer = await mesh.get("/v1/ownership", "support_viewer")

    assert answer.status_code == 200
    resources = {each["resource"]: each for each in answer.json()["resources"]}
    assert list(resources) == [matrix.resource for matrix in matrices()]
    customer = {field["path"]: field for field in resources["Customer"]["fields"]}
    assert customer["credit_limit"] == {
        "path": "credit_limit",
        "jsonPath": "creditLimit",
        "owner": "erp",
        "updaters": ["erp"],
        "policy": "refuse",
    }
    assert customer["account_owner"]["owner"] == "crm"
    order = {field["jsonPath"]: field for field in resources["Order"]["fields"]}
    assert order["state"]["owner"] == "mesh"
    assert order["lines[].unitPrice"]["owner"] == "crm"
    assert order["lines[].shippedQuantity"] == {
        "path": "lines[].shipped_quantity",
        "jsonPath": "lines[].shippedQuantity",
        "owner": "erp",
        "updaters": ["erp"],
        "policy": "refuse",
    }
    assert resources["Invoice"]["syncCadenceSeconds"] == 5


async def test_the_matrix_is_for_callers_with_a_token_and_stands_in_the_document(mesh: Mesh) -> None:
    assert (await mesh.http.get("/v1/ownership")).status_code == 401
    document = (await mesh.http.get("/openapi.json")).json()
    operation = document["paths"]["/v1/ownership"]["get"]
    assert operation["operationId"] == "getOwnership"


@pytest.mark.parametrize("verb", ["accept", "reject"])
async def test_a_decision_goes_to_the_service_that_holds_the_proposal(mesh: Mesh, verb: str) -> None:
    method = f"{verb.capitalize()}Proposal"
    path = f"/v1/exceptions/customer.7:{verb}"

    assert (await mesh.post(path, {"reason": "so"}, "support_operator")).status_code == 403
    answer = await mesh.post(path, {"reason": "so"}, "steward")

    assert answer.status_code == 200
    (call,) = mesh.backends["customer"].calls(method)
    request = getattr(pb, f"{method}Request").FromString(call.request)
    assert (request.exception_id, request.reason) == ("customer.7", "so")
