"""Holds the contracts against those of the last release. Open this file when `make check-contracts` refuses a change.

    python -m protos.compare                  the compiled contracts against the newest image in protos/released
    python -m protos.compare IMAGE RELEASED   any two images

`buf breaking` looks at names, numbers and types. What it does not know is looked at here: fields that a caller must
now send, rules that have become stricter, owners that have changed, routes and roles that are gone, and reasons that
mean something else. Each finding is one line; the exit code is 1 when there is any.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from google.protobuf.message import Message
from ordermesh.common.v1 import access_pb2, error_reason_pb2, ownership_pb2

ROOT = Path(__file__).resolve().parent
IMAGE = ROOT / "gen" / "contracts.binpb"
RELEASED = ROOT / "released"
OURS = "ordermesh/"
BUF_SECONDS = 120
Policy = ownership_pb2.ResourcePolicy | ownership_pb2.FieldPolicy
LOWER_BOUNDS = frozenset({"min_len", "min_bytes", "min_items", "min_pairs", "gt", "gte", "len"})
UPPER_BOUNDS = frozenset({"max_len", "max_bytes", "max_items", "max_pairs", "lt", "lte"})


@dataclass(frozen=True, slots=True)
class Contracts:
    """What an image declares, ours only, by full name."""

    messages: Mapping[str, DescriptorProto]
    enums: Mapping[str, EnumDescriptorProto]
    methods: Mapping[str, MethodDescriptorProto]

    @classmethod
    def read(cls, image: bytes) -> "Contracts":
        files = [file for file in FileDescriptorSet.FromString(image).file if file.name.startswith(OURS)]
        messages = {
            name: message for file in files for name, message in _nested(file.package, file.message_type)
        }
        enums = {f"{file.package}.{enum.name}": enum for file in files for enum in file.enum_type}
        methods = {
            f"{file.package}.{service.name}/{method.name}": method
            for file in files
            for service in file.service
            for method in service.method
        }
        return cls(messages, enums, methods)


def newest_release() -> Path | None:
    """Image of the last release; None before the first."""
    images = sorted(RELEASED.glob("*.binpb"), key=lambda path: version_key(path.stem))
    return images[-1] if images else None


def version_key(version: str) -> tuple[int, ...]:
    """`0.10.2` comes after `0.9.0`."""
    return tuple(int(part) for part in version.split("."))


def findings(image: Path, released: Path) -> list[str]:
    """Everything that a caller of the released contracts could stumble over."""
    old, new = (Contracts.read(path.read_bytes()) for path in (released, image))
    return [*_buf_findings(image, released), *policy_findings(old, new)]


def _buf_findings(image: Path, released: Path) -> list[str]:
    """What `buf breaking` says, by the rules of buf.yaml."""
    buf = Path(sys.executable).with_name("buf")
    ended = subprocess.run(
        [buf, "breaking", image, "--path", "ordermesh", "--against", released],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUF_SECONDS,
    )
    if ended.returncode == 0:
        return []
    return (ended.stdout + ended.stderr).splitlines() or ["buf breaking failed without words"]


def policy_findings(old: Contracts, new: Contracts) -> list[str]:
    """What our options say otherwise than before; what is gone altogether is buf's to tell."""
    found: list[str] = []
    for name, before in old.messages.items():
        if name in new.messages:
            found += _in_message(name, before, new.messages[name])
    for name, declared in old.methods.items():
        if name in new.methods:
            found += _in_method(name, declared, new.methods[name])
    for name, listed in old.enums.items():
        if name in new.enums:
            found += _in_enum(name, listed, new.enums[name])
    return found


def _in_message(name: str, before: DescriptorProto, after: DescriptorProto) -> Iterator[str]:
    was, now = (message.options.Extensions[ownership_pb2.resource] for message in (before, after))
    if was.owner != now.owner:
        yield f"{name}: the resource's owner has changed"
    yield from _in_policy(name, was, now)
    known = {field.number: field for field in before.field}
    for field in after.field:
        path = f"{name}.{field.name}"
        if field.number not in known:
            if is_required(field):
                yield f"{path}: a new field must not be required, callers of before do not send it"
            continue
        yield from _in_field(path, known[field.number], field)
    if _cel_ids(after.options.Extensions[validate_pb2.message]) - _cel_ids(
        before.options.Extensions[validate_pb2.message]
    ):
        yield f"{name}: there is a rule more"


def _in_field(path: str, before: FieldDescriptorProto, after: FieldDescriptorProto) -> Iterator[str]:
    was, now = (field.options.Extensions[ownership_pb2.owner] for field in (before, after))
    if was != now:
        names = [ownership_pb2.Owner.Name(owner) for owner in (was, now)]
        yield f"{path}: the owner has changed from {names[0]} to {names[1]}"
    yield from _in_policy(
        path, *(field.options.Extensions[ownership_pb2.field_policy] for field in (before, after))
    )
    if is_required(after) and not is_required(before):
        yield f"{path}: the field has become required"
    if _is_output_only(after) and not _is_output_only(before):
        yield f"{path}: callers may no longer set the field"
    stricter = _stricter(
        before.options.Extensions[validate_pb2.field], after.options.Extensions[validate_pb2.field]
    )
    for rule in stricter:
        yield f"{path}: the rule {rule} has become stricter"


