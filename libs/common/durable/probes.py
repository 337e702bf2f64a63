"""Rows found one by one, by an index, with a plan that is made once. Open this file when a statement for many rows is
planned anew each time, or scans.
"""

from functools import cache


def given_rows(name: str, /, **arrays: str) -> str:
    """Rows to select from, under `name`: their columns, and each one's parameter with its type.

    The arrays hide behind OFFSET 0: where the planner sees how long they are, it plans each call anew, for as long as
    the call itself takes.
    """
    hidden = ", ".join(f"{array} AS {column}" for column, array in arrays.items())
    taken = ", ".join(f"given.{column}" for column in arrays)
    return f"(SELECT {hidden} OFFSET 0) AS given CROSS JOIN LATERAL unnest({taken}) AS {name} ({', '.join(arrays)})"


def probe(name: str, table: str, columns: str, /, **keys: str) -> str:
    """The one row of a table that has a key, to be joined under `name`; keys: what each column of it is to be.

    One probe of the index for each, whatever the database believes of the table. A plain join is planned as a scan of
    all rows while there are no statistics yet, and that plan stays while the table grows: with 10,000 idempotency keys
    each commit took 7 ms longer. Where the row is to be updated, `ctid AS place` tells where it is.
    """
    matched = " AND ".join(f"r.{column} = {value}" for column, value in keys.items())
    return f"LATERAL (SELECT {columns} FROM {table} r WHERE {matched} LIMIT 1) AS {name}"  # noqa: S608


@cache
def lookup_statement(table: str, columns: str, keys: tuple[str, ...], first: int = 1) -> str:
    """The rows whose keys are asked for; the parameters, from `first`, are arrays of text, one for each key of the
    primary key."""
    arrays = {key: f"${place}::text[]" for place, key in enumerate(keys, first)}
    asked = {key: f"asked.{key}" for key in keys}
    return (
        f"SELECT found.* FROM {given_rows('asked', **arrays)}"  # noqa: S608
        f" CROSS JOIN {probe('found', table, columns, **asked)}"
    )
