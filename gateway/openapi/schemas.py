"""Messages as JSON Schemas. Open this file to change how a type of the contracts looks in the document.

Every message and enum has a name under `components/schemas`; nothing is nested, because importers such as Salesforce
External Services read no further.
"""

from collections.abc import Collection, Mapping
from typing import TypeAlias

from jsonpb.buf.validate import validate_pb
from protobuf import DescEnum, DescField, DescFieldValueMap, DescMessage, ScalarType

from gateway.fields import JsonValue, Kind, is_list, kind_of, oneof_of
from gateway.openapi.comments import Comments
from gateway.openapi.constraints import (
    is_deprecated,
    is_output_only,
    is_required,
    item_rules_of,
    keywords_of,
    rules_of,
)

Schema: TypeAlias = dict[str, JsonValue]
SCHEMAS = "#/components/schemas/"

_SCALARS: Mapping[ScalarType, Schema] = {
    ScalarType.STRING: {"type": "string"},
    ScalarType.BOOL: {"type": "boolean"},
    ScalarType.BYTES: {"type": "string", "contentEncoding": "base64"},
    ScalarType.DOUBLE: {"type": "number", "format": "double"},
    ScalarType.FLOAT: {"type": "number", "format": "float"},
    ScalarType.INT32: {"type": "integer", "format": "int32"},
    ScalarType.SINT32: {"type": "integer", "format": "int32"},
    ScalarType.SFIXED32: {"type": "integer", "format": "int32"},
    ScalarType.UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    ScalarType.FIXED32: {"type": "integer", "format": "int64", "minimum": 0},
}
_LONG: Schema = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,20}$"}
"""64-bit integers travel as text; numbers are taken too."""
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
}


class Schemas:
    """Collects the schemas that are referred to."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self._types: dict[str, str] = {}
        self.components: dict[str, JsonValue] = {}

    def comment(self, full_name: str) -> str:
        return self._comments.get(full_name, "")

    def reference(self, desc: DescMessage | DescEnum) -> Schema:
        """A reference to the message or enum, which is described when first asked for."""
        self._claim(desc.name, desc.type_name)
        if desc.name not in self.components:
            self.components[desc.name] = {}
            described = self.described(desc) if isinstance(desc, DescMessage) else self._enum(desc)
            self.components[desc.name] = described
        return {"$ref": SCHEMAS + desc.name}

    def body(self, desc: DescMessage, without: Collection[str]) -> Schema:
        """A request whose fields in part come from path and headers; those are left out."""
        self._claim(desc.name, desc.type_name)
        if desc.name not in self.components:
            described = self.described(desc, without)
            self.components[desc.name] = {**described, "additionalProperties": False}
        return {"$ref": SCHEMAS + desc.name}

    def described(self, desc: DescMessage, without: Collection[str] = ()) -> Schema:
        """The message as an object."""
        fields = [field for field in desc.fields if field.name not in without]
        schema: Schema = {"type": "object", "title": desc.name}
        if text := self.comment(desc.type_name):
            schema["description"] = text
        schema["properties"] = {field.json_name: self.field(field) for field in fields}
        required: list[JsonValue] = [
            field.json_name for field in fields if is_required(field) and not is_output_only(field)
        ]
        if required:
            schema["required"] = required
        choices = {oneof_of(field) for field in fields} - {None}
        if choices:
            free = sum(oneof_of(field) is None for field in fields)
            schema["maxProperties"] = free + len(choices)
        return schema

    def field(self, field: DescField) -> Schema:
        """One property, with its comment and its rules."""
        rules = rules_of(field)
        schema = {**self._shape(field, rules), **_fitting(keywords_of(rules), field)}
        if text := self.comment(f"{field.parent.type_name}.{field.name}"):
            schema["description"] = text
        if is_output_only(field):
            schema["readOnly"] = True
        if is_deprecated(field):
            schema["deprecated"] = True
        return schema

    def _shape(self, field: DescField, rules: validate_pb.FieldRules | None) -> Schema:
        if isinstance(field.value, DescFieldValueMap):
            return {"type": "object", "additionalProperties": self._value(field.value.value)}
        kind = kind_of(field)
        assert kind is not None
        if not is_list(field):
            return self._value(kind)
        items = {**self._value(kind), **keywords_of(item_rules_of(rules))}
        return {"type": "array", "items": items}

    def _value(self, kind: Kind) -> Schema:
        if isinstance(kind, ScalarType):
            return dict(_SCALARS.get(kind, _LONG))
        if kind.type_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[kind.type_name])
        return self.reference(kind)

    def _enum(self, desc: DescEnum) -> Schema:
        names: list[JsonValue] = [value.name for value in desc.values]
        told = [self.comment(desc.type_name)]
        told += [f"{v.name}: {self.comment(f'{desc.type_name}.{v.name}')}" for v in desc.values if v.number]
        return {
            "type": "string",
            "title": desc.name,
            "enum": names,
            "description": " ".join(filter(None, told)),
        }

    def _claim(self, name: str, type_name: str) -> None:
        """Short names are unique in what is public; a second message of the same name would hide the first."""
        known = self._types.setdefault(name, type_name)
        assert known == type_name, f"{known} and {type_name} have the same short name"


def _fitting(keywords: Schema, field: DescField) -> Schema:
    """Keywords that go with the JSON form: bounds of numbers say nothing about 64-bit integers, which are text."""
    if kind_of(field) in _SCALARS or is_list(field) or isinstance(field.value, DescFieldValueMap):
        return keywords
    return {}
