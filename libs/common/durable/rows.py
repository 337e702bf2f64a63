"""Many rows in one statement. Open this file when a write is slow or a column has a new type.

`INSERT … SELECT … FROM unnest(arrays)` costs one round trip and one plan for any number of rows; measured against
executemany it halves the client's CPU. The statements are built once per table and column set. A time that all rows
share, as those of one commit do, travels once and not in an array: they are the dearest elements to encode.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

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


NONE_SHARED: frozenset[str] = frozenset()


def _source(
    table: sa.Table, columns: Sequence[str], first: int = 1, shared: frozenset[str] = NONE_SHARED
) -> tuple[str, str]:
    """`unnest(…) AS t(…)` with parameters from `first`, and the select list with casts."""
    arrays, named, selected = [], [], []
    for index, name in enumerate(columns, first):
        array, cast = _array_type(table.c[name.removeprefix(WAS)])
        if name in shared:
            selected.append(f"${index}::{array.removesuffix('[]')}{cast}")
        else:
            arrays.append(f"${index}::{array}")
            named.append(name)
            selected.append(f"t.{name}{cast}")
    return f"unnest({', '.join(arrays)}) AS t({', '.join(named)})", ", ".join(selected)


@cache
def _insert_statement(
    table: sa.Table,
    columns: tuple[str, ...],
    suffix: str,
    first: int = 1,
    shared: frozenset[str] = NONE_SHARED,
) -> str:
    source, selected = _source(table, columns, first, shared)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {selected} FROM {source} {suffix}"  # noqa: S608


Part = tuple[sa.Table, tuple[str, ...], frozenset[str]]
"""A table, its columns, and those of them whose value all rows share."""


@cache
def _together_statement(parts: tuple[Part, ...], claimed: sa.Table) -> str:
    inserts, first = [], 1
    for table, columns, shared in parts:
        suffix = "ON CONFLICT DO NOTHING RETURNING 1" if table is claimed else ""
        inserts.append(f"{table.name}_rows AS ({_insert_statement(table, columns, suffix, first, shared)})")
        first += len(columns)
    counted = f"count(*) FROM {claimed.name}_rows" if any(table is claimed for table, *_ in parts) else "0"
    return f"WITH {', '.join(inserts)} SELECT {counted}"


@cache
def _update_statement(table: sa.Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> str:
    source, _ = _source(table, columns)
    changed = ", ".join(
        f"{name} = t.{name}{_array_type(table.c[name])[1]}"
        for name in columns
        if name not in keys and not name.startswith(WAS)
    )
    matched = [f"r.{name} = t.{name}" for name in keys]
    guards = [f"r.{name.removeprefix(WAS)} = t.{name}" for name in columns if name.startswith(WAS)]
    where = " AND ".join([*matched, *guards])
    return f"UPDATE {table.name} r SET {changed} FROM {source} WHERE {where}"  # noqa: S608


def _columns_of(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[list[object]]]:
    columns = tuple(rows[0])
    return columns, [[row[name] for row in rows] for name in columns]


@cache
def _times_of(table: sa.Table, columns: tuple[str, ...]) -> tuple[int, ...]:
    """Where times stand among the columns."""
    return tuple(at for at, name in enumerate(columns) if isinstance(table.c[name].type, sa.DateTime))


def _is_shared(values: Sequence[object]) -> bool:
    return values.count(values[0]) == len(values)


async def insert_rows(
    driver: asyncpg.Connection, table: sa.Table, rows: Sequence[Row], suffix: str = ""
) -> list[asyncpg.Record]:
    """Inserts all rows, which have the same columns. `suffix`: ON CONFLICT and RETURNING clauses, trusted text."""
    if not rows:
        return []
    columns, arrays = _columns_of(rows)
    return list(await driver.fetch(_insert_statement(table, columns, suffix), *arrays))


async def insert_together(
    driver: asyncpg.Connection, rows: Mapping[sa.Table, Sequence[Row]], claimed: sa.Table
) -> int:
    """Inserts into several tables by one statement; rows of one table have the same columns.

    Of `claimed`, what is there already stays as it is; the number of its rows inserted. One round trip and one plan for
    a whole commit, instead of one for each table.
    """
    parts: list[Part] = []
    arguments: list[object] = []
    for table, some in rows.items():
        if some:
            columns, arrays = _columns_of(some)
            shared = frozenset([columns[at] for at in _times_of(table, columns) if _is_shared(arrays[at])])
            parts.append((table, columns, shared))
            arguments += [
                array[0] if name in shared else array for name, array in zip(columns, arrays, strict=True)
            ]
    if not parts:
        return 0
    found = await driver.fetch(_together_statement(tuple(parts), claimed), *arguments)
    return int(found[0][0])


async def update_rows(
    driver: asyncpg.Connection, table: sa.Table, rows: Sequence[Row], keys: tuple[str, ...]
) -> int:
    """Updates each row by its keys where its `was_…` values still stand; the number of rows changed."""
    if not rows:
        return 0
    columns, arrays = _columns_of(rows)
    status: str = await driver.execute(_update_statement(table, columns, keys), *arrays)
    return int(status.rsplit(" ", 1)[1])
