"""The contracts keep their own promises: owners, comments, keys, rules, access and routes are declared everywhere."""

import json
import re
from datetime import date, timedelta
from typing import NotRequired, TypedDict

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from ordermesh.common.v1 import access_pb2, lifecycle_pb2, ownership_pb2

from libs.common.errors import POLICIES
from tests.tidy.contracts import Field, Message, Method, messages, methods, with_parts
from tests.tidy.tree import ROOT, report

SERVICE_CONFIG = ROOT / "protos/service_config.json"
SHOUTED = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bCONFLICT\b")

PROTECTED_OTHERWISE = {
    "ordermesh.common.v1.EventIntakeService/AcceptEvents": "each event carries its event_id",
    "ordermesh.connector.v1.ConnectorService/ApplyChange": "the change carries its key",
    "ordermesh.connector.v1.ConnectorService/Converse": "each call carries the key of its own request",
    "ordermesh.order.v1.OrderService/BatchSubmitOrders": "each entry carries the key of its own request",
    "ordermesh.operations.v1.OperationsService/RingBell": "only wakes a loop",
}
"""Methods with effects that need no idempotency key of their own, and why."""

REACHED_OTHERWISE = {
    "ordermesh.connector.v1.ConnectorService/Translate": "POST /v1/systems/{system}/inbound of the gateway itself",
}
"""Public methods without google.api.http, and the way to them."""


def resources() -> list[Message]:
    return [message for message in messages().values() if message.is_resource]


def sent_in() -> list[Message]:
    """What somebody outside the mesh can fill: requests of public methods and their parts, ours to fill left out."""
    return with_parts(
        [method.request for method in methods() if method.is_public], lambda field: not field.output_only
    )


def ids(method: Method) -> str:
    return method.path.rsplit(".", 1)[1]


def test_the_four_kinds_of_records_are_resources() -> None:
    names = {message.name for message in resources()}
    wanted = {f"ordermesh.{name.lower()}.v1.{name}" for name in ("Customer", "Product", "Order", "Invoice")}
    assert wanted <= names, report("Add the option (ordermesh.common.v1.resource)", sorted(wanted - names))


def test_every_field_of_a_resource_has_an_owner() -> None:
    missing = [
        str(field)
        for message in with_parts(resources())
        for field in message.fields
        if field.owner == ownership_pb2.OWNER_UNSPECIFIED
    ]
    assert not missing, report("Say whose value counts: (ordermesh.common.v1.owner) = OWNER_…", missing)


def test_every_resource_states_its_policy_in_full() -> None:
    found = []
    for message in resources():
        policy = message.proto.options.Extensions[ownership_pb2.resource]
        if not (policy.owner and policy.conflict_policy and policy.HasField("sync_cadence")):
            found.append(f"{message.name} ({message.declared.place})")
    assert not found, report("State owner, sync_cadence and conflict_policy of the resource", found)


def test_what_ordermesh_owns_cannot_be_sent_in() -> None:
    writable = [
        str(field)
        for message in sent_in()
        if message.is_resource
        for field in message.fields
        if field.owner == ownership_pb2.OWNER_MESH and not field.output_only
    ]
    assert not writable, report("Mark as (google.api.field_behavior) = OUTPUT_ONLY", writable)


def test_every_message_field_and_method_has_a_comment() -> None:
    silent = [f"{m.name} ({m.declared.place})" for m in messages().values() if not m.declared.comment]
    silent += [str(field) for m in messages().values() for field in m.fields if not field.declared.comment]
    silent += [str(method) for method in methods() if not method.declared.comment]
    assert not silent, report("Say unit, limit and who sets it", silent)


@pytest.mark.parametrize("method", methods(), ids=ids)
def test_the_comment_of_a_method_says_what_it_refuses(method: Method) -> None:
    comment = method.declared.comment
    named = set(SHOUTED.findall(comment.partition("Refused with")[2]))
    unknown = sorted(named - POLICIES.keys())
    assert not unknown, report(f"{method}: the comment names reasons that error_reason.proto lacks", unknown)
    assert named or "Refuses nothing" in comment, (
        f"{method}: end the comment with `Refused with REASON, …` or `Refuses nothing.`"
    )


