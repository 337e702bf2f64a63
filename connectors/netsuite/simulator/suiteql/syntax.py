"""The tree a query becomes; open it beside the parser or the engine."""

from dataclasses import dataclass
from decimal import Decimal

Value = str | Decimal | None
"""A literal in the text, or a bound parameter, which is always text."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value


@dataclass(frozen=True, slots=True)
class Parameter:
    """The `?` at this place, counted from 0."""

    place: int


@dataclass(frozen=True, slots=True)
class Column:
    """`alias.name` or `name`, lower case; alias empty when not written."""

    alias: str
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function, `COUNT(*)` included; name in upper case."""

    name: str
    arguments: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Star:
    """The `*` of COUNT(*)."""


Expression = Literal | Parameter | Column | Call | Star


@dataclass(frozen=True, slots=True)
class Comparison:
    """operator: one of `= != < <= > >= LIKE`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class In:
    left: Expression
    options: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    left: Expression


@dataclass(frozen=True, slots=True)
class Not:
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """AND; the empty one is true."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    """OR."""

    conditions: "tuple[Condition, ...]"


Condition = Comparison | In | IsNull | Not | All | Any


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result and its name, lower case."""

    expression: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Source:
    """A table in FROM or JOIN. outer: LEFT JOIN."""

    table: str
    alias: str
    on: Condition
    outer: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    expression: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    outputs: tuple[Output, ...]
    sources: tuple[Source, ...]
    where: Condition
    order: tuple[Order, ...]
