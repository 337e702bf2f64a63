"""GROUP BY, HAVING and aggregate functions: open this when a count or a sum is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeAlias, TypeVar

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors
from connectors.salesforce.simulator.catalog.fields import Scalar, Values

from .conditions import FieldOf, Test, comparable
from .syntax import Aggregate, Path, Query, Sort

T = TypeVar("T")
ValueOf: TypeAlias = Callable[[Path | Aggregate, Values], Scalar]


class Grouping:
    """The groups of one query. value_of: a field of one record."""

    def __init__(self, query: Query, field_of: FieldOf, value_of: ValueOf) -> None:
        self._query = query
        self._field_of = field_of
        self._value_of = value_of
        self._grouped = {_folded(path) for path in query.group_by}
        for item in query.select:
            if not isinstance(item, Aggregate) and not (
                isinstance(item, tuple) and _folded(item) in self._grouped
            ):
                name = ".".join(item) if isinstance(item, tuple) else "sub-query"
                raise errors.must_be_grouped(name)

    def rows(self, found: list[Values], keeps: Test | None) -> list[JsonObject]:
        groups = [each for each in self._groups(found) if keeps is None or keeps(self._row(each))]
        for sort in reversed(self._query.order_by):
            groups = self._sorted(groups, sort)
        return [self._shape(group) for group in groups]

    def _groups(self, found: list[Values]) -> list[list[Values]]:
        if not self._query.group_by:
            return [found]
        groups: dict[tuple[Scalar, ...], list[Values]] = {}
        for values in found:
            key = tuple(
                comparable(self._field_of(path), self._value_of(path, values))
                for path in self._query.group_by
            )
            groups.setdefault(key, []).append(values)
        return list(groups.values())

    def _row(self, group: list[Values]) -> Callable[[Path | Aggregate], Scalar]:
        return lambda place: self._cell(place, group)

    def _cell(self, place: Path | Aggregate, group: list[Values]) -> Scalar:
        if isinstance(place, Aggregate):
            return self._aggregate(place, group)
        if _folded(place) not in self._grouped:
            raise errors.must_be_grouped(".".join(place))
        return self._value_of(place, group[0])

    def _aggregate(self, item: Aggregate, group: list[Values]) -> Scalar:
        if item.path is None:
            return len(group)
        path, field = item.path, self._field_of(item.path)
        values = [value for each in group if (value := self._value_of(path, each)) is not None]
        if item.function == "count":
            return len(values)
        if item.function == "count_distinct":
            return len({comparable(field, value) for value in values})
        if not values:
            return None
        if item.function in ("min", "max"):
            pick = min if item.function == "min" else max
            return pick(values, key=lambda value: comparable(field, value))  # type: ignore[arg-type, return-value]
        total = sum((_number(value, field.name) for value in values), Decimal(0))
        return total if item.function == "sum" else total / len(values)

    def _sorted(self, groups: list[list[Values]], sort: Sort) -> list[list[Values]]:
        field = self._field_of(sort.by)
        keyed = [(comparable(field, self._cell(sort.by, group)), group) for group in groups]
        return in_order(keyed, sort)

    def _shape(self, group: list[Values]) -> JsonObject:
        shaped: JsonObject = {"attributes": {"type": "AggregateResult"}}
        unnamed = 0
        for item in self._query.select:
            if isinstance(item, Aggregate):
                name = item.alias or f"expr{unnamed}"
                unnamed += not item.alias
                shaped[name] = self._aggregate(item, group)
            elif isinstance(item, tuple):
                shaped[self._field_of(item).name] = self._cell(item, group)
        return shaped


def in_order(keyed: Iterable[tuple[Scalar, T]], sort: Sort) -> list[T]:
    """Sorted by the first of each pair, stable; nulls first unless the query says otherwise."""
    nulls: list[T] = []
    known: list[tuple[Scalar, T]] = []
    for key, each in keyed:
        if key is None:
            nulls.append(each)
        else:
            known.append((key, each))
    known.sort(key=lambda pair: pair[0], reverse=sort.descending)  # type: ignore[arg-type, return-value]
    ordered = [each for _, each in known]
    return ordered + nulls if sort.nulls_last else nulls + ordered


def _folded(path: Path) -> tuple[str, ...]:
    return tuple(name.lower() for name in path)


def _number(value: Scalar, name: str) -> Decimal:
    if isinstance(value, str) or value is None:
        raise errors.malformed_query(f"field {name} does not support aggregate operator")
    return Decimal(value)
