"""The compiled contracts as the tests see them: messages, fields and methods with their comments and options."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)
from ordermesh.common.v1 import access_pb2, ownership_pb2

from tests.tidy.tree import ROOT

IMAGE = ROOT / "protos/gen/contracts.binpb"
OURS = "ordermesh/"
MESSAGE, FIELD, NESTED, SERVICE, METHOD = 4, 2, 3, 6, 2
"""Field numbers of descriptor.proto, of which the paths in the source information are made."""


@dataclass(frozen=True, slots=True)
class Declared:
    """Comment and place of something declared."""

    comment: str
    place: str
    """`protos/ordermesh/order/v1/order.proto:85`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    message: str
    proto: FieldDescriptorProto
    declared: Declared

    def __str__(self) -> str:
        return f"{self.message}.{self.proto.name} ({self.declared.place})"

    @property
    def type_name(self) -> str:
        """Full name of the message or enum; empty for scalars."""
        return self.proto.type_name.lstrip(".")

    @property
    def repeated(self) -> bool:
        return self.proto.label == FieldDescriptorProto.LABEL_REPEATED

    @property
    def owner(self) -> int:
        return self.proto.options.Extensions[ownership_pb2.owner]

    @property
    def rules(self) -> validate_pb2.FieldRules:
        return self.proto.options.Extensions[validate_pb2.field]

    @property
    def output_only(self) -> bool:
        return (
            field_behavior_pb2.OUTPUT_ONLY in self.proto.options.Extensions[field_behavior_pb2.field_behavior]  # type: ignore[index]
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One message of ours."""

    name: str
    proto: DescriptorProto
    declared: Declared
    fields: tuple[Field, ...]

    @property
    def is_resource(self) -> bool:
        return self.proto.options.HasExtension(ownership_pb2.resource)

    @property
    def is_map_entry(self) -> bool:
        return self.proto.options.map_entry


VARIABLE = re.compile(r"\{[^}=]*=?([^}]*)\}")


def _without_name(variable: re.Match[str]) -> str:
    """`{subject=orders/*}` → `orders/{}`, `{order_id}` → `{}`."""
    return variable[1].replace("*", "{}") or "{}"


@dataclass(frozen=True, slots=True)
class Method:
    """One method of ours."""

    service: str
    proto: MethodDescriptorProto
    declared: Declared

    def __str__(self) -> str:
        return f"{self.service}/{self.proto.name} ({self.declared.place})"

    @property
    def path(self) -> str:
        """`ordermesh.order.v1.OrderService/SubmitOrder`, as gRPC spells it without the first slash."""
        return f"{self.service}/{self.proto.name}"

    @property
    def request(self) -> Message:
        return messages()[self.proto.input_type.lstrip(".")]

    @property
    def reads_only(self) -> bool:
        return self.proto.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS

    @property
    def may_be_repeated(self) -> bool:
        return self.proto.options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN

    @property
    def roles(self) -> frozenset[int]:
        return frozenset(self.proto.options.Extensions[access_pb2.allowed_roles])

    @property
    def is_public(self) -> bool:
        """Whether anybody outside the mesh may call it."""
        return bool(self.roles - {access_pb2.ROLE_MESH})

    @property
    def http(self) -> http_pb2.HttpRule | None:
        options = self.proto.options
        if not options.HasExtension(annotations_pb2.http):  # type: ignore[arg-type]
            return None
        return options.Extensions[annotations_pb2.http]  # type: ignore[index]

    @property
    def routes(self) -> list[tuple[str, str]]:
        """`[("get", "/v1/orders/{}/lineage"), …]`: every binding, each variable as `{}`."""
        found = []
        for rule in [self.http, *self.http.additional_bindings] if self.http else []:
            verb = rule.WhichOneof("pattern") or ""
            found.append((verb, VARIABLE.sub(_without_name, getattr(rule, verb))))
        return found


class _Source:
    """Comments and lines of one file by path."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file.name
        self._locations = {tuple(at.path): at for at in file.source_code_info.location}

    def at(self, *path: int) -> Declared:
        location = self._locations[path]
        return Declared(location.leading_comments.strip(), f"protos/{self._file}:{location.span[0] + 1}")


@cache
def our_files() -> tuple[FileDescriptorProto, ...]:
    assert IMAGE.exists(), "protos/gen is missing: run `make generate`"
    image = FileDescriptorSet.FromString(IMAGE.read_bytes())
    return tuple(file for file in image.file if file.name.startswith(OURS))


@cache
def messages() -> dict[str, Message]:
    """Every message of ours by full name, nested ones included."""
    found = {}
    for file in our_files():
        source = _Source(file)
        for index, proto in enumerate(file.message_type):
            for message in _with_nested(proto, file.package, source, (MESSAGE, index)):
                found[message.name] = message
    return found


def _with_nested(
    proto: DescriptorProto, scope: str, source: _Source, path: tuple[int, ...]
) -> Iterator[Message]:
    name = f"{scope}.{proto.name}"
    if not proto.options.map_entry:
        fields = [Field(name, field, source.at(*path, FIELD, at)) for at, field in enumerate(proto.field)]
        yield Message(name, proto, source.at(*path), tuple(fields))
    for at, nested in enumerate(proto.nested_type):
        yield from _with_nested(nested, name, source, (*path, NESTED, at))


@cache
def methods() -> tuple[Method, ...]:
    """Every method of ours."""
    found = []
    for file in our_files():
        source = _Source(file)
        for at, service in enumerate(file.service):
            name = f"{file.package}.{service.name}"
            found += [
                Method(name, proto, source.at(SERVICE, at, METHOD, index))
                for index, proto in enumerate(service.method)
            ]
    return tuple(found)


def with_parts(roots: list[Message], follow: Callable[[Field], bool] = lambda field: True) -> list[Message]:
    """These messages and all messages of ours that they are made of, through the fields that `follow` admits."""
    seen: dict[str, Message] = {}
    queue = list(roots)
    while queue:
        message = queue.pop()
        if message.name not in seen:
            seen[message.name] = message
            fields = [field for field in message.fields if field.type_name in messages() and follow(field)]
            queue += [messages()[field.type_name] for field in fields]
    return list(seen.values())
