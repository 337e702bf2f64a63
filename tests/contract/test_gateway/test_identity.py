"""Tokens and roles at the door."""

from datetime import timedelta

import pytest

from libs.common.identity import mint, new_keys
from tests.contract.test_gateway.mesh import AN_ORDER, Mesh


async def test_caller_without_a_token_is_asked_for_one(mesh: Mesh) -> None:
    answer = await mesh.http.get("/v1/orders")
    assert answer.status_code == 401
    assert answer.json()["code"] == "UNAUTHENTICATED"
    assert answer.headers["www-authenticate"] == 'Bearer realm="ordermesh"'
    assert not mesh.order.seen


@pytest.mark.parametrize(
    "stated", ["Bearer nonsense", "Bearer a.b.c", "Basic dTpw", "Bearer ", "Bearer " + "x" * 9000]
)
async def test_token_that_is_none_is_refused(mesh: Mesh, stated: str) -> None:
    answer = await mesh.http.get("/v1/orders", headers={"Authorization": stated})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert not mesh.order.seen


async def test_expired_token_is_refused(mesh: Mesh) -> None:
    token = mesh.token(lifetime=timedelta(hours=-1))
    answer = await mesh.http.get("/v1/orders", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


async def test_token_of_another_issuer_is_refused(mesh: Mesh) -> None:
    stranger = new_keys()
    token = mint(
        stranger.private_jwk,
        settings=mesh.settings,
        subject="x",
        tenant="acme",
        system="salesforce",
        roles=("admin",),
    )
    answer = await mesh.http.get("/v1/orders", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_two_tokens_are_no_token(mesh: Mesh) -> None:
    headers = [
        ("Authorization", f"Bearer {mesh.token()}"),
        ("Authorization", f"Bearer {mesh.token('admin')}"),
    ]
    answer = await mesh.http.get("/v1/orders", headers=headers)
    assert answer.status_code == 401


async def test_role_that_does_not_cover_the_method_is_refused(mesh: Mesh) -> None:
    answer = await mesh.post("/v1/orders", AN_ORDER, "support_viewer")
    assert answer.status_code == 403
    problem = answer.json()
    assert problem["code"] == "PERMISSION_DENIED"
    assert "integration" in problem["detail"]
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert not mesh.order.seen


async def test_token_without_roles_opens_nothing(mesh: Mesh) -> None:
    answer = await mesh.get("/v1/systems", "nobody_knows_this_role")
    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["admin", "mesh", "integration"])
async def test_roles_that_the_contract_admits_pass(mesh: Mesh, role: str) -> None:
    assert (await mesh.post("/v1/orders", AN_ORDER, role)).status_code == 202


async def test_approval_is_for_approvers(mesh: Mesh) -> None:
    assert (await mesh.post("/v1/orders/ord_1:approve", {}, "integration")).status_code == 403
    assert (await mesh.post("/v1/orders/ord_1:approve", {}, "approver")).status_code == 200


async def test_token_is_looked_at_before_the_body(mesh: Mesh) -> None:
    answer = await mesh.http.post("/v1/orders", content=b"{" * 10_000)
    assert answer.status_code == 401