def _in_policy(path: str, before: Policy, after: Policy) -> Iterator[str]:
    """What becomes of a write by somebody who is not the owner."""
    if before.conflict_policy != after.conflict_policy:
        yield f"{path}: the conflict policy has changed"
    if set(before.permitted_updaters) - set(after.permitted_updaters):
        yield f"{path}: a permitted updater is gone"


def _stricter(before: Message, after: Message) -> Iterator[str]:
    """Names of the rules that admit less than before."""
    if _cel_ids(after) - _cel_ids(before):
        yield "cel"
    for field, value in after.ListFields():
        was = getattr(before, field.name) if _is_set(before, field.name) else None
        if field.message_type is not None and not field.is_repeated:
            yield from _stricter(was if was is not None else type(value)(), value)
        elif _admits_less(field.name, was, value):
            yield field.name


def _admits_less(rule: str, was: Any, now: Any) -> bool:
    """was: None where there was no such rule."""
    if rule in LOWER_BOUNDS:
        return bool(now > (was or 0))
    if rule in UPPER_BOUNDS:
        return was is None or bool(now < was)
    if rule == "in":
        return was is None or not set(was) <= set(now)
    return rule == "pattern" and now != was


def _in_method(name: str, before: MethodDescriptorProto, after: MethodDescriptorProto) -> Iterator[str]:
    for role in set(_roles(before)) - set(_roles(after)):
        yield f"{name}: {access_pb2.Role.Name(role)} may no longer call the method"
    for verb, path, body in set(_routes(before)) - set(_routes(after)):
        yield f"{name}: the route {verb.upper()} {path} (body `{body}`) is gone"


def _in_enum(name: str, before: EnumDescriptorProto, after: EnumDescriptorProto) -> Iterator[str]:
    numbers = {value.name: value.number for value in after.value}
    policies = {value.number: value.options.Extensions[error_reason_pb2.policy] for value in after.value}
    for value in before.value:
        if numbers.get(value.name, value.number) != value.number:
            yield f"{name}: {value.name} was number {value.number} and is {numbers[value.name]}"
        was = value.options.Extensions[error_reason_pb2.policy]
        now = policies.get(value.number, was)
        if (was.http_status, was.grpc_code, was.retryable) != (
            now.http_status,
            now.grpc_code,
            now.retryable,
        ):
            yield f"{name}: {value.name} no longer means the same status or retry"


def is_required(field: FieldDescriptorProto) -> bool:
    """True when a message without the field is refused."""
    rules = field.options.Extensions[validate_pb2.field]
    if rules.required or field_behavior_pb2.REQUIRED in _behaviours(field):
        return True
    if field.HasField("oneof_index") or rules.ignore:
        return False
    bounds = (rules.string.min_len, rules.string.len, rules.bytes.min_len, rules.repeated.min_items)
    return any(bounds) or rules.map.min_pairs > 0


def _is_output_only(field: FieldDescriptorProto) -> bool:
    return field_behavior_pb2.OUTPUT_ONLY in _behaviours(field)


def _behaviours(field: FieldDescriptorProto) -> list[int]:
    return list(field.options.Extensions[field_behavior_pb2.field_behavior])  # type: ignore[index]


def _is_set(message: Message, name: str) -> bool:
    return any(field.name == name for field, _ in message.ListFields())


def _cel_ids(rules: Message) -> set[str]:
    return {rule.id for rule in getattr(rules, "cel", ())}


def _roles(method: MethodDescriptorProto) -> list[access_pb2.Role.ValueType]:
    return list(method.options.Extensions[access_pb2.allowed_roles])


def _routes(method: MethodDescriptorProto) -> Iterator[tuple[str, str, str]]:
    http: http_pb2.HttpRule = method.options.Extensions[annotations_pb2.http]  # type: ignore[index]
    for rule in (http, *http.additional_bindings):
        verb = rule.WhichOneof("pattern")
        if verb:
            yield verb, getattr(rule, verb), rule.body


def _nested(scope: str, declared: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in declared:
        name = f"{scope}.{message.name}"
        yield name, message
        yield from _nested(name, message.nested_type)


def main(arguments: list[str]) -> int:
    released = Path(arguments[1]) if len(arguments) > 1 else newest_release()
    if released is None:
        print("there is no release to compare with")
        return 0
    found = findings(Path(arguments[0]) if arguments else IMAGE, released)
    print("\n".join([*found, f"compared with {released.name}: {len(found)} findings"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
