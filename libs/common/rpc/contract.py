"""What the contracts say of each method. Open this file to learn where roles, effects and deadlines come from.

Roles and effects are read off the descriptors (`allowed_roles`, `idempotency_level`), deadlines and retries off
`protos/service_config.json`; nothing is written here a second time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from ordermesh.common.v1 import access_pb2, event_pb2
from ordermesh.connector.v1 import connector_service_pb2
from ordermesh.customer.v1 import customer_service_pb2
from ordermesh.invoice.v1 import invoice_service_pb2
from ordermesh.operations.v1 import operations_service_pb2, proposal_service_pb2
from ordermesh.order.v1 import order_service_pb2
from ordermesh.product.v1 import product_service_pb2

FILES: tuple[FileDescriptor, ...] = (
    event_pb2.DESCRIPTOR,
    customer_service_pb2.DESCRIPTOR,
    product_service_pb2.DESCRIPTOR,
    order_service_pb2.DESCRIPTOR,
    invoice_service_pb2.DESCRIPTOR,
    operations_service_pb2.DESCRIPTOR,
    proposal_service_pb2.DESCRIPTOR,
    connector_service_pb2.DESCRIPTOR,
)
"""Every file that declares a service; a contract test refuses to let one be forgotten."""

SERVICE_CONFIG_FILE = Path(__file__).resolve().parents[3] / "protos" / "service_config.json"
ORDINARY, SUBMISSION, BULK = "ordinary", "submission", "bulk"
LANES: Mapping[int, str] = {
    access_pb2.LANE_UNSPECIFIED: ORDINARY,
    access_pb2.LANE_SUBMISSION: SUBMISSION,
    access_pb2.LANE_BULK: BULK,
}
MESH = frozenset({"mesh"})
"""Admitted everywhere; where the contract names nobody else, nobody else is, not even an administrator."""
OVER_A_TENANT = frozenset({"admin"})


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc."""

    path: str
    """`/ordermesh.order.v1.OrderService/GetOrder`, as it stands on the wire."""
    roles: frozenset[str]
    """Role names in lower case that may call it, mesh and, unless it is for the mesh alone, admin included."""
    effect: bool
    """True when a call can change something."""
    repeatable: bool
    """True when calling twice with the same request has the effect of calling once."""
    timeout_seconds: float
    """Deadline of a call that sets none."""
    attempts_max: int
    """Times gRPC itself may send a call, 1 when it must not repeat it."""
    lane: str = ORDINARY
    """`submission`, `bulk` or `ordinary`: which calls it shares a bound with."""

    @property
    def service(self) -> str:
        return self.path.split("/")[1]


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What the service config says of a method."""

    timeout_seconds: float
    attempts_max: int


@cache
def service_config_text() -> str:
    """The file as gRPC wants it."""
    return SERVICE_CONFIG_FILE.read_text(encoding="utf-8")


@cache
def call_policies() -> Mapping[str, CallPolicy]:
    """By path. Every method is named in full: a default for a whole service would hide a forgotten one."""
    policies = {}
    for entry in json.loads(service_config_text())["methodConfig"]:
        attempts_max = int(entry.get("retryPolicy", {}).get("maxAttempts", 1))
        policy = CallPolicy(float(entry["timeout"].removesuffix("s")), attempts_max)
        for name in entry["name"]:
            policies[f"/{name['service']}/{name['method']}"] = policy
    return policies


@cache
def methods() -> Mapping[str, Method]:
    """Every method of every contract, by path."""
    declared = (
        method for file in FILES for service in file.services_by_name.values() for method in service.methods
    )
    return {method.path: method for method in map(_method, declared)}


@cache
def redacted_fields() -> frozenset[str]:
    """Names of fields marked `debug_redact`, in both spellings: `tax_number`, `taxNumber`."""
    fields = (field for message in _messages() for field in message.fields if field.GetOptions().debug_redact)
    return frozenset(name for field in fields for name in (field.name, field.json_name))


def _method(declared: MethodDescriptor) -> Method:
    options = declared.GetOptions()
    assert isinstance(options, MethodOptions)
    path = f"/{declared.containing_service.full_name}/{declared.name}"
    named = frozenset(
        access_pb2.Role.Name(role).removeprefix("ROLE_").lower()
        for role in options.Extensions[access_pb2.allowed_roles]
    )
    policy = call_policies()[path]
    return Method(
        path=path,
        roles=named | MESH | (OVER_A_TENANT if named - MESH else frozenset()),
        effect=options.idempotency_level != MethodOptions.NO_SIDE_EFFECTS,
        repeatable=options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
        timeout_seconds=policy.timeout_seconds,
        attempts_max=policy.attempts_max,
        lane=LANES[options.Extensions[access_pb2.lane]],
    )


def _messages() -> Iterator[Descriptor]:
    seen: set[str] = set()
    files = list(FILES)
    while files:
        file = files.pop()
        if file.name in seen or not file.package.startswith("ordermesh."):
            continue
        seen.add(file.name)
        files.extend(file.dependencies)
        messages = list(file.message_types_by_name.values())
        while messages:
            message = messages.pop()
            messages.extend(message.nested_types)
            yield message