@pytest.mark.parametrize("method", methods(), ids=ids)
def test_a_method_says_who_may_call_it_and_whether_it_may_be_repeated(method: Method) -> None:
    assert method.roles, f"{method}: add option (ordermesh.common.v1.allowed_roles)"
    assert access_pb2.ROLE_UNSPECIFIED not in method.roles, f"{method}: ROLE_UNSPECIFIED admits nobody"
    assert method.may_be_repeated, f"{method}: add option idempotency_level"


def test_what_is_deprecated_says_since_when_and_until_when() -> None:
    marked = [
        (str(method), method.proto.options.Extensions[lifecycle_pb2.method_deprecation])
        for method in methods()
        if method.proto.options.deprecated
    ]
    marked += [
        (str(field), field.proto.options.Extensions[lifecycle_pb2.field_deprecation])
        for message in messages().values()
        for field in message.fields
        if field.proto.options.deprecated
    ]
    vague = [name for name, stated in marked if not (stated.instead and has_time_to_move(stated))]
    assert not vague, report(
        "State since, sunset (180 days later or more) and instead: lifecycle.proto", vague
    )


def has_time_to_move(stated: lifecycle_pb2.Deprecation) -> bool:
    try:
        since, sunset = date.fromisoformat(stated.since), date.fromisoformat(stated.sunset)
    except ValueError:
        return False
    return sunset - since >= timedelta(days=180)


def test_a_deprecation_without_days_would_be_noticed() -> None:
    assert has_time_to_move(lifecycle_pb2.Deprecation(since="2026-11-21", sunset="2027-05-20"))
    assert not has_time_to_move(lifecycle_pb2.Deprecation(since="2026-11-21", sunset="2027-05-19"))
    assert not has_time_to_move(lifecycle_pb2.Deprecation())


@pytest.mark.parametrize("method", [method for method in methods() if method.is_public], ids=ids)
def test_a_public_method_has_a_route(method: Method) -> None:
    if method.path in REACHED_OTHERWISE:
        return
    http = method.http
    assert http is not None, f"{method}: add option (google.api.http), or admit ROLE_MESH only"
    verb = http.WhichOneof("pattern")
    assert (verb == "get") == method.reads_only, f"{method}: GET is for reading only, and reading is by GET"


@pytest.mark.parametrize("method", [method for method in methods() if not method.reads_only], ids=ids)
def test_a_write_carries_an_idempotency_key(method: Method) -> None:
    if method.path in PROTECTED_OTHERWISE:
        return
    keys = [field for field in method.request.fields if field.proto.name == "idempotency_key"]
    assert keys, f"{method}: add `string idempotency_key` to {method.request.name}"
    rules = keys[0].rules.string
    assert (rules.min_len, rules.max_len) == (1, 255), (
        f"{keys[0]}: an idempotency key has 1 to 255 characters"
    )


def test_no_two_methods_share_a_route() -> None:
    owners: dict[str, list[str]] = {}
    for method in methods():
        for verb, path in method.routes:
            owners.setdefault(f"{verb} {path}", []).append(method.path)
    shared = [f"{route}: {' and '.join(both)}" for route, both in owners.items() if len(both) > 1]
    assert not shared, report("Give each method a route of its own", shared)


def test_whatever_comes_in_is_bounded() -> None:
    unbounded = [
        f"{field}: {lack}"
        for message in sent_in()
        for field in message.fields
        if not field.output_only and (lack := lacking_rule(message, field))
    ]
    assert not unbounded, report("Bound each field that a caller can fill by a buf.validate rule", unbounded)


def lacking_rule(message: Message, field: Field) -> str:
    """What the rules of `field` leave open; empty when nothing. Messages are bounded by their own fields."""
    rules = field.rules
    if is_map(message, field):
        return "" if rules.map.HasField("max_pairs") else "map without max_pairs"
    if field.repeated:
        return "" if rules.repeated.HasField("max_items") else "repeated without max_items"
    return lacking_scalar_rule(field.proto.type, rules)


