"""Where a JSON body is wrong. Open this file to change what a caller is told about a body that cannot be read.

Runs only when the compiled parser has refused a body, or when something in it is suspicious; it walks the text once
more in Python, with the contract beside it, and says each fault with its place. Values are never repeated.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import NoReturn

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueMap,
    DescMessage,
    DescOneof,
    ScalarType,
    message_from_json_value,
)

from gateway.fields import WELL_KNOWN, JsonValue, Kind, fields_by_name, is_list, kind_of, oneof_of
from gateway.pointers import pointer_into
from libs.common.errors import Refused, Violation

FAULTS_MAX = 20
NAME_CHARACTERS_MAX = 100
Path = tuple[str | int, ...]

_INTEGER = re.compile(r"-?\d{1,20}")
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,2})?")
"""What is worth a look; a longer one is no integer of ours."""
_RANGES = {
    ScalarType.INT32: (-(2**31), 2**31 - 1),
    ScalarType.SINT32: (-(2**31), 2**31 - 1),
    ScalarType.SFIXED32: (-(2**31), 2**31 - 1),
    ScalarType.INT64: (-(2**63), 2**63 - 1),
    ScalarType.SINT64: (-(2**63), 2**63 - 1),
    ScalarType.SFIXED64: (-(2**63), 2**63 - 1),
    ScalarType.UINT32: (0, 2**32 - 1),
    ScalarType.FIXED32: (0, 2**32 - 1),
    ScalarType.UINT64: (0, 2**64 - 1),
    ScalarType.FIXED64: (0, 2**64 - 1),
}


class _Number(str):
    """A JSON number as written; turning it into a number could cost hours."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object with all its pairs, repeated names included."""

    pairs: "list[tuple[str, _Json]]"


_Json = str | _Number | bool | None | _Object | list["_Json"]


def diagnose(text: bytes, desc: DescMessage) -> Refused:
    """Why the parser refused this text; each violation's field is a JSON pointer already."""
    try:
        faults = faults_in(text, desc)
    except Refused as refused:
        return refused
    if not faults:
        return _refusal("MALFORMED_BODY", "the body cannot be read", ())
    return refusal_of_faults(faults)


def refusal_of_faults(faults: list[Violation]) -> Refused:
    """One refusal for all faults found: what cannot be understood goes before what has the wrong type."""
    reasons = {fault.reason for fault in faults}
    reason = "MALFORMED_BODY" if "MALFORMED_BODY" in reasons else "INVALID_FIELD"
    return Refused(reason, f"{faults[0].field}: {faults[0].description}", violations=faults)


def faults_in(text: bytes, desc: DescMessage) -> list[Violation]:
    """The first faults, none when the text is a message of this type. Raises Refused when it is no JSON at all."""
    return list(islice(_message(_parsed(text), desc, ()), FAULTS_MAX))


def _parsed(text: bytes) -> _Json:
    try:
        value: _Json = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_Object,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_no_constant,
        )
        return value
    except UnicodeDecodeError as error:
        raise _refusal("MALFORMED_BODY", f"byte {error.start + 1} is not UTF-8", ()) from None
    except json.JSONDecodeError as error:
        detail = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise _refusal("MALFORMED_BODY", detail, ()) from None


def _no_constant(name: str) -> NoReturn:
    raise _refusal("MALFORMED_BODY", f"{name} is not JSON", ())


def _message(value: _Json, desc: DescMessage, path: Path) -> Iterator[Violation]:
    if desc.type_name.startswith(WELL_KNOWN):
        yield from _well_known(value, desc, path)
        return
    if not isinstance(value, _Object):
        yield _fault("INVALID_FIELD", "an object is expected", path)
        return
    seen: dict[DescField | DescOneof, str] = {}
    for name, inner in value.pairs:
        here = (*path, _shown(name))
        field = fields_by_name(desc).get(name)
        if field is None:
            yield _fault("MALFORMED_BODY", "there is no such field", here)
            continue
        if field in seen:
            yield _fault("MALFORMED_BODY", "the field is named twice", here)
            continue
        seen[field] = name
        if inner is None:
            continue
        choice = oneof_of(field)
        if choice is not None and choice in seen:
            yield _fault("MALFORMED_BODY", f"{seen[choice]} excludes it; state one of the two", here)
            continue
        if choice is not None:
            seen[choice] = name
        yield from _field(inner, field, here)


