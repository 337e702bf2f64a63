"""From a JSON value to what is stored: open this when the org should accept, refuse or print a value differently."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from connectors.salesforce.simulator.ids import to_id18

from . import errors
from .catalog.fields import NUMBER_TYPES, TEXT_TYPES, Field, Scalar

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INT_MAX = 2**31 - 1


def print_time(moment: datetime) -> str:
    """`2026-01-31T10:20:30.000+0000`: how the API prints a time, cut to the millisecond. Sorts like the time itself."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000"


def parse_time(text: str) -> datetime | None:
    """A time from ISO 8601 text; a date counts as its first moment, a missing zone as UTC. None when it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def to_stored(field: Field, value: object) -> Scalar:
    """The stored form of a JSON value for this field, None included. Raises SalesforceError as the org words it."""
    if value is None or value == "":
        return field.default if field.type == "boolean" else None
    if isinstance(value, dict | list):
        raise errors.json_parser_error(f"Unexpected structure for field {field.name}")
    if field.type in TEXT_TYPES:
        return _text(field, value)
    if field.type in NUMBER_TYPES:
        return _number(field, value)
    if field.type == "boolean":
        return _boolean(field, value)
    if field.type == "int":
        return _whole(field, value)
    if field.type == "date":
        return _date(field, value)
    if field.type == "datetime":
        return _time(field, value)
    return _reference(field, value)


def _text(field: Field, value: object) -> str | None:
    if not isinstance(value, str):
        raise errors.wrong_type(field.name, "string", value)
    text = value.strip()
    if len(text) > field.length:
        raise errors.too_long(field.label or field.name, field.name, text, field.length)
    if field.restricted and text not in field.values:
        raise errors.bad_picklist_value(field.label or field.name, field.name, text)
    if field.type == "email" and text and not _EMAIL.fullmatch(text):
        raise errors.invalid_email(field.name, text)
    return text or None


def _number(field: Field, value: object) -> Decimal:
    """Digits are kept as sent: the API does not round to the field's scale."""
    if isinstance(value, bool):
        raise errors.wrong_type(field.name, field.type, value)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise errors.wrong_type(field.name, field.type, value) from None
    if not number.is_finite() or abs(number) >= Decimal(10) ** (field.precision - field.scale):
        raise errors.number_out_of_range(field.label or field.name, field.name)
    return number


def _boolean(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise errors.wrong_type(field.name, "boolean", value)


def _whole(field: Field, value: object) -> int:
    number = _number(field, value)
    if number != number.to_integral_value():
        raise errors.wrong_type(field.name, "int", value)
    if abs(number) > _INT_MAX:
        raise errors.number_out_of_range(field.label or field.name, field.name)
    return int(number)


def _date(field: Field, value: object) -> str:
    text = str(value)
    try:
        if _DATE.match(text):
            return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        pass
    raise errors.wrong_type(field.name, "date", value)


def _time(field: Field, value: object) -> str:
    moment = parse_time(value) if isinstance(value, str) else None
    if moment is None:
        raise errors.wrong_type(field.name, "datetime", value)
    return print_time(moment)


def _reference(field: Field, value: object) -> str:
    id18 = to_id18(value) if isinstance(value, str) else None
    if id18 is None:
        raise errors.malformed_id(field.name, str(value))
    return id18
