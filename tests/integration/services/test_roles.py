"""The roles of the contracts hold in every service, whoever stands in front of it.

Calls go to the services and a connector over gRPC, past the gateway, with an empty request: who is not admitted is
refused for that; who is admitted hears anything else.
"""

import grpc
from ordermesh.common.v1 import access_pb2

from libs.common.errors import NotDone, OutcomeUnknown, Refused
from libs.common.rpc.contract import Method, methods
from tests.builders import ERP
from tests.integration.services.world import SERVICES, World

ROLES = tuple(
    name.removeprefix("ROLE_").lower()
    for name, number in access_pb2.Role.items()
    if number != access_pb2.ROLE_UNSPECIFIED
)
STREAMING = frozenset({"ReadChanges"})
HEARING = ("order",)
"""Services that take events of others in."""


def served_by(method: Method) -> tuple[str, ...]:
    """Processes that have the method: of what every service serves, all of them."""
    package = method.service.split(".")[1]
    if package in SERVICES:
        return (package,)
    return {"connector": (ERP,), "common": HEARING}.get(package, SERVICES)


async def outcome(channel: grpc.aio.Channel, method: Method, bearer: grpc.aio.Metadata) -> str:
    """Reason of the refusal; empty for an answer."""
    try:
        if method.path.rpartition("/")[2] in STREAMING:
            stream: grpc.aio.UnaryStreamCall[bytes, bytes] = channel.unary_stream(method.path)(
                b"",  # type: ignore[arg-type]
                metadata=bearer,
            )
            async for _ in stream:
                break
        else:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method.path)
            await call(b"", metadata=bearer)
    except (Refused, NotDone, OutcomeUnknown) as error:
        return error.reason
    return ""


async def test_every_service_admits_whom_the_contract_names_and_nobody_else(world: World) -> None:
    wrong, asked = [], 0
    for method in methods().values():
        for process in served_by(method):
            channel = await world.channel(process)
            for role in ROLES:
                asked += 1
                said = await outcome(channel, method, world.machine.bearer("acme", role))
                if (said == "PERMISSION_DENIED") is (role in method.roles):
                    wrong.append(f"{process} {method.path}: {role} hears {said or 'an answer'}")
    assert asked > len(methods()) * len(ROLES)
    assert not wrong, "\n".join(wrong)


async def test_no_method_answers_without_a_token(world: World) -> None:
    nobody = grpc.aio.Metadata(("authorization", "Bearer of.no.token"))
    wrong = []
    for method in methods().values():
        for process in served_by(method):
            said = await outcome(await world.channel(process), method, nobody)
            if said != "UNAUTHENTICATED":
                wrong.append(f"{process} {method.path}: {said or 'an answer'}")
    assert not wrong, "\n".join(wrong)


def test_what_only_the_mesh_may_do_is_closed_to_administrators() -> None:
    inner = [method for method in methods().values() if method.roles == {"mesh"}]
    assert {method.path.rpartition("/")[2] for method in inner} >= {
        "AcceptEvents",
        "ApplyChange",
        "BatchSubmitOrders",
        "RingBell",
    }