def _field(value: _Json, field: DescField, path: Path) -> Iterator[Violation]:
    kind = kind_of(field)
    if isinstance(field.value, DescFieldValueMap):
        yield from _map(value, field.value, path)
    elif kind is not None and not is_list(field):
        yield from _single(value, kind, path)
    elif not isinstance(value, list):
        yield _fault("INVALID_FIELD", "a list is expected", path)
    elif kind is not None:
        for index, element in enumerate(value):
            yield from _single(element, kind, (*path, index))


def _map(value: _Json, declared: DescFieldValueMap, path: Path) -> Iterator[Violation]:
    if not isinstance(value, _Object):
        yield _fault("INVALID_FIELD", "an object is expected", path)
        return
    seen: set[str] = set()
    for name, inner in value.pairs:
        here = (*path, _shown(name))
        if name in seen:
            yield _fault("MALFORMED_BODY", "the key is named twice", here)
        seen.add(name)
        yield from _text(name, here)
        yield from _single(inner, declared.value, here)


def _single(value: _Json, kind: Kind, path: Path) -> Iterator[Violation]:
    if value is None:
        yield _fault("INVALID_FIELD", "null has no place here", path)
    elif isinstance(kind, DescMessage):
        yield from _message(value, kind, path)
    elif isinstance(kind, DescEnum):
        yield from _enum(value, kind, path)
    elif kind is ScalarType.STRING:
        yield from _text(value, path)
    elif kind is ScalarType.BOOL:
        if not isinstance(value, bool):
            yield _fault("INVALID_FIELD", "true or false is expected", path)
    elif kind in _RANGES:
        yield from _integer(value, kind, path)
    else:
        yield from _as_parser_says(value, kind, path)


def _text(value: _Json, path: Path) -> Iterator[Violation]:
    if not isinstance(value, str) or isinstance(value, _Number):
        yield _fault("INVALID_FIELD", "text is expected", path)
    elif "\x00" in value:
        yield _fault("INVALID_FIELD", "the character NUL is not taken", path)
    elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield _fault("MALFORMED_BODY", "half of a surrogate pair is no character", path)


def _enum(value: _Json, desc: DescEnum, path: Path) -> Iterator[Violation]:
    names = {declared.name for declared in desc.values}
    is_number = isinstance(value, _Number) and _INTEGER.fullmatch(value)
    if not is_number and (not isinstance(value, str) or value not in names):
        yield _fault("INVALID_FIELD", f"one of {', '.join(sorted(names)[:20])} is expected", path)


def _integer(value: _Json, kind: ScalarType, path: Path) -> Iterator[Violation]:
    lowest, highest = _RANGES[kind]
    number = Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None
    if number is None or number != number.to_integral_value():
        yield _fault("INVALID_FIELD", "an integer is expected", path)
    elif not lowest <= number <= highest:
        yield _fault("INVALID_FIELD", f"an integer from {lowest} to {highest} is expected", path)
    elif not _INTEGER.fullmatch(str(value)) and float(number) != number:
        yield _fault("INVALID_FIELD", "an integer of that size is stated by its digits alone", path)


def _well_known(value: _Json, desc: DescMessage, path: Path) -> Iterator[Violation]:
    try:
        message_from_json_value(desc.type, _plain(value))
    except (ValueError, TypeError, OverflowError):
        name = desc.name.lower()
        forms = {
            "timestamp": "a time as in RFC 3339",
            "duration": 'a span such as "2.5s"',
            "fieldmask": "field names",
        }
        yield _fault("INVALID_FIELD", f"{forms.get(name, desc.name)} is expected", path)


def _as_parser_says(value: _Json, kind: ScalarType, path: Path) -> Iterator[Violation]:
    if kind is ScalarType.BYTES:
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9+/_-]*={0,2}", value):
            yield _fault("INVALID_FIELD", "base64 text is expected", path)
    elif not isinstance(value, _Number):
        yield _fault("INVALID_FIELD", "a number is expected", path)


def _plain(value: _Json) -> JsonValue:
    if isinstance(value, _Object):
        return {name: _plain(inner) for name, inner in value.pairs}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, _Number):
        return float(value)
    return value


def _shown(name: str) -> str:
    """A name as it may stand in an answer: short, and without half characters."""
    return name[:NAME_CHARACTERS_MAX].encode("utf-8", "replace").decode()


def _fault(reason: str, description: str, path: Path) -> Violation:
    return Violation(pointer_into(*path), description, reason)


def _refusal(reason: str, detail: str, path: Path) -> Refused:
    return Refused(reason, detail, violations=[Violation(pointer_into(*path), detail, reason)])
