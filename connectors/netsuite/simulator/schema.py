"""Fields: how the JSON of a request becomes a checked record. Open it to change what a body may look like.

A record type is a `Shape`: its fields by lower-case name, because NetSuite reads names in any case and prints
them in camelCase. Checked values are plain: a reference is the referenced id, an enum its letter, a number a
`Decimal`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum

from connectors.kit.simulator import JsonObject
from connectors.netsuite.simulator.errors import NetSuiteError, invalid_value


class Type(Enum):
    TEXT = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    REF = "reference"
    ENUM = "enum"
    SUBRECORD = "subrecord"
    SUBLIST = "sublist"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. refers: the record type a REF points to, empty when the simulator keeps no such list."""

    name: str
    type: Type
    read_only: bool = False
    refers: str = ""
    choices: Mapping[str, str] | None = None
    shape: "Shape | None" = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a record, a sublist line or a subrecord, by lower-case name."""

    fields: Mapping[str, Field]

    def field(self, name: str) -> Field | None:
        return self.fields.get(name.lower())

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields.values())


def shape(  # noqa: PLR0913  one argument per type of field
    *,
    text: str = "",
    number: str = "",
    integer: str = "",
    boolean: str = "",
    date: str = "",
    datetime: str = "",
    ref: Mapping[str, str] | None = None,
    enum: Mapping[str, Mapping[str, str]] | None = None,
    subrecord: Mapping[str, Shape] | None = None,
    sublist: Mapping[str, Shape] | None = None,
    read_only: str = "",
) -> Shape:
    """A shape from names separated by blanks; `read_only` names fields declared under the other arguments."""
    locked = frozenset(read_only.split())
    words = {
        Type.TEXT: text,
        Type.NUMBER: number,
        Type.INTEGER: integer,
        Type.BOOLEAN: boolean,
        Type.DATE: date,
        Type.DATETIME: datetime,
    }
    fields = [Field(name, kind, name in locked) for kind, names in words.items() for name in names.split()]
    fields += [Field(name, Type.REF, name in locked, refers=to) for name, to in (ref or {}).items()]
    fields += [Field(name, Type.ENUM, name in locked, choices=ids) for name, ids in (enum or {}).items()]
    fields += [
        Field(name, Type.SUBRECORD, name in locked, shape=of) for name, of in (subrecord or {}).items()
    ]
    fields += [Field(name, Type.SUBLIST, name in locked, shape=of) for name, of in (sublist or {}).items()]
    undeclared = locked - {field.name for field in fields}
    assert not undeclared, f"read-only but not declared: {sorted(undeclared)}"
    return Shape({field.name.lower(): field for field in fields})


Resolve = Callable[[str, JsonObject], str | None]
"""Record type and `{"id": …}` or `{"externalId": …}` to the id; None when there is no such record."""


@dataclass(slots=True)
class Reader:
    """Reads one request body. unknown: paths of the names that no field has, for the property name check."""

    resolve: Resolve
    unknown: list[str]

    def read(self, shape: Shape, body: Mapping[str, object], prefix: str = "") -> JsonObject:
        """The named fields with checked values; read-only ones and `links` are dropped. None means: clear it.

        Raises NetSuiteError for a value that does not fit.
        """
        record: JsonObject = {}
        for name, value in body.items():
            if name == "links":
                continue
            field = shape.field(name)
            if field is None:
                self.unknown.append(prefix + name)
            elif not field.read_only:
                record[field.name] = None if value is None else self._value(field, value, prefix + name)
        return record

    def _value(self, field: Field, value: object, path: str) -> object:
        if field.type is Type.REF:
            return self._reference(field, value, path)
        if field.type is Type.SUBRECORD:
            assert field.shape is not None
            return self.read(field.shape, _object(field, value, path), path + ".")
        if field.type is Type.SUBLIST:
            return self._lines(field, value, path)
        if field.type is Type.ENUM:
            return _choice(field, value, path)
        try:
            return _SCALARS[field.type](value)
        except (ValueError, InvalidOperation):
            raise invalid_value(value, field.name, path) from None

    def _lines(self, field: Field, value: object, path: str) -> list[object]:
        assert field.shape is not None
        items = _object(field, value, path).get("items", [])
        if not isinstance(items, list):
            raise invalid_value(items, field.name, path)
        lines: list[object] = []
        for number, item in enumerate(items):
            place = f"{path}.items[{number}]"
            lines.append(self.read(field.shape, _object(field, item, place), place + "."))
        return lines

    def _reference(self, field: Field, value: object, path: str) -> str:
        named: JsonObject = dict(value) if isinstance(value, dict) else {"id": value}
        shown = named.get("id", named.get("externalId"))
        if not isinstance(shown, str | int) or isinstance(shown, bool):
            raise invalid_value(shown, field.name, path)
        if not field.refers:
            return str(shown)
        found = self.resolve(field.refers, named)
        if found is None:
            raise invalid_value(shown, field.name, path)
        return found


def _object(field: Field, value: object, path: str) -> JsonObject:
    if not isinstance(value, dict):
        raise invalid_value(value, field.name, path)
    return value


def _choice(field: Field, value: object, path: str) -> str:
    """Enums come as `"B"` or `{"id": "B"}`."""
    assert field.choices is not None
    chosen = value.get("id") if isinstance(value, dict) else value
    if not isinstance(chosen, str) or (field.choices and chosen not in field.choices):
        raise invalid_value(chosen, field.name, path)
    return chosen


def _text(value: object) -> str:
    if isinstance(value, dict | list | bool):
        raise ValueError
    return str(value)


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError
    return number


def _integer(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _boolean(value: object) -> bool:
    if value in (True, "T", "true"):
        return True
    if value in (False, "F", "false"):
        return False
    raise ValueError


def _date(value: object) -> str:
    return date.fromisoformat(_text(value)).isoformat()


def _datetime(value: object) -> str:
    return datetime.fromisoformat(_text(value)).isoformat()


_SCALARS: Mapping[Type, Callable[[object], object]] = {
    Type.TEXT: _text,
    Type.NUMBER: _number,
    Type.INTEGER: _integer,
    Type.BOOLEAN: _boolean,
    Type.DATE: _date,
    Type.DATETIME: _datetime,
}


def check_names(unknown: list[str], mode: str) -> None:
    """mode: the header `X-NetSuite-PropertyNameValidation`. Raises NetSuiteError for `Error` with unknown names."""
    if mode not in ("Error", "Warning", "Ignore"):
        detail = f"Invalid value '{mode}' of the header X-NetSuite-PropertyNameValidation."
        raise NetSuiteError(400, "INVALID_HEADER", detail, header="X-NetSuite-PropertyNameValidation")
    if unknown and mode == "Error":
        detail = f"Error while accessing a resource. Unknown property name: {', '.join(unknown)}."
        raise NetSuiteError(400, "INVALID_CONTENT", detail, path=unknown[0])
