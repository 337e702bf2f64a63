"""Runs a parsed query over the tables; open it for what an expression or a comparison means.

Rows are joined from left to right. A table is asked for few rows where the conditions allow it: by a looked-up column
(`id = ?`, `transaction IN (…)`, `ON l.nextdoc = t.id`) or by `lastmodifieddate >= …`; every condition is checked all
the same, so a shortcut can never change a result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial

from connectors.netsuite.simulator.account import Account
from connectors.netsuite.simulator.suiteql.functions import call, matches_like, printed
from connectors.netsuite.simulator.suiteql.parser import invalid_query
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
    Parameter,
    Query,
    Source,
    Star,
)
from connectors.netsuite.simulator.suiteql.tables import TABLES, Row, Scalar, Table

_CLOCK_CHANGE_MAX = timedelta(hours=2)
"""A local time is ambiguous by at most this: shortcuts by time start so much earlier."""

Joined = dict[str, Row | None]
"""One row of the join: alias → source; None where a LEFT JOIN found nothing."""


def run(account: Account, query: Query, parameters: Sequence[str]) -> list[dict[str, str]]:
    """All rows, as printed. Raises NetSuiteError for names that no table has."""
    outputs = {output.name: output.expression for output in query.outputs}
    order = tuple(_by_output_name(entry, outputs) for entry in query.order)
    job = _Run(account, replace(query, order=order), parameters)
    job.check_names()
    return job.rows()


def _by_output_name(order: Order, outputs: Mapping[str, Expression]) -> Order:
    """ORDER BY may name a column of the result."""
    by = order.expression
    return (
        replace(order, expression=outputs.get(by.name, by))
        if isinstance(by, Column) and not by.alias
        else order
    )


@dataclass(frozen=True, slots=True)
class _Run:
    account: Account
    query: Query
    parameters: Sequence[str]

    def rows(self) -> list[dict[str, str]]:
        found: Iterable[Joined] = [{}]
        for source in self.query.sources:
            found = self._joined(found, source)
        kept = [row for row in found if self._holds(self.query.where, row)]
        if any(
            isinstance(output.expression, Call) and output.expression.name == "COUNT"
            for output in self.query.outputs
        ):
            return [{output.name: str(len(kept)) for output in self.query.outputs}]
        for order in reversed(self.query.order):
            kept.sort(key=partial(self._sort_key, order.expression), reverse=order.descending)
        return [self._printed(row) for row in kept]

    def _sort_key(self, by: Expression, row: Joined) -> tuple[bool, Decimal, str]:
        """Nulls last, numbers by value, the rest by text; a time's ISO text sorts like the time."""
        value = self._value(by, row)
        if isinstance(value, Decimal):
            return False, value, ""
        return value is None, Decimal(0), value.isoformat() if isinstance(value, date) else str(value)

    def _printed(self, row: Joined) -> dict[str, str]:
        values = ((output.name, self._value(output.expression, row)) for output in self.query.outputs)
        return {name: printed(value) for name, value in values if value is not None}

    # Finding rows

    def _joined(self, rows: Iterable[Joined], source: Source) -> Iterator[Joined]:
        table = TABLES[source.table]
        for row in rows:
            matched = False
            for candidate in self._candidates(table, source, row):
                joined = row | {source.alias: candidate}
                if self._holds(source.on, joined):
                    matched = True
                    yield joined
            if source.outer and not matched:
                yield row | {source.alias: None}

    def _candidates(self, table: Table, source: Source, row: Joined) -> Iterable[Row]:
        # An outer join's rows may not be narrowed by WHERE: `x IS NULL` must still see the unmatched ones.
        conditions = [*_conjuncts(source.on), *([] if source.outer else _conjuncts(self.query.where))]
        for column, look_up in table.lookups.items():
            keys = self._keys(conditions, source.alias, column, row)
            if keys is not None:
                return (found for key in keys for found in look_up(self.account, key))
        bound = self._time_bound(conditions, source.alias, row)
        if bound is not None and table.since is not None:
            return table.since(self.account, bound)
        return table.scan(self.account)

    def _keys(self, conditions: list[Condition], alias: str, column: str, row: Joined) -> list[str] | None:
        """Values the column must have one of, where a condition says so with what is known already."""
        for condition in conditions:
            if isinstance(condition, Comparison) and condition.operator == "=":
                sides = ((condition.left, condition.right), (condition.right, condition.left))
                for mine, other in sides:
                    if self._is(mine, alias, column) and self._known(other, row):
                        return [printed(self._value(other, row))]
            elif isinstance(condition, In) and self._is(condition.left, alias, column):
                known = [
                    printed(self._value(part, row)) for part in condition.options if self._known(part, row)
                ]
                if len(known) == len(condition.options):
                    return list(dict.fromkeys(known))
        return None

    def _time_bound(self, conditions: list[Condition], alias: str, row: Joined) -> datetime | None:
        for condition in conditions:
            if not isinstance(condition, Comparison) or condition.operator not in (">", ">="):
                continue
            if self._is(condition.left, alias, "lastmodifieddate") and self._known(condition.right, row):
                local = self._value(condition.right, row)
                if isinstance(local, datetime):
                    zone = self.account.preferences.time_zone
                    return local.replace(tzinfo=zone).astimezone(UTC) - _CLOCK_CHANGE_MAX
        return None

    def _is(self, expression: Expression, alias: str, column: str) -> bool:
        return (
            isinstance(expression, Column) and expression.name == column and self._alias(expression) == alias
        )

    def _known(self, expression: Expression, row: Joined) -> bool:
        if isinstance(expression, Column):
            return self._alias(expression) in row
        return not isinstance(expression, Call) or all(
            self._known(part, row) for part in expression.arguments
        )

    # Evaluating

    def _holds(self, condition: Condition, row: Joined) -> bool:
        if isinstance(condition, All):
            return all(self._holds(part, row) for part in condition.conditions)
        if isinstance(condition, Any):
            return any(self._holds(part, row) for part in condition.conditions)
        if isinstance(condition, Not):
            return not self._holds(condition.condition, row)
        if isinstance(condition, IsNull):
            return self._value(condition.left, row) is None
        if isinstance(condition, In):
            left = self._value(condition.left, row)
            return any(_compare("=", left, self._value(option, row)) for option in condition.options)
        return _compare(
            condition.operator, self._value(condition.left, row), self._value(condition.right, row)
        )

    def _value(self, expression: Expression, row: Joined) -> Scalar:
        if isinstance(expression, Literal):
            return expression.value
        if isinstance(expression, Parameter):
            return self.parameters[expression.place]
        if isinstance(expression, Column):
            return self._column(expression, row, display=False)
        if isinstance(expression, Star):
            raise invalid_query("'*' is not understood.")
        if expression.name == "BUILTIN.DF":
            argument = expression.arguments[0]
            if not isinstance(argument, Column):
                raise invalid_query("BUILTIN.DF takes a field.")
            return self._column(argument, row, display=True)
        return call(self.account, expression.name, [self._value(part, row) for part in expression.arguments])

    def _column(self, column: Column, row: Joined, *, display: bool) -> Scalar:
        alias = self._alias(column)
        source = row[alias]
        if source is None:
            return None
        table = TABLES[self._table_of(alias)]
        getter = table.columns[column.name]
        return (table.display.get(column.name, getter) if display else getter)(self.account, source)

    # Names

    def check_names(self) -> None:
        for source in self.query.sources:
            if source.table not in TABLES:
                raise invalid_query(f"Record '{source.table}' was not found.")
        for expression in _expressions(self.query):
            if isinstance(expression, Column):
                self._alias(expression)
            if isinstance(expression, Parameter) and expression.place >= len(self.parameters):
                raise invalid_query("Not enough parameters.")

    def _table_of(self, alias: str) -> str:
        return next(source.table for source in self.query.sources if source.alias == alias)

    def _alias(self, column: Column) -> str:
        for source in self.query.sources:
            if column.alias in ("", source.alias) and column.name in TABLES[source.table].columns:
                return source.alias
        raise invalid_query(f"Field '{column.name}' not found.")


