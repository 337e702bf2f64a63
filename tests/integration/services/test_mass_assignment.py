"""A caller sets what only the server sets: every such field, in every write, is refused by name.

Generated from the contracts: a field that is declared OUTPUT_ONLY tomorrow is tried tomorrow.
"""

from collections.abc import Callable, Iterator, Mapping

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from ordermesh.customer.v1 import customer_pb2, customer_service_pb2
from ordermesh.product.v1 import product_pb2, product_service_pb2

from libs.common.errors import Refused
from libs.common.ownership import output_only_fields
from libs.common.rpc.contract import FILES, methods
from tests.builders import a_submission
from tests.integration.services.world import SERVICES, World

DEPTH_MAX = 5
Path = tuple[FieldDescriptor, ...]

GOOD: Mapping[str, Callable[[], Message]] = {
    "SubmitOrder": a_submission,
    "UpdateCustomer": lambda: customer_service_pb2.UpdateCustomerRequest(
        customer=customer_pb2.Customer(customer_id="cus_1", segment="Retail"), idempotency_key="k"
    ),
    "UpdateProduct": lambda: product_service_pb2.UpdateProductRequest(
        product=product_pb2.Product(product_id="prd_1"), idempotency_key="k"
    ),
}
"""A request that nothing is wrong with but what the test adds."""
NAMES_THE_RECORD = {"customer.customer_id", "product.product_id"}
"""OUTPUT_ONLY as well, but here they say which record is meant."""


def locked(descriptor: Descriptor, path: Path = ()) -> Iterator[Path]:
    """Ways to the fields of a request that only the server sets."""
    for field in descriptor.fields:
        if field.name in output_only_fields(descriptor):
            yield (*path, field)
        elif field.message_type is not None and len(path) < DEPTH_MAX and _is_ours(field.message_type):
            yield from locked(field.message_type, (*path, field))


def _is_ours(message: Descriptor) -> bool:
    return message.full_name.startswith("ordermesh.") and not message.GetOptions().map_entry


def writes() -> Iterator[MethodDescriptor]:
    """Methods that callers may call and that change something, with fields only the server sets."""
    for file in FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                declared = methods()[f"/{service.full_name}/{method.name}"]
                if (
                    declared.effect
                    and not declared.roles <= {"admin", "mesh"}
                    and any(locked(method.input_type))
                ):
                    yield method


def filled(request: Message, path: Path) -> Message:
    """The request with a value in this field, and the first of each list on the way."""
    filled: Message = type(request).FromString(request.SerializeToString())
    inner: Message = filled
    for field in path[:-1]:
        held = getattr(inner, field.name)
        inner = (held[0] if len(held) else held.add()) if field.is_repeated else held
    _fill(inner, path[-1])
    return filled


def _fill(message: Message, field: FieldDescriptor) -> None:
    held = getattr(message, field.name)
    if field.message_type is not None:
        if field.is_repeated:
            held.add()
        else:
            held.SetInParent()
    elif field.is_repeated:
        held.append(_value(field))
    else:
        setattr(message, field.name, _value(field))


def _value(field: FieldDescriptor) -> object:
    if field.enum_type is not None:
        return field.enum_type.values[1].number
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return b"x" if field.type == FieldDescriptor.TYPE_BYTES else "x"
    return True if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else 1


def named(path: Path) -> str:
    return ".".join(field.name for field in path)


@pytest.mark.parametrize("method", list(writes()), ids=lambda method: method.name)
async def test_what_only_the_server_sets_is_refused_by_name(world: World, method: MethodDescriptor) -> None:
    service = method.containing_service.full_name.split(".")[1]
    assert service in SERVICES
    channel = await world.channel(service)
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}"
    )
    good = GOOD[method.name]()
    assert isinstance(good, GetMessageClass(method.input_type))
    passed, tried = [], 0
    for path in locked(method.input_type):
        if named(path) in NAMES_THE_RECORD:
            continue
        tried += 1
        try:
            await call(filled(good, path).SerializeToString())
        except Refused as refused:
            shown = [violation.field.replace("[0]", "") for violation in refused.violations]
            if refused.reason not in {"OWNERSHIP_VIOLATION", "INVALID_FIELD"} or not any(
                field.startswith(named(path)) for field in shown
            ):
                passed.append(f"{named(path)}: {refused}")
        else:
            passed.append(named(path))
    assert tried
    assert not passed
    assert await world.counts(service, "event") == [0]


def test_every_write_with_such_fields_is_tried() -> None:
    assert {method.name for method in writes()} == set(GOOD)
