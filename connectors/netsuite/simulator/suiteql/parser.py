"""SuiteQL text to tree, by recursive descent; open it to teach the simulator a construct."""

import re
from decimal import Decimal

from connectors.netsuite.simulator.errors import NetSuiteError
from connectors.netsuite.simulator.suiteql.syntax import (
    All,
    Any,
    Call,
    Column,
    Comparison,
    Condition,
    Expression,
    In,
    IsNull,
    Literal,
    Not,
    Order,
    Output,
    Parameter,
    Query,
    Source,
    Star,
)

_TOKEN = re.compile(
    r"""\s+|--[^\n]*|/\*.*?\*/
    |(?P<text>'(?:[^']|'')*')
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    |(?P<sign><>|<=|>=|!=|[=<>(),?*+\-/|])""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FUNCTIONS = frozenset(
    {"TO_CHAR", "TO_DATE", "TO_TIMESTAMP", "NVL", "GREATEST", "ABS", "UPPER", "LOWER", "BUILTIN.DF", "COUNT"}
)
_RESERVED = frozenset(
    {
        "FROM",
        "WHERE",
        "ORDER",
        "JOIN",
        "INNER",
        "LEFT",
        "ON",
        "AND",
        "OR",
        "AS",
        "GROUP",
        "HAVING",
        "UNION",
        "FETCH",
    }
)


def invalid_query(detail: str) -> NetSuiteError:
    """How NetSuite refuses a query; seen in public client code."""
    title = "Invalid search query."
    return NetSuiteError(400, "USER_ERROR", f"Search error occurred: {detail}", title=title)


def parse(text: str) -> Query:
    """Raises NetSuiteError for whatever it does not understand."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0
        self._parameters = 0

    def query(self) -> Query:
        self._demand("SELECT")
        outputs = [self._output(1)]
        while self._take(","):
            outputs.append(self._output(len(outputs) + 1))
        self._demand("FROM")
        sources = [self._table(All(()), outer=False)]
        while (join := self._join()) is not None:
            sources.append(join)
        where = self._any() if self._take("WHERE") else All(())
        order: list[Order] = []
        if self._take("ORDER"):
            self._demand("BY")
            order.append(self._order())
            while self._take(","):
                order.append(self._order())
        if self._place < len(self._tokens):
            raise invalid_query(f"'{self._tokens[self._place]}' is not understood.")
        return Query(tuple(outputs), tuple(sources), where, tuple(order))

    # Clauses

    def _output(self, number: int) -> Output:
        expression = self._expression()
        if self._take("AS") or self._at_name():
            return Output(expression, self._name().lower())
        name = expression.name if isinstance(expression, Column) else f"expr{number}"
        return Output(expression, name)

    def _join(self) -> Source | None:
        outer = self._take("LEFT")
        if outer:
            self._take("OUTER")
        elif not self._take("INNER") and self._peek() != "JOIN":
            return None
        self._demand("JOIN")
        source = self._table(All(()), outer=outer)
        self._demand("ON")
        return Source(source.table, source.alias, self._any(), outer)

    def _table(self, on: Condition, *, outer: bool) -> Source:
        table = self._name().lower()
        if self._take("AS") or self._at_name():
            return Source(table, self._name().lower(), on, outer)
        return Source(table, table, on, outer)

    def _order(self) -> Order:
        expression = self._expression()
        descending = self._take("DESC")
        if not descending:
            self._take("ASC")
        return Order(expression, descending)

    # Conditions, weakest binding first

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Condition:
        if self._take("NOT"):
            return Not(self._one())
        if self._take("("):
            inner = self._any()
            self._demand(")")
            return inner
        return self._comparison(self._expression())

    def _comparison(self, left: Expression) -> Condition:
        if self._take("IS"):
            negated = self._take("NOT")
            self._demand("NULL")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self._take("NOT")
        condition: Condition
        if self._take("IN"):
            condition = In(left, tuple(self._list()))
        elif self._take("BETWEEN"):
            low = self._expression()
            self._demand("AND")
            condition = All((Comparison(">=", left, low), Comparison("<=", left, self._expression())))
        elif self._take("LIKE"):
            condition = Comparison("LIKE", left, self._expression())
        else:
            sign = self._next()
            if negated or sign not in _COMPARISONS:
                raise invalid_query(f"'{sign}' is not understood.")
            return Comparison(_COMPARISONS[sign], left, self._expression())
        return Not(condition) if negated else condition

    def _list(self) -> list[Expression]:
        self._demand("(")
        options = [self._expression()]
        while self._take(","):
            options.append(self._expression())
        self._demand(")")
        return options

    # Expressions

    def _expression(self) -> Expression:
        token = self._next()
        if token == "?":  # noqa: S105  the sign of a parameter
            self._parameters += 1
            return Parameter(self._parameters - 1)
        if token == "-" and self._peek()[:1].isdigit():  # noqa: S105
            return Literal(-Decimal(self._next()))
        if token.startswith("'"):
            return Literal(token[1:-1].replace("''", "'"))
        if token[0].isdigit():
            return Literal(Decimal(token))
        if not (token[0].isalpha() or token[0] == "_") or token.upper() in _RESERVED:
            raise invalid_query(f"'{token}' is not understood.")
        if self._take("("):
            return self._call(token.upper())
        if token.upper() in ("SYSDATE", "CURRENT_TIMESTAMP"):
            return Call("SYSDATE", ())
        if token.upper() == "NULL":
            return Literal(None)
        alias, _, name = token.lower().rpartition(".")
        return Column(alias, name)

    def _call(self, name: str) -> Expression:
        if name not in _FUNCTIONS:
            raise invalid_query(f"Function '{name}' is not supported.")
        arguments: list[Expression] = []
        if self._take("*"):
            arguments.append(Star())
        else:
            arguments.append(self._expression())
            while self._take(","):
                arguments.append(self._expression())
        self._demand(")")
        return Call(name, tuple(arguments))

    # Tokens

    def _peek(self) -> str:
        return self._tokens[self._place].upper() if self._place < len(self._tokens) else ""

    def _next(self) -> str:
        if self._place == len(self._tokens):
            raise invalid_query("The query ends too early.")
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._place += 1
        return True

    def _demand(self, word: str) -> None:
        if not self._take(word):
            raise invalid_query(f"{word} expected near '{self._peek().lower()}'.")

    def _at_name(self) -> bool:
        token = self._peek()
        return bool(token) and (token[0].isalpha() or token[0] == "_") and token not in _RESERVED

    def _name(self) -> str:
        token = self._next()
        if not (token[0].isalpha() or token[0] == "_"):
            raise invalid_query(f"A name is expected near '{token}'.")
        return token


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise invalid_query(f"'{text[place]}' is not understood.")
        if match.lastgroup is not None:
            tokens.append(match.group())
        place = match.end()
    return tokens