def _conjuncts(condition: Condition) -> list[Condition]:
    """The conditions that must hold all together."""
    if isinstance(condition, All):
        return [part for inner in condition.conditions for part in _conjuncts(inner)]
    return [condition]


def _expressions(query: Query) -> Iterator[Expression]:
    for output in query.outputs:
        yield from _inside(output.expression)
    for order in query.order:
        yield from _inside(order.expression)
    for condition in (query.where, *(source.on for source in query.sources)):
        yield from _inside_condition(condition)


def _inside(expression: Expression) -> Iterator[Expression]:
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from _inside(argument)


def _inside_condition(condition: Condition) -> Iterator[Expression]:
    if isinstance(condition, All | Any):
        for part in condition.conditions:
            yield from _inside_condition(part)
    elif isinstance(condition, Not):
        yield from _inside_condition(condition.condition)
    else:
        yield from _inside(condition.left)
        if isinstance(condition, Comparison):
            yield from _inside(condition.right)
        elif isinstance(condition, In):
            for option in condition.options:
                yield from _inside(option)


_OPERATORS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def _compare(operator: str, left: Scalar, right: Scalar) -> bool:
    """SQL's comparison: with a null it never holds. Numbers in text count as numbers, as bound parameters are text."""
    if left is None or right is None:
        return False
    if operator == "LIKE":
        return matches_like(printed(left), printed(right))
    test = _OPERATORS[operator]
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return test(int(_as_number(left).compare(_as_number(right))))
    if isinstance(left, date) or isinstance(right, date):
        earlier, later = _as_moment(left), _as_moment(right)
        return test((earlier > later) - (earlier < later))
    return test((left > right) - (left < right))


def _as_number(value: Scalar) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise invalid_query(f"'{value}' is not a number.") from None


def _as_moment(value: Scalar) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  SuiteQL times have no zone
    raise invalid_query("Dates are compared with TO_DATE or TO_TIMESTAMP only.")
