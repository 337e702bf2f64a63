"""The tree a query becomes: open this to add a construct to the language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]  # ("Account", "Name") for Account.Name, as written.
Comparison: TypeAlias = OneOf["=", "!=", "<", "<=", ">", ">=", "like"]


@dataclass(frozen=True)
class Literal:
    """A value in a condition. kind `day` is a word such as TODAY or LAST_N_DAYS:3, kept in upper case."""

    kind: OneOf["string", "number", "boolean", "null", "date", "datetime", "day"]
    text: str


@dataclass(frozen=True)
class Aggregate:
    """`COUNT(Id)`, `MAX(Amount) top`; path None is COUNT() without a field."""

    function: str
    path: Path | None
    alias: str = ""


@dataclass(frozen=True)
class AllFields:
    """`FIELDS(ALL)`, `FIELDS(STANDARD)` or `FIELDS(CUSTOM)`."""

    group: str


@dataclass(frozen=True)
class Compare:
    left: Path | Aggregate
    operator: Comparison
    right: Literal


@dataclass(frozen=True)
class Member:
    """`field IN (…)`; the values are listed or come from a sub-query of one field."""

    left: Path
    values: tuple[Literal, ...] | Query
    negated: bool


@dataclass(frozen=True)
class Both:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Either:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Negated:
    part: Condition


Condition: TypeAlias = "Compare | Member | Both | Either | Negated"


@dataclass(frozen=True)
class Sort:
    by: Path | Aggregate
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True)
class Query:
    """One SELECT. `source` is an object name, or a child relationship's name in a sub-query of the select list."""

    select: tuple[Path | Aggregate | AllFields | Query, ...]
    source: str
    alias: str = ""
    where: Condition | None = None
    group_by: tuple[Path, ...] = ()
    having: Condition | None = None
    order_by: tuple[Sort, ...] = ()
    limit: int | None = None
    offset: int = 0

    @property
    def counts_only(self) -> bool:
        """`SELECT COUNT()`: the number is in totalSize and there are no records."""
        return self.select == (Aggregate("count", None),)

    @property
    def aggregates(self) -> bool:
        return bool(self.group_by) or any(isinstance(item, Aggregate) for item in self.select)
