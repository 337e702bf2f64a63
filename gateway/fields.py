"""Fields of a message by the names callers use. Open this file to see how JSON names and contract names meet."""

from collections.abc import Mapping
from functools import cache

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    DescOneof,
    ScalarType,
)

JsonScalar = str | int | float | bool | None
JsonValue = JsonScalar | list["JsonValue"] | dict[str, "JsonValue"]

Kind = ScalarType | DescEnum | DescMessage
WELL_KNOWN = "google.protobuf."
"""Messages of this package have a JSON form of their own: times are text."""


@cache
def fields_by_name(desc: DescMessage) -> Mapping[str, DescField]:
    """Fields by both spellings, `unitPrice` and `unit_price`."""
    return {name: field for field in desc.fields for name in (field.name, field.json_name)}


@cache
def oneof_of(field: DescField) -> DescOneof | None:
    """The oneof a field belongs to, proto3 `optional` not counted."""
    match field.value:
        case (
            DescFieldValueScalar(oneof=oneof)
            | DescFieldValueMessage(oneof=oneof)
            | DescFieldValueEnum(oneof=oneof)
        ):
            return oneof
    return None


def kind_of(field: DescField) -> Kind | None:
    """What a field, or each element of a list, is made of. None for maps."""
    match field.value:
        case DescFieldValueScalar(scalar=scalar):
            return scalar
        case DescFieldValueEnum(enum=enum):
            return enum
        case DescFieldValueMessage(message=message):
            return message
        case DescFieldValueList(element=element):
            return element
    return None


def is_list(field: DescField) -> bool:
    return isinstance(field.value, DescFieldValueList)
