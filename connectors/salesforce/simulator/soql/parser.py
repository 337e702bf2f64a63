"""Tokens to a tree: open this when a clause is refused or read wrongly. Nothing is looked up here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from connectors.salesforce.simulator import errors

from . import syntax
from .lexer import Token, tokens, unexpected
from .syntax import (
    Aggregate,
    Both,
    Compare,
    Comparison,
    Condition,
    Either,
    Member,
    Negated,
    Path,
    Query,
    Sort,
)

QUERY_LENGTH_MAX = 100_000
OFFSET_MAX = 2_000

_AGGREGATES = frozenset({"count", "count_distinct", "sum", "avg", "min", "max"})
_COMPARISONS: dict[str, Comparison] = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="
}  # fmt: skip
_CLAUSE_WORDS = frozenset(
    {"where", "group", "having", "order", "limit", "offset", "for", "all", "with", "using"}
)

T = TypeVar("T")


def parse(text: str) -> Query:
    """The tree of one whole query."""
    if len(text) > QUERY_LENGTH_MAX:
        raise errors.malformed_query(f"SOQL statements cannot be longer than {QUERY_LENGTH_MAX} characters.")
    parser = _Parser(tokens(text))
    query = parser.query()
    parser.expect_end()
    return query


class _Parser:
    """Recursive descent; one method per construct, top to bottom as the language nests."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    def query(self) -> Query:
        self._word("select")
        select = self._separated(self._select_item)
        self._word("from")
        source = self._name()
        alias = self._alias()
        where = self._condition() if self._take("where") else None
        group_by: tuple[Path, ...] = ()
        having = None
        if self._take("group"):
            self._word("by")
            group_by = self._separated(self._path)
            having = self._condition() if self._take("having") else None
        order_by: tuple[Sort, ...] = ()
        if self._take("order"):
            self._word("by")
            order_by = self._separated(self._sort)
        limit = self._count() if self._take("limit") else None
        offset = self._count() if self._take("offset") else 0
        if offset > OFFSET_MAX:
            raise errors.offset_too_big(OFFSET_MAX)
        if self._take("for"):  # FOR VIEW, FOR REFERENCE: they only note that somebody looked.
            self._name()
        return Query(select, source, alias, where, group_by, having, order_by, limit, offset)

    # select list

    def _select_item(self) -> Path | Aggregate | syntax.AllFields | Query:
        if self._take_operator("("):
            query = self.query()
            self._operator(")")
            return query
        if self._peek_call() == "fields":
            self._at += 2
            group = self._name().lower()
            self._operator(")")
            return syntax.AllFields(group)
        item = self._field_or_aggregate()
        if isinstance(item, Aggregate) and self._peek().kind == "name" and not self._is_word("from"):
            return Aggregate(item.function, item.path, self._name())
        return item

    def _field_or_aggregate(self) -> Path | Aggregate:
        function = self._peek_call()
        if function is None:
            return self._path()
        if function not in _AGGREGATES:
            raise unexpected(self._peek().text, self._peek().column)
        self._at += 2
        path = None if self._is_operator(")") else self._path()
        self._operator(")")
        return Aggregate(function, path)

    # conditions

    def _condition(self) -> Condition:
        first = self._negatable()
        for word, kind in (("and", Both), ("or", Either)):
            if self._is_word(word):
                parts = [first]
                while self._take(word):
                    parts.append(self._negatable())
                if self._is_word("and") or self._is_word("or"):  # Salesforce wants parentheses for a mixture.
                    raise unexpected(self._peek().text, self._peek().column)
                return kind(tuple(parts))
        return first

    def _negatable(self) -> Condition:
        if self._take("not"):
            return Negated(self._negatable())
        if self._take_operator("("):
            inner = self._condition()
            self._operator(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        left = self._field_or_aggregate()
        if self._take("like"):
            return Compare(left, "like", self._literal())
        negated = self._take("not")
        if self._take("in"):
            if isinstance(left, Aggregate):
                raise unexpected("IN", self._peek().column)
            return Member(left, self._members(), negated)
        token = self._next()
        operator = _COMPARISONS.get(token.text) if token.kind == "operator" and not negated else None
        if operator is None:
            raise unexpected(token.text, token.column)
        return Compare(left, operator, self._literal())

    def _members(self) -> tuple[syntax.Literal, ...] | Query:
        self._operator("(")
        values = self.query() if self._is_word("select") else self._separated(self._literal)
        self._operator(")")
        return values

    def _literal(self) -> syntax.Literal:
        token = self._next()
        if token.kind in ("string", "number", "date", "datetime"):
            return syntax.Literal(token.kind, token.text)
        word = token.text.lower()
        if token.kind != "name":
            raise unexpected(token.text, token.column)
        if word == "null":
            return syntax.Literal("null", "")
        if word in ("true", "false"):
            return syntax.Literal("boolean", word)
        days = f":{self._count()}" if self._take_operator(":") else ""
        return syntax.Literal("day", token.text.upper() + days)

    # order, numbers, names

    def _sort(self) -> Sort:
        by = self._field_or_aggregate()
        descending = self._take("desc")
        if not descending:
            self._take("asc")
        nulls_last = False
        if self._take("nulls"):
            nulls_last = self._take("last")
            if not nulls_last:
                self._word("first")
        return Sort(by, descending, nulls_last)

    def _count(self) -> int:
        token = self._next()
        if token.kind != "number" or not token.text.isdigit():
            raise unexpected(token.text, token.column)
        return int(token.text)

    def _path(self) -> Path:
        return tuple(self._name().split("."))

    def _alias(self) -> str:
        token = self._peek()
        if token.kind == "name" and token.text.lower() not in _CLAUSE_WORDS:
            return self._name()
        return ""

    def _name(self) -> str:
        token = self._next()
        if token.kind != "name":
            raise unexpected(token.text, token.column)
        return token.text

    # tokens

    def _separated(self, one: Callable[[], T]) -> tuple[T, ...]:
        found = [one()]
        while self._take_operator(","):
            found.append(one())
        return tuple(found)

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _peek_call(self) -> str | None:
        """The lower-case name when the next two tokens are `name (`."""
        here, after = self._tokens[self._at], self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return here.text.lower() if here.kind == "name" and after.text == "(" else None

    def _next(self) -> Token:
        token = self._peek()
        if token.kind != "end":
            self._at += 1
        return token

    def _is_word(self, word: str) -> bool:
        return self._peek().kind == "name" and self._peek().text.lower() == word

    def _is_operator(self, text: str) -> bool:
        return self._peek().kind == "operator" and self._peek().text == text

    def _take(self, word: str) -> bool:
        found = self._is_word(word)
        self._at += found
        return found

    def _take_operator(self, text: str) -> bool:
        found = self._is_operator(text)
        self._at += found
        return found

    def _word(self, word: str) -> None:
        if not self._take(word):
            raise unexpected(self._peek().text, self._peek().column)

    def _operator(self, text: str) -> None:
        if not self._take_operator(text):
            raise unexpected(self._peek().text, self._peek().column)

    def expect_end(self) -> None:
        if self._peek().kind != "end":
            raise unexpected(self._peek().text, self._peek().column)
