"""What a filter of a list may say, and where it says that it was not understood."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Refused
from libs.common.filtering import Filterable, Term, parse_filter

FIELDS = {
    "state": Filterable.states(["POSTED", "PAID", "ON_HOLD"]),
    "number": Filterable("number"),
    "updateTime": Filterable.time("update_time"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("state = POSTED", (Term("state", "=", ("POSTED",)),)),
        ("state = ORDER_STATE_ON_HOLD", (Term("state", "=", ("ON_HOLD",)),)),
        ("state = POSTED OR state = PAID", (Term("state", "=", ("POSTED", "PAID")),)),
        (
            '(state = POSTED OR state=PAID) AND number != ""',
            (Term("state", "=", ("POSTED", "PAID")), Term("number", "!=", ("",))),
        ),
        (
            "number = a AND state = POSTED OR state = PAID",
            (Term("number", "=", ("a",)), Term("state", "=", ("POSTED", "PAID"))),
        ),
        ("(number = 7)", (Term("number", "=", ("7",)),)),
        (
            'updateTime >= "2026-11-21T08:00:00Z" AND updateTime < 2026-11-22T08:00:00+01:00',
            (
                Term("update_time", ">=", datetime(2026, 11, 21, 8, tzinfo=UTC)),
                Term("update_time", "<", datetime(2026, 11, 22, 7, tzinfo=UTC)),
            ),
        ),
    ],
)
def test_what_is_understood(text: str, expected: tuple[Term, ...]) -> None:
    assert parse_filter(text, FIELDS) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = red", "at character 1: the list knows number, state, updateTime and not `colour`"),
        ("state = LOST", "at character 9: state is one of ON_HOLD, PAID, POSTED"),
        ("state = ORDER_STATE_LOST", "at character 9: state is one of"),
        ("state > POSTED", "at character 7: state is compared by = !=, not by `>`"),
        (
            "updateTime = 2026-11-21T08:00:00Z",
            "at character 12: updateTime is compared by < <= > >=, not by `=`",
        ),
        ("updateTime > noon", "at character 14: a time with zone was expected"),
        ("updateTime > 2026-11-21T08:00:00", "at character 14: the time has no zone"),
        ("state = POSTED state = PAID", "at character 16: AND or the end was expected, not `state`"),
        ("state = POSTED AND", "at character 19: the name of a field was expected, not the end"),
        ("state = POSTED OR number = 7", "at character 19: OR joins values of one field"),
        ("state != POSTED OR state != PAID", "at character 20: OR joins values of one field"),
        ("(state = POSTED", "at character 16: a closing bracket was expected, not the end"),
        ("state = (POSTED)", "at character 9: a value was expected, not `(`"),
        ('number = "open', "at character 10: a quoted value does not end"),
        ('number = "\\q"', "at character 10: the quoted value is not written as in JSON"),
        ('number = "\\u0000"', "at character 10: the value holds a character that no text can hold"),
        ("number = a AND number = b", "at character 16: the field is named twice"),
        ("state =", "at character 8: a value was expected, not the end"),
        ("NOT state = POSTED", "at character 1: the list knows"),
        ("state : POSTED", "at character 7: state is compared by = !=, not by `:`"),
        ("!state", "at character 1: this cannot be read"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_filter(text, FIELDS)
    assert refused.value.reason == "FILTER_INVALID"
    assert said in refused.value.violations[0].description


@given(st.text(st.sampled_from('state number updateTime=!<>()" AND OR POSTED\\2026-Z:'), max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    assert outcome(text) in ("understood", "FILTER_INVALID")


def outcome(text: str) -> str:
    try:
        parse_filter(text, FIELDS)
    except Refused as refused:
        return refused.reason
    return "understood"


def test_the_number_of_values_is_bounded() -> None:
    with pytest.raises(Refused, match="FILTER_INVALID"):
        parse_filter(" OR ".join(["number = 1"] * 11), FIELDS)
