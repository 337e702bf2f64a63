"""The HTTP rules of the contracts. Open this file to learn which methods are public, and what messages they speak.

A method is public when it carries `google.api.http`. Roles, effects and deadlines are in `libs/common/rpc/contract.py`.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jsonpb.google.api import annotations_pb, http_pb
from protobuf import (
    DescField,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    DescMethod,
    DescService,
    Message,
    ScalarType,
)

from libs.common.rpc.contract import FILES, Method, methods

WHOLE_BODY = "*"
KEY_FIELD = "idempotency_key"
ETAG_FIELD = "etag"
WAIT_FIELD = "wait"
HEADER_FIELDS: Mapping[str, str] = {KEY_FIELD: "Idempotency-Key", ETAG_FIELD: "If-Match"}
"""Fields of a request that travel as headers."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One public way to call one method."""

    verb: str
    template: str
    """Path as google.api.http writes it: `/v1/orders/{order_id}:hold`."""
    body: str
    """Field that the body fills, `*` for the whole request, empty when there is no body."""
    desc: DescMethod
    method: Method
    request: type[Message]
    response: type[Message]
    body_field: DescField | None
    """The one that `body` names."""
    body_desc: DescMessage
    """Message that the body stands for."""
    key: DescField | None
    """`idempotency_key` of the request."""
    etag: DescField | None
    """`etag` of the request."""
    wait: DescField | None
    """`wait` of the request: the method waits for news if asked to."""
    resource: DescField | None
    """Field of the answer that holds the one resource it is about, with an `etag` of its own."""

    @property
    def name(self) -> str:
        """`SubmitOrder`; unique among public methods, which a contract test sees to."""
        return self.desc.name

    @property
    def package(self) -> str:
        """`order` for `ordermesh.order.v1`: the service that serves it, or `operations` for what all of them serve."""
        return self.desc.parent.type_name.split(".")[1]

    @property
    def needs_version(self) -> bool:
        """True for changes of a record's fields: what was decided on an older version must not undo a newer one."""
        return self.verb == "PATCH" and self.etag is not None


def public_rules() -> Iterator[Rule]:
    """Every rule of every contract, additional bindings included."""
    for service in _services():
        for desc in service.methods:
            options = desc.proto.options
            if options is None or annotations_pb.ext_http not in options:
                continue
            http = options[annotations_pb.ext_http]
            for binding in (http, *http.additional_bindings):
                yield _rule(desc, binding)


def field_of(desc: DescMessage, name: str) -> DescField | None:
    """Field by its name in the contract."""
    return next((field for field in desc.fields if field.name == name), None)


def message_of(desc: DescMessage, name: str) -> DescMessage:
    """Message type of a singular field. Asking for another kind is a bug in the contract."""
    field = field_of(desc, name)
    assert field is not None, f"{desc.type_name} has no field {name}"
    assert isinstance(field.value, DescFieldValueMessage), f"{field} is no message"
    return field.value.message


def _rule(desc: DescMethod, http: http_pb.HttpRule) -> Rule:
    pattern = http.pattern
    assert pattern is not None, f"{desc} has an http rule without a path"
    assert isinstance(pattern.value, str), f"{desc} uses a custom verb, which the gateway does not know"
    request = desc.input
    return Rule(
        verb=pattern.field.upper(),
        template=pattern.value,
        body=http.body,
        desc=desc,
        method=methods()[f"/{desc.parent.type_name}/{desc.name}"],
        request=request.type,
        response=desc.output.type,
        body_field=field_of(request, http.body),
        body_desc=request if http.body in ("", WHOLE_BODY) else message_of(request, http.body),
        key=field_of(request, KEY_FIELD),
        etag=field_of(request, ETAG_FIELD),
        wait=field_of(request, WAIT_FIELD),
        resource=_resource(desc.output),
    )


def _resource(answer: DescMessage) -> DescField | None:
    found = [
        field
        for field in answer.fields
        if isinstance(field.value, DescFieldValueMessage) and _has_etag(field.value.message)
    ]
    return found[0] if len(found) == 1 else None


def _has_etag(desc: DescMessage) -> bool:
    field = field_of(desc, ETAG_FIELD)
    value = field.value if field is not None else None
    return isinstance(value, DescFieldValueScalar) and value.scalar is ScalarType.STRING


def _services() -> Iterator[DescService]:
    for file in FILES:
        module = importlib.import_module(
            "jsonpb." + file.name.removesuffix(".proto").replace("/", ".") + "_pb"
        )
        yield from module.desc().services
