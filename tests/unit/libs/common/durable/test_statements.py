"""Statements over many rows, and the script that makes the tables."""

import re

import pytest
import sqlalchemy as sa

from libs.common.durable import tables
from libs.common.durable.migrations import core_statements, statements_of
from libs.common.durable.rows import _insert_statement, _update_statement


def test_an_insert_takes_one_array_for_each_column() -> None:
    statement = _insert_statement(tables.CURSOR, ("tenant", "position", "generation", "caught_up_time"), "")

    assert statement == (
        "INSERT INTO cursor (tenant, position, generation, caught_up_time)"
        " SELECT t.tenant, t.position, t.generation, t.caught_up_time"
        " FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::timestamptz[])"
        " AS t(tenant, position, generation, caught_up_time) "
    )


def test_a_time_that_all_rows_share_travels_once() -> None:
    statement = _insert_statement(
        tables.CURSOR, ("tenant", "caught_up_time"), "", 3, frozenset({"caught_up_time"})
    )

    assert statement == (
        "INSERT INTO cursor (tenant, caught_up_time) SELECT t.tenant, $4::timestamptz"
        " FROM unnest($3::text[]) AS t(tenant) "
    )


def test_an_update_counts_only_where_what_was_there_still_stands() -> None:
    statement = _update_statement(tables.DELIVERY, ("delivery_id", "state", "was_state"), ("delivery_id",))

    assert statement == (
        "UPDATE delivery r SET state = t.state"
        " FROM unnest($1::bigint[], $2::text[], $3::text[]) AS t(delivery_id, state, was_state)"
        " WHERE r.delivery_id = t.delivery_id AND r.state = t.was_state"
    )


def test_a_column_of_a_type_nobody_thought_of_is_a_bug() -> None:
    table = sa.Table("odd", sa.MetaData(), sa.Column("price", sa.Numeric))

    with pytest.raises(AssertionError):
        _insert_statement(table, ("price",), "")


def test_a_script_is_cut_at_semicolons_that_end_a_line() -> None:
    script = "-- says; something;\nCREATE TABLE a (x int);  -- ends here\n\nCREATE INDEX b\n    ON a (x);\n"

    assert statements_of(script) == ["CREATE TABLE a (x int)", "CREATE INDEX b\n    ON a (x)"]


def test_the_core_s_scripts_make_every_table_once_and_only_add() -> None:
    statements = core_statements()

    made = [statement.split()[2] for statement in statements if statement.startswith("CREATE TABLE")]
    assert sorted(made) == sorted(tables.METADATA.tables)
    adds = re.compile(r"CREATE |ALTER TABLE \w+(\n    ADD COLUMN | SET \()")
    assert all(adds.match(statement) for statement in statements)
