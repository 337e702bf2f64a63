"""Many rows in one statement. Open this file when a write is slow or a column has a new type.

`INSERT … SELECT … FROM unnest(arrays)` costs one round trip and one plan for any number of rows; measured against
executemany it halves the client's CPU. What is left is the driver's price of an array's element, 0.4 µs each, so as few
as can be are sent as elements:

    SHARED  what all rows of a commit agree on travels once; of a single row that is everything
    JOINED  texts travel as one text, to be taken apart by the database
    ARRAY   the rest, and texts that hold the separator

The statements are built once per table, column set and way of travelling.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from operator import itemgetter
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from libs.common.durable.probes import given_rows, probe
from libs.common.durable.session import Session

Row = Mapping[str, object]

_ARRAY_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], str, str], ...] = (
    (pg.JSONB, "text[]", "::jsonb"),
    (sa.Text, "text[]", ""),
    (sa.BigInteger, "bigint[]", ""),
    (sa.Integer, "integer[]", ""),
    (sa.DateTime, "timestamptz[]", ""),
    (sa.LargeBinary, "bytea[]", ""),
)


def _array_type(column: sa.Column[Any]) -> tuple[str, str]:
    for kind, array, cast in _ARRAY_TYPES:
        if isinstance(column.type, kind):
            return array, cast
    raise AssertionError(f"no array type for {column}")


WAS = "was_"
"""Prefix of a value that must still stand in the row for an update to count: `was_version`."""


SEPARATOR = "\x1f"
"""Stands between joined texts. JSON writes it as an escape; a text that holds it travels in an array."""


class Way(Enum):
    """How the values of a column travel."""

    SHARED = "shared"
    JOINED = "joined"
    ARRAY = "array"


ALIKE_OF_CALLER = frozenset({"tenant", "source_system", "actor"})
ALIKE_OF_COMMAND = frozenset(
    {
        "method",
        "rule",
        "type",
        "contract_version",
        "state",
        "sequence",
        "version",
        "field",
        "old_value",
        "new_value",
    }
)
"""Columns that are shared together or not at all, so that there are few statements: as a rule the commands of a commit
come from one caller, or are the same command."""


@cache
def _insert_statement(
    table: sa.Table, columns: tuple[str, ...], suffix: str, ways: tuple[Way, ...], first: int = 1
) -> str:
    """Parameters from `first`, one for each column, whose values travel as `ways` says."""
    arrays, named, selected = [], [], []
    for place, (name, way) in enumerate(zip(columns, ways, strict=True), first):
        array, cast = _array_type(table.c[name])
        if way is Way.SHARED:
            selected.append(f"${place}::{array.removesuffix('[]')}{cast}")
            continue
        joined = f"string_to_array(${place}::text, E'\\x1f')"
        arrays.append(joined if way is Way.JOINED else f"${place}::{array}")
        named.append(name)
        selected.append(f"t.{name}{cast}")
    source = f"FROM unnest({', '.join(arrays)}) AS t({', '.join(named)})" if arrays else ""
    return f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(selected)} {source} {suffix}"


Part = tuple[sa.Table, tuple[str, ...], tuple[Way, ...]]
"""A table, its columns, and how the values of each travel."""


@dataclass(slots=True)
class Errand:
    """A statement that travels with the rows of a commit, instead of making a way of its own.

    All that travel together see the tables as they were before any of them.
    """

    name: str
    text: str
    """Parameters are `{0}`, `{1}` and so on. It returns `number` (bigint), `name` and `target` (text), and whether that
    is `found` (boolean)."""
    arguments: Sequence[object]
    found: list[tuple[int, str, str]] = field(default_factory=list)
    """Number, name and target of what it found, once the group has written."""


@cache
def _together_statement(
    parts: tuple[Part, ...], errands: tuple[tuple[str, str, int], ...], claimed: sa.Table
) -> str:
    withs, first = [], 1
    for table, columns, ways in parts:
        suffix = "RETURNING 1" if table is claimed else ""
        withs.append(f"{table.name}_rows AS ({_insert_statement(table, columns, suffix, ways, first)})")
        first += len(columns)
    for name, text, count in errands:
        withs.append(f"{name} AS ({text.format(*(f'${first + offset}' for offset in range(count)))})")
        first += count
    # Of all that is inserted, what the result asks for is inserted first.
    counted = f"count(*) FROM {claimed.name}_rows" if any(table is claimed for table, *_ in parts) else "0"
    found = "".join(
        f" UNION ALL SELECT '{name}', number, name, target FROM {name} WHERE found"  # noqa: S608
        for name, *_ in errands
    )
    return f"WITH {', '.join(withs)} SELECT '', {counted}{', NULL, NULL' if found else ''}{found}"


@cache
def _update_statement(table: sa.Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> str:
    arrays = {
        name: f"${place}::{_array_type(table.c[name.removeprefix(WAS)])[0]}"
        for place, name in enumerate(columns, 1)
    }
    asked = {name: f"t.{name}" for name in keys}
    changed = ", ".join(
        f"{name} = t.{name}{_array_type(table.c[name])[1]}"
        for name in columns
        if name not in keys and not name.startswith(WAS)
    )
    guards = [f" AND r.{name.removeprefix(WAS)} = t.{name}" for name in columns if name.startswith(WAS)]
    return (
        f"UPDATE {table.name} r SET {changed} FROM {given_rows('t', **arrays)}"  # noqa: S608
        f" CROSS JOIN {probe('found', table.name, 'ctid AS place', **asked)}"
        f" WHERE r.ctid = found.place{''.join(guards)}"
    )


def _columns_of(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Names of the columns, of which there are two at least, and the values of each."""
    columns = tuple(rows[0])
    return columns, list(zip(*map(itemgetter(*columns), rows), strict=True))


