"""Finding, sorting and shaping: open this when a query's records, their order or their columns are wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors, shapes
from connectors.salesforce.simulator.catalog import Field, SObject, child_relationship, find_object
from connectors.salesforce.simulator.catalog.fields import Scalar, Values
from connectors.salesforce.simulator.org import Transaction

from .columns import Column, parent_of, resolve, value_at
from .conditions import Compiler, comparable, stored_literal
from .groups import Grouping, in_order
from .narrowing import changed_since, demanded
from .syntax import Aggregate, AllFields, Literal, Path, Query

_ALL_FIELDS_LIMIT = 200


@dataclass(frozen=True)
class Rows:
    """What a query found. total differs from the number of records only for COUNT(), which has none."""

    records: list[JsonObject]
    total: int


def run(tx: Transaction, query: Query, base: str, *, deleted_too: bool = False) -> Rows:
    """Runs one query. base: `/services/data/vXX.0/`, for the records' URLs. deleted_too: as queryAll does."""
    return _Run(tx, query, _object(query.source), base, deleted_too=deleted_too).rows()


def _object(name: str) -> SObject:
    sobject = find_object(name)
    if sobject is None:
        raise errors.invalid_type(name)
    return sobject


class _Run:
    """One query on its way; a sub-query of the select list is a run of its own, once per parent."""

    def __init__(
        self, tx: Transaction, query: Query, sobject: SObject, base: str, *, deleted_too: bool = False
    ) -> None:
        self._tx = tx
        self._query = query
        self._sobject = sobject
        self._base = base
        self._deleted_too = deleted_too
        self._columns: dict[Path, Column] = {}
        compiler = Compiler(self._field_of, self._listed, date.fromisoformat(tx.now[:10]))
        self._matches = compiler.test(query.where) if query.where else None
        self._keeps = compiler.test(query.having) if query.having else None
        self._select = [] if query.aggregates else self._expanded_select()

    def rows(self, within: Iterable[Values] | None = None) -> Rows:
        """within: the candidates; None = every record that the condition may match."""
        found = self._matching(self._candidates() if within is None else within)
        query = self._query
        if query.counts_only:
            return Rows([], len(found))
        end = None if query.limit is None else query.offset + query.limit
        if query.aggregates:
            grouped = Grouping(query, self._field_of, self._value).rows(found, self._keeps)
            shaped = grouped[query.offset : end]
        else:
            for sort in reversed(query.order_by):
                field = self._field_of(sort.by)
                found = in_order(((comparable(field, self._value(sort.by, row)), row) for row in found), sort)
            shaped = [self._shape(values) for values in found[query.offset : end]]
        return Rows(shaped, len(shaped))

    # which records

    def _candidates(self) -> Iterable[Values]:
        """By an index when the condition demands certain values of an indexed field; else every record."""
        if not self._deleted_too:
            for path, literals in demanded(self._query.where):
                column = self._column(path)
                quoted = all(each.kind == "string" for each in literals)
                if quoted and not column.parents and (column.field.indexed or column.field.name == "Id"):
                    return self._by_index(column.field, literals)
        bound = changed_since(self._query.where)
        if bound is not None:
            stamp = stored_literal(self._sobject.fields["SystemModstamp"], bound)
            return self._tx.changed_since(self._sobject.name, str(stamp))
        return self._tx.scan(self._sobject.name)

    def _by_index(self, field: Field, literals: Iterable[Literal]) -> list[Values]:
        wanted = dict.fromkeys(str(stored_literal(field, each)) for each in literals)
        if field.type in ("id", "reference"):
            wanted = dict.fromkeys(str(comparable(field, each)) for each in wanted)
        if field.name == "Id":
            return [
                each for value in wanted if (each := self._tx.live(self._sobject.name, value)) is not None
            ]
        found = (each for value in wanted for each in self._tx.find(self._sobject.name, field.name, value))
        return list({str(each["Id"]): each for each in found}.values())

    def _matching(self, candidates: Iterable[Values]) -> list[Values]:
        found = (each for each in candidates if self._deleted_too or not each["IsDeleted"])
        matches = self._matches
        if matches is None:
            return list(found)
        return [each for each in found if matches(lambda place, row=each: self._value(place, row))]  # type: ignore[misc]

    # what of them

    def _expanded_select(self) -> list[Column | Query]:
        items: list[Column | Query] = []
        for item in self._query.select:
            if isinstance(item, AllFields):
                items += [Column((), self._sobject, field) for field in self._field_group(item.group)]
            elif isinstance(item, Query):
                items.append(item)
            elif not isinstance(item, Aggregate):
                items.append(self._column(item))
        return items

    def _field_group(self, group: str) -> list[Field]:
        limit = self._query.limit
        if group != "standard" and (limit is None or limit > _ALL_FIELDS_LIMIT):
            raise errors.malformed_query(
                f"The SOQL FIELDS function must have a LIMIT of at most {_ALL_FIELDS_LIMIT}"
            )
        custom = {"all": (True, False), "standard": (False,), "custom": (True,)}.get(group)
        if custom is None:
            raise errors.malformed_query(f"unexpected token: '{group}'")
        return [field for field in self._sobject.fields.values() if field.custom in custom]

    def _shape(self, values: Values) -> JsonObject:
        record = shapes.attributes(self._sobject.name, str(values["Id"]), self._base)
        for item in self._select:
            if isinstance(item, Query):
                name, children = self._children(item, values)
                record[name] = children
            else:
                self._place(record, item, values)
        return record

    def _place(self, record: JsonObject, column: Column, values: Values) -> None:
        """Puts a column's value where its path leads, through nested parents or a null parent."""
        here, owner, at = record, self._sobject, values
        for reference in column.parents:
            parent = parent_of(self._tx, owner, reference, at)
            if parent is None:
                here[reference.relationship] = None
                return
            nested = here.get(reference.relationship)
            if not isinstance(nested, dict):
                nested = shapes.attributes(reference.refers_to, str(parent["Id"]), self._base)
                here[reference.relationship] = nested
            here, owner, at = nested, _object(reference.refers_to), parent
        here[column.field.name] = shapes.field_value(self._tx, owner, column.field, at)

    def _children(self, query: Query, values: Values) -> tuple[str, JsonObject | None]:
        """The child records of one parent, or null when it has none."""
        found = child_relationship(self._sobject.name, query.source)
        if found is None:
            raise errors.no_such_relationship(query.source, self._sobject.name)
        child, reference = found
        children = self._tx.find(child.name, reference.name, str(values["Id"]))
        children.sort(key=lambda each: str(each["Id"]))
        rows = _Run(self._tx, query, child, self._base).rows(children)
        result: JsonObject = {"totalSize": rows.total, "done": True, "records": rows.records}
        return reference.children, result if rows.records else None

    # names to values

    def _column(self, path: Path) -> Column:
        if path not in self._columns:
            self._columns[path] = resolve(self._sobject, self._query.alias, path)
        return self._columns[path]

    def _field_of(self, place: Path | Aggregate) -> Field:
        if not isinstance(place, Aggregate):
            return self._column(place).field
        if place.path is None or place.function.startswith("count"):
            return Field(name=place.function, type="int")
        return self._column(place.path).field

    def _value(self, place: Path | Aggregate, values: Values) -> Scalar:
        if isinstance(place, Aggregate):
            raise errors.malformed_query("aggregate functions need GROUP BY or HAVING")
        return value_at(self._tx, self._sobject, self._column(place), values)

    def _listed(self, query: Query) -> list[Scalar]:
        """The values of a sub-query behind IN."""
        item = query.select[0]
        if len(query.select) != 1 or not isinstance(item, tuple):
            raise errors.malformed_query("a sub-query behind IN selects exactly one field")
        inner = _Run(self._tx, query, _object(query.source), self._base)
        return [inner._value(item, values) for values in inner._matching(inner._candidates())]
