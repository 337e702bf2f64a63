"""Whether a record matches a WHERE or HAVING: open this when a comparison answers wrongly.

`compile_condition` checks the whole condition against the object first, so that a bad field or a literal of the wrong
type is refused even when there is no record to try it on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeAlias

from connectors.salesforce.simulator import errors
from connectors.salesforce.simulator.catalog import Field
from connectors.salesforce.simulator.catalog.fields import NUMBER_TYPES, Scalar
from connectors.salesforce.simulator.ids import to_id18
from connectors.salesforce.simulator.values import parse_time, print_time

from .lexer import like_pattern, unescape
from .syntax import Aggregate, Both, Comparison, Condition, Either, Literal, Member, Negated, Path, Query

Row: TypeAlias = Callable[[Path | Aggregate], Scalar]  # What a row holds in a place a condition names.
Test: TypeAlias = Callable[[Row], bool]
FieldOf: TypeAlias = Callable[[Path | Aggregate], Field]
Listed: TypeAlias = Callable[[Query], list[Scalar]]  # The values a sub-query of one field gives.


class Compiler:
    """Turns conditions of one query into tests. today: the date that TODAY means, UTC."""

    def __init__(self, field_of: FieldOf, listed: Listed, today: date) -> None:
        self._field_of = field_of
        self._listed = listed
        self._today = today

    def test(self, condition: Condition) -> Test:
        if isinstance(condition, Both):
            all_of = [self.test(part) for part in condition.parts]
            return lambda row: all(each(row) for each in all_of)
        if isinstance(condition, Either):
            any_of = [self.test(part) for part in condition.parts]
            return lambda row: any(each(row) for each in any_of)
        if isinstance(condition, Negated):
            inner = self.test(condition.part)
            return lambda row: not inner(row)
        if isinstance(condition, Member):
            return self._member(condition)
        return self._compare(condition.left, condition.operator, condition.right)

    def _member(self, condition: Member) -> Test:
        field = self._field_of(condition.left)
        if isinstance(condition.values, Query):
            wanted = {comparable(field, value) for value in self._listed(condition.values)}
        else:
            wanted = {comparable(field, stored_literal(field, each)) for each in condition.values}
        left, negated = condition.left, condition.negated
        return lambda row: (comparable(field, row(left)) in wanted) is not negated

    def _compare(self, left: Path | Aggregate, comparison: Comparison, right: Literal) -> Test:
        field = self._field_of(left)
        if comparison == "like":
            return _like(left, field, right)
        if right.kind == "day":
            return self._day(left, field, comparison, right)
        wanted = comparable(field, stored_literal(field, right))
        if comparison == "=":
            return lambda row: comparable(field, row(left)) == wanted
        if comparison == "!=":
            return lambda row: comparable(field, row(left)) != wanted

        def test(row: Row) -> bool:
            value = comparable(field, row(left))
            return value is not None and wanted is not None and _ordered(value, comparison, wanted)

        return test

    def _day(self, left: Path | Aggregate, field: Field, comparison: Comparison, right: Literal) -> Test:
        """A day word stands for a span: `=` means inside it, `<` before its start, `>` after its end."""
        first, last = _span(right.text, self._today)
        start, end = first.isoformat(), (last + timedelta(days=1)).isoformat()
        if field.type not in ("date", "datetime"):
            raise errors.wrong_filter_type(field.name, field.type, quoted=False)

        def test(row: Row) -> bool:
            value = row(left)
            if not isinstance(value, str):
                return comparison == "!="
            inside = start <= value < end
            return {
                "=": inside,
                "!=": not inside,
                "<": value < start,
                "<=": value < end,
                ">": value >= end,
                ">=": value >= start,
            }[comparison]

        return test


def _ordered(value: Scalar, comparison: Comparison, wanted: Scalar) -> bool:
    """Both are of one kind: a field's stored literal has the kind of its values."""
    texts = isinstance(value, str) and isinstance(wanted, str)
    if not texts and not (isinstance(value, Decimal) and isinstance(wanted, Decimal)):
        return False
    less, same = value < wanted, value == wanted  # type: ignore[operator]  # mypy does not follow `texts`.
    return {"<": less, "<=": less or same, ">": not (less or same), ">=": not less}.get(comparison, False)


def _like(left: Path | Aggregate, field: Field, right: Literal) -> Test:
    if right.kind != "string":
        raise errors.wrong_filter_type(field.name, "string", quoted=False)
    pattern = like_pattern(right.text)
    return lambda row: isinstance(value := row(left), str) and pattern.fullmatch(value) is not None


def _span(word: str, today: date) -> tuple[date, date]:
    """First and last day of a word. LAST_N_DAYS:n ends today, NEXT_N_DAYS:n begins tomorrow."""
    name, _, number = word.partition(":")
    days = timedelta(days=int(number or 1))
    spans = {
        "TODAY": (today, today),
        "YESTERDAY": (today - days, today - days),
        "TOMORROW": (today + days, today + days),
        "LAST_N_DAYS": (today - days, today),
        "NEXT_N_DAYS": (today + timedelta(days=1), today + days),
    }
    if name not in spans:
        raise errors.malformed_query(f"unexpected token: {word}")
    return spans[name]


def stored_literal(field: Field, literal: Literal) -> Scalar:
    """A literal as the field would store it. Raises INVALID_FIELD when its kind does not fit, as Salesforce does."""
    if literal.kind == "null":
        return None
    quoted = literal.kind == "string"
    if field.type in NUMBER_TYPES or field.type == "int":
        if literal.kind == "number":
            return Decimal(literal.text)
    elif field.type == "datetime":
        moment = parse_time(literal.text) if literal.kind == "datetime" else None
        if moment is not None:
            return print_time(moment)
    elif field.type in ("date", "boolean"):
        if literal.kind == field.type:
            return literal.text == "true" if literal.kind == "boolean" else literal.text
    elif quoted:
        return unescape(literal.text)
    raise errors.wrong_filter_type(field.name, _SOQL_TYPES.get(field.type, field.type), quoted)


_SOQL_TYPES = {
    "datetime": "dateTime",
    "picklist": "string",
    "reference": "ID",
    "id": "ID",
    "textarea": "string",
}


def comparable(field: Field, value: Scalar) -> Scalar:
    """What two values are compared by: ids on 18 characters, text without its case, numbers by size."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        if field.type in ("id", "reference"):
            return to_id18(value) or value
        return value if field.type in ("date", "datetime") else value.casefold()
    return Decimal(value)