def lacking_scalar_rule(kind: FieldDescriptorProto.Type.ValueType, rules: validate_pb2.FieldRules) -> str:
    if kind == FieldDescriptorProto.TYPE_STRING:
        text = rules.string
        bounded = (
            text.HasField("max_len")
            or text.HasField("pattern")
            or text.HasField("const")
            or getattr(text, "in")
        )
        return "" if bounded else "string without max_len, pattern or in"
    if kind == FieldDescriptorProto.TYPE_BYTES:
        return "" if rules.bytes.HasField("max_len") else "bytes without max_len"
    if kind in (FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_INT64):
        number = rules.int32 if kind == FieldDescriptorProto.TYPE_INT32 else rules.int64
        return (
            ""
            if number.WhichOneof("less_than") or number.WhichOneof("greater_than")
            else "number without bounds"
        )
    if kind in (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE):
        return "float: amounts are google.type.Money, quantities google.type.Decimal"
    return ""


def is_map(message: Message, field: Field) -> bool:
    return any(
        nested.options.map_entry and field.type_name.endswith(f".{nested.name}")
        for nested in message.proto.nested_type
    )


def test_amounts_quantities_and_times_are_exact() -> None:
    floats = [
        str(field)
        for message in messages().values()
        for field in message.fields
        if field.proto.type in (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE)
    ]
    assert not floats, report("Use google.type.Money, google.type.Decimal, Timestamp or Duration", floats)


def test_every_reason_states_its_policy_in_full() -> None:
    vague = [
        name
        for name, policy in POLICIES.items()
        if not (400 <= policy.http_status < 600 and 0 < policy.grpc_code <= 16 and policy.title)
        or "unspecified" in (policy.failure_class, policy.owner)
    ]
    assert not vague, report("State HTTP status, gRPC code, class, owner and title of each reason", vague)


class MethodName(TypedDict):
    """A service, or one method of it."""

    service: NotRequired[str]
    method: NotRequired[str]


class RetryPolicy(TypedDict):
    """What gRPC clients do about UNAVAILABLE by themselves."""

    maxAttempts: int
    retryableStatusCodes: list[str]


class MethodConfig(TypedDict):
    """Deadline and retries of the methods named."""

    name: list[MethodName]
    timeout: NotRequired[str]
    retryPolicy: NotRequired[RetryPolicy]


def method_configs() -> list[MethodConfig]:
    configs: list[MethodConfig] = json.loads(SERVICE_CONFIG.read_text())["methodConfig"]
    return configs


def config_of(method: Method) -> list[MethodConfig]:
    """Entries that apply: those that name the method; without any, those that name its service."""
    by_method: MethodName = {"service": method.service, "method": method.proto.name}
    by_service: MethodName = {"service": method.service}
    configs = method_configs()
    return [c for c in configs if by_method in c["name"]] or [c for c in configs if by_service in c["name"]]


@pytest.mark.parametrize("method", methods(), ids=ids)
def test_clients_know_one_deadline_for_a_method(method: Method) -> None:
    configs = config_of(method)
    assert len(configs) == 1, (
        f"{method}: name it once in protos/service_config.json, by itself or by its service"
    )
    assert configs[0].get("timeout"), f"{method}: give it a timeout in protos/service_config.json"


@pytest.mark.parametrize("method", methods(), ids=ids)
def test_clients_repeat_only_what_may_be_repeated(method: Method) -> None:
    for config in config_of(method):
        if policy := config.get("retryPolicy"):
            assert method.may_be_repeated, f"{method}: no idempotency_level, hence no retryPolicy"
            assert 2 <= policy["maxAttempts"] <= 5, f"{method}: gRPC takes maxAttempts from 2 to 5"
            assert policy["retryableStatusCodes"] == ["UNAVAILABLE"], f"{method}: UNAVAILABLE only"


def test_deadlines_name_no_method_that_is_gone() -> None:
    known: list[MethodName] = [{"service": m.service, "method": m.proto.name} for m in methods()]
    known += [{"service": m.service} for m in methods()]
    stale = [
        str(name)
        for config in method_configs()
        for name in config["name"]
        if name.get("service", "").startswith("ordermesh.") and name not in known
    ]
    assert not stale, report("Take these names out of protos/service_config.json", stale)
