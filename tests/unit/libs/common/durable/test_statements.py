"""Statements over many rows, and the script that makes the tables."""

import re

import pytest
import sqlalchemy as sa

from libs.common.durable import tables
from libs.common.durable.migrations import core_statements, statements_of
from libs.common.durable.rows import Way, _insert_statement, _packed, _update_statement


def test_an_insert_takes_one_array_for_each_column() -> None:
    columns = ("tenant", "position", "generation", "caught_up_time")
    statement = _insert_statement(tables.CURSOR, columns, "", (Way.ARRAY,) * len(columns))

    assert statement == (
        "INSERT INTO cursor (tenant, position, generation, caught_up_time)"
        " SELECT t.tenant, t.position, t.generation, t.caught_up_time"
        " FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::timestamptz[])"
        " AS t(tenant, position, generation, caught_up_time) "
    )


def test_what_all_rows_share_travels_once_and_texts_travel_as_one() -> None:
    statement = _insert_statement(
        tables.CURSOR,
        ("tenant", "kind", "position", "caught_up_time"),
        "",
        (Way.SHARED, Way.JOINED, Way.ARRAY, Way.SHARED),
        3,
    )

    assert statement == (
        "INSERT INTO cursor (tenant, kind, position, caught_up_time)"
        " SELECT $3::text, t.kind, t.position, $6::timestamptz"
        " FROM unnest(string_to_array($4::text, E'\\x1f'), $5::bytea[]) AS t(kind, position) "
    )


def _cursor(**values: object) -> dict[str, object]:
    return {"tenant": "acme", "system": "erp", "kind": "a", "position": b"1", "reason": "", **values}


def test_a_row_alone_travels_without_arrays() -> None:
    (_, columns, ways), arguments = _packed(tables.CURSOR, [_cursor()])

    assert arguments == ["acme", "erp", "a", b"1", ""]
    assert set(ways) == {Way.SHARED}
    assert " FROM " not in _insert_statement(tables.CURSOR, columns, "", ways)


@pytest.mark.parametrize("reason", ["holds the \x1f of others", None])
def test_a_text_that_cannot_be_joined_travels_in_an_array(reason: str | None) -> None:
    (_, _, ways), arguments = _packed(tables.CURSOR, [_cursor(kind="a"), _cursor(kind="", reason=reason)])

    assert ways == (Way.SHARED, Way.JOINED, Way.JOINED, Way.ARRAY, Way.ARRAY)
    assert arguments == ["acme", "erp\x1ferp", "a\x1f", (b"1", b"1"), ("", reason)]


def test_columns_that_are_alike_together_are_shared_together_or_not_at_all() -> None:
    events = [{"tenant": "acme", "actor": actor, "event_id": actor, "type": "t"} for actor in "ab"]

    (_, _, ways), _ = _packed(tables.EVENT, events)

    assert ways == (Way.JOINED, Way.JOINED, Way.JOINED, Way.SHARED)


def test_an_update_counts_only_where_what_was_there_still_stands() -> None:
    statement = _update_statement(tables.DELIVERY, ("delivery_id", "state", "was_state"), ("delivery_id",))

    assert statement == (
        "UPDATE delivery r SET state = t.state"
        " FROM (SELECT $1::bigint[] AS delivery_id, $2::text[] AS state, $3::text[] AS was_state OFFSET 0) AS given"
        " CROSS JOIN LATERAL unnest(given.delivery_id, given.state, given.was_state)"
        " AS t (delivery_id, state, was_state)"
        " CROSS JOIN LATERAL (SELECT ctid AS place FROM delivery r WHERE r.delivery_id = t.delivery_id LIMIT 1)"
        " AS found"
        " WHERE r.ctid = found.place AND r.state = t.was_state"
    )


def test_a_column_of_a_type_nobody_thought_of_is_a_bug() -> None:
    table = sa.Table("odd", sa.MetaData(), sa.Column("price", sa.Numeric))

    with pytest.raises(AssertionError):
        _insert_statement(table, ("price",), "", (Way.ARRAY,))


def test_a_script_is_cut_at_semicolons_that_end_a_line() -> None:
    script = "-- says; something;\nCREATE TABLE a (x int);  -- ends here\n\nCREATE INDEX b\n    ON a (x);\n"

    assert statements_of(script) == ["CREATE TABLE a (x int)", "CREATE INDEX b\n    ON a (x)"]


def test_the_core_s_scripts_make_every_table_once_and_only_add() -> None:
    statements = core_statements()

    made = re.findall(r"^CREATE TABLE (\w+) (?!PARTITION OF)", "\n".join(statements), re.MULTILINE)
    assert sorted(made) == sorted(tables.METADATA.tables)
    adds = re.compile(r"CREATE |ALTER TABLE \w+(\n    ADD COLUMN | SET \()")
    assert all(adds.match(statement) for statement in statements)