@cache
def _alike(table: sa.Table, columns: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Where columns stand that are shared together: the caller's, the command's, and each time by itself."""
    times = [(at,) for at, name in enumerate(columns) if isinstance(table.c[name].type, sa.DateTime)]
    named = [
        tuple(at for at, name in enumerate(columns) if name in names)
        for names in (ALIKE_OF_CALLER, ALIKE_OF_COMMAND)
    ]
    return (*named, *times)


@cache
def _texts(table: sa.Table, columns: tuple[str, ...]) -> tuple[bool, ...]:
    """Whether the values of a column are sent as text."""
    return tuple(isinstance(table.c[name].type, sa.Text | pg.JSONB) for name in columns)


def _packed(table: sa.Table, rows: Sequence[Row]) -> tuple[Part, list[object]]:
    """The rows as arguments of a statement, one for each column, and how each of them travels."""
    columns, arrays = _columns_of(rows)
    if len(rows) == 1:
        return (table, columns, (Way.SHARED,) * len(columns)), list(rows[0].values())
    shared = {
        at
        for places in _alike(table, columns)
        if all(_is_shared(arrays[place]) for place in places)
        for at in places
    }
    ways: list[Way] = []
    arguments: list[object] = []
    for at, (values, is_text) in enumerate(zip(arrays, _texts(table, columns), strict=True)):
        joined = _joined(values) if is_text and at not in shared else None
        ways.append(Way.SHARED if at in shared else Way.ARRAY if joined is None else Way.JOINED)
        arguments.append(values[0] if at in shared else values if joined is None else joined)
    return (table, columns, tuple(ways)), arguments


def _is_shared(values: Sequence[object]) -> bool:
    return values.count(values[0]) == len(values)


def _joined(values: Sequence[Any]) -> str | None:
    """The texts as one; None where one of them is absent or holds the separator."""
    if None in values:
        return None
    joined = SEPARATOR.join(values)
    return joined if joined.count(SEPARATOR) == len(values) - 1 else None


async def insert_rows(
    driver: Session, table: sa.Table, rows: Sequence[Row], suffix: str = ""
) -> list[asyncpg.Record]:
    """Inserts all rows, which have the same columns. `suffix`: ON CONFLICT and RETURNING clauses, trusted text."""
    if not rows:
        return []
    (_, columns, ways), arguments = _packed(table, rows)
    return await driver.fetch(_insert_statement(table, columns, suffix, ways), *arguments)


async def insert_together(
    send: Callable[..., Awaitable[list[asyncpg.Record]]],
    rows: Mapping[sa.Table, Sequence[Row]],
    claimed: sa.Table,
    errands: Sequence[Errand] = (),
) -> None:
    """Inserts into several tables and runs errands, all by one statement; rows of one table have the same columns.

    One round trip and one plan for a whole commit, instead of one for each table. `claimed` is written first: whoever
    wants the same key waits there, and fails when this commit succeeds.
    """
    parts: list[Part] = []
    arguments: list[object] = []
    for table, some in rows.items():
        if some:
            part, values = _packed(table, some)
            parts.append(part)
            arguments += values
    if not parts and not errands:
        return
    for errand in errands:
        arguments += errand.arguments
    shapes = tuple((errand.name, errand.text, len(errand.arguments)) for errand in errands)
    _, *others = await send(_together_statement(tuple(parts), shapes, claimed), *arguments)
    for errand in errands:
        errand.found = [(number, name, target) for of, number, name, target in others if of == errand.name]


async def update_rows(driver: Session, table: sa.Table, rows: Sequence[Row], keys: tuple[str, ...]) -> int:
    """Updates each row by its keys where its `was_…` values still stand; the number of rows changed."""
    if not rows:
        return 0
    columns, arrays = _columns_of(rows)
    status = await driver.execute(_update_statement(table, columns, keys), *arrays)
    return int(status.rsplit(" ", 1)[1])
