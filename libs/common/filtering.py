"""Filters of list methods, a part of AIP-160. Open this file to learn which filters are understood, and how.

    state = POSTED AND customerId = cus_01…                 all of it
    state = POSTED OR state = ACCEPTED                      one of several values of one field
    (state = POSTED OR state = ACCEPTED) AND erpNumber != ""   OR binds tighter than AND, as AIP-160 wants it
    updateTime >= "2026-11-21T00:00:00Z"                    times are compared

A value is one word or a text in quotes, as JSON writes it. What is not understood is refused with its position.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from libs.common.errors import Refused

EQUALS, DIFFERS = "=", "!="
ORDERED = ("<", "<=", ">", ">=")
TERMS_MAX = 10
SHOWN_CHARACTERS_MAX = 40
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<operator><=|>=|!=|=|<|>)|(?P<bracket>[()])'
    r'|(?P<word>[^\s"()=<>!]+))'
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Filterable:
    """A field that a list may be filtered by."""

    column: str
    operators: tuple[str, ...] = (EQUALS, DIFFERS)
    values: frozenset[str] = frozenset()
    """Names it can have, where it is an enum; they are understood with their prefix too, as answers write them."""
    is_time: bool = False
    has_alternatives: bool = True
    """Whether OR may join several values."""

    @classmethod
    def states(cls, names: Sequence[str], column: str = "state") -> "Filterable":
        """A state, by the names of the domain: `POSTED` and `ORDER_STATE_POSTED` are the same."""
        return cls(column, values=frozenset(names))

    @classmethod
    def time(cls, column: str) -> "Filterable":
        """A time, compared with RFC 3339 text."""
        return cls(column, ORDERED, is_time=True)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on one column."""

    column: str
    operator: str
    values: tuple[str, ...] | datetime
    """One value or, with `=`, several of which one must be met; with `<` and its like a time."""

    @property
    def text(self) -> str:
        """The one value of an equality."""
        assert isinstance(self.values, tuple)
        return self.values[0]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _Condition:
    name: _Token
    operator: _Token
    value: str | datetime


def parse_filter(text: str, fields: Mapping[str, Filterable] | Mapping[str, str]) -> tuple[Term, ...]:
    """All conditions of the filter. fields: a column alone is text that is compared for equality.

    Refused with FILTER_INVALID, which says where and what was expected there.
    """
    known = {
        name: Filterable(field, (EQUALS,), has_alternatives=False) if isinstance(field, str) else field
        for name, field in fields.items()
    }
    tokens = _Tokens(text)
    if tokens.next.kind == "end":
        return ()
    terms: list[Term] = []
    while True:
        at = tokens.next.at
        term = _clause(tokens, known)
        if any((term.column, term.operator) == (other.column, other.operator) for other in terms):
            _refuse(at, "the field is named twice; values of one field are joined by OR")
        if len(terms) == TERMS_MAX:
            _refuse(at, f"there are more than {TERMS_MAX} conditions")
        terms.append(term)
        joint = tokens.take()
        if joint.kind == "end":
            return tuple(terms)
        if joint.text != "AND":
            _refuse(joint.at, f"AND or the end was expected, not {_shown(joint)}")


class _Tokens:
    """The text piece by piece, one ahead."""

    def __init__(self, text: str) -> None:
        self._pieces = _pieces(text)
        self.next = next(self._pieces)

    def take(self) -> _Token:
        taken = self.next
        if taken.kind != "end":
            self.next = next(self._pieces)
        return taken


def _pieces(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            _refuse(at, "a quoted value does not end" if text[at] == '"' else "this cannot be read")
        kind = str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind))
        position = match.end()
    yield _Token("end", "", end)


def _clause(tokens: _Tokens, known: Mapping[str, Filterable]) -> Term:
    """One condition, or several on one field joined by OR, in brackets or not."""
    is_bracketed = tokens.next.text == "(" and tokens.next.kind == "bracket"
    if is_bracketed:
        tokens.take()
    first = _condition(tokens, known)
    values = [first.value]
    while tokens.next.kind == "word" and tokens.next.text == "OR":
        joint = tokens.take()
        if not known[first.name.text].has_alternatives:
            _refuse(joint.at, f"{first.name.text} takes one value in this list")
        other = _condition(tokens, known)
        if other.name.text != first.name.text or {first.operator.text, other.operator.text} != {EQUALS}:
            _refuse(other.name.at, f"OR joins values of one field: {first.name.text} = … was expected")
        values.append(other.value)
    if len(values) > TERMS_MAX:
        _refuse(first.name.at, f"there are more than {TERMS_MAX} values")
    if is_bracketed:
        closing = tokens.take()
        if closing.text != ")" or closing.kind != "bracket":
            _refuse(closing.at, f"a closing bracket was expected, not {_shown(closing)}")
    column, operator = known[first.name.text].column, first.operator.text
    if isinstance(first.value, datetime):
        return Term(column, operator, first.value)
    return Term(column, operator, tuple(str(value) for value in values))


def _condition(tokens: _Tokens, known: Mapping[str, Filterable]) -> _Condition:
    name = tokens.take()
    if name.kind != "word" or not _NAME.fullmatch(name.text):
        _refuse(name.at, f"the name of a field was expected, not {_shown(name)}")
    if name.text not in known:
        _refuse(name.at, f"the list knows {', '.join(sorted(known))} and not {_shown(name)}")
    field = known[name.text]
    operator = tokens.take()
    if operator.kind != "operator" or operator.text not in field.operators:
        _refuse(
            operator.at,
            f"{name.text} is compared by {' '.join(field.operators)}, not by {_shown(operator)}",
        )
    return _Condition(name, operator, _value(tokens.take(), name.text, field))


def _value(token: _Token, name: str, field: Filterable) -> str | datetime:
    if token.kind not in ("word", "text"):
        _refuse(token.at, f"a value was expected, not {_shown(token)}")
    text = token.text if token.kind == "word" else _unquoted(token)
    if not is_storable(text):
        _refuse(token.at, "the value holds a character that no text can hold")
    if field.is_time:
        return _time(text, token.at)
    if not field.values or text in field.values:
        return text
    bare = text.partition("_STATE_")[2]
    if bare not in field.values:
        _refuse(token.at, f"{name} is one of {', '.join(sorted(field.values))}")
    return bare


def is_storable(text: str) -> bool:
    """False for NUL and for halves of characters, which the database takes in no text."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _time(text: str, at: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _refuse(at, 'a time with zone was expected, such as "2026-11-21T08:00:00Z"')
    if moment.tzinfo is None:
        _refuse(at, "the time has no zone; end it with Z")
    return moment


def _unquoted(token: _Token) -> str:
    try:
        return str(json.loads(token.text))
    except ValueError:
        _refuse(token.at, "the quoted value is not written as in JSON")


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else f"`{token.text[:SHOWN_CHARACTERS_MAX]}`"


def _refuse(at: int, description: str) -> NoReturn:
    raise Refused.field("FILTER_INVALID", "filter", f"at character {at + 1}: {description}")
