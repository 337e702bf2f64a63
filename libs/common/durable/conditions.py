"""Filters as SQL. Open this file to learn how a condition on a column is asked of the database."""

from collections.abc import Sequence

from libs.common.filtering import DIFFERS, EQUALS, Term


def sql_of(terms: Sequence[Term], first: int) -> tuple[str, list[object]]:
    """` AND …` for each condition, and its parameters, the first of which is number `first`.

    Columns come from our own tables of fields, never from a caller; values travel as parameters.
    """
    text = ""
    values: list[object] = []
    for number, term in enumerate(terms, first):
        text += f" AND {_condition(term, number)}"
        values.append(list(term.values) if isinstance(term.values, tuple) else term.values)
    return text, values


def _condition(term: Term, number: int) -> str:
    if term.operator == EQUALS:
        return f"{term.column} = ANY(${number}::text[])"
    if term.operator == DIFFERS:
        return f"{term.column} <> ALL(${number}::text[])"
    return f"{term.column} {term.operator} ${number}"
