"""Who may call."""

from typing import TYPE_CHECKING

import pytest

from libs.common.errors import Refused
from libs.common.rpc.channel import MeshChannel
from libs.common.testing.rpc import OneMachine

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

from tests.contract.test_rpc.scripted import Describe, Scripted, raw, refusal


async def test_a_call_of_the_mesh_tells_process_and_tenant(stub: "Stub", servicer: Scripted) -> None:
    await stub.Describe(Describe())
    (seen,) = servicer.contexts
    assert (seen.tenant, seen.actor, seen.system) == ("acme", "order.relay", "mesh")
    assert seen.roles == {"mesh"}


async def test_a_caller_s_own_token_goes_on_in_its_name(
    stub: "Stub", servicer: Scripted, mesh: OneMachine
) -> None:
    await stub.Describe(Describe(), metadata=mesh.bearer("globex", "mesh"))
    (seen,) = servicer.contexts
    assert (seen.tenant, seen.actor, seen.system) == ("globex", "somebody", "salesforce")


@pytest.mark.parametrize("roles", [[], ["integration"], ["support_viewer", "approver"], ["admin"]])
async def test_a_method_refuses_roles_it_does_not_name(
    stub: "Stub", servicer: Scripted, mesh: OneMachine, roles: list[str]
) -> None:
    error = await refusal(stub.Describe(Describe(), metadata=mesh.bearer("acme", *roles)))
    assert (type(error), error.reason) == (Refused, "PERMISSION_DENIED")
    assert servicer.contexts == []


@pytest.mark.parametrize("value", ["", "Bearer x.y.z", "Basic YTpi"])
async def test_nobody_enters_without_a_valid_token(stub: "Stub", servicer: Scripted, value: str) -> None:
    error = await refusal(stub.Describe(Describe(), metadata=(("authorization", value),)))
    assert (type(error), error.reason) == (Refused, "UNAUTHENTICATED")
    assert servicer.contexts == []


async def test_a_stranger_s_request_is_not_even_read(channel: MeshChannel) -> None:
    error = await refusal(
        raw(channel, "Describe")(b"\xff\xff", metadata=(("authorization", "Bearer x.y.z"),))
    )
    assert error.reason == "UNAUTHENTICATED"


async def test_a_method_that_is_not_served_is_not_supported(channel: MeshChannel) -> None:
    error = await refusal(raw(channel, "Explode")(b""))
    assert (type(error), error.reason) == (Refused, "NOT_SUPPORTED")
