"""A filter is understood exactly or refused; a page token opens the list it was made for and no other."""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Refused
from libs.common.filtering import TERMS_MAX, is_storable
from libs.common.listing import PAGE_DEFAULT, PAGE_MAX, parse_page

COLUMNS = {"state": "state", "customerId": "customer_id", "note": "note"}

values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
filters = st.dictionaries(st.sampled_from(sorted(COLUMNS)), values, max_size=3)


def written(terms: dict[str, str]) -> str:
    return " AND ".join(f"{name} = {json.dumps(value)}" for name, value in terms.items())


def where(text: str) -> dict[str, str]:
    return dict(parse_page("acme", 0, "", text, COLUMNS).where)


@given(filters)
def test_a_quoted_filter_is_understood_whatever_its_values_hold(terms: dict[str, str]) -> None:
    assert where(written(terms)) == {COLUMNS[name]: value for name, value in terms.items()}


@given(st.text(max_size=80))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    found = refusal_of(lambda: where(text))

    if found is None:
        assert set(where(text)) <= set(COLUMNS.values())
    else:
        assert (found.reason, found.violations[0].field) == ("FILTER_INVALID", "filter")


def refusal_of(call: Callable[[], object]) -> Refused | None:
    """What the call is refused with, where it is."""
    try:
        call()
    except Refused as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  ", {}),
        ("state = PARKED", {"state": "PARKED"}),
        ("state=PARKED AND customerId=cus_1", {"state": "PARKED", "customer_id": "cus_1"}),
        ('note = "this AND that"', {"note": "this AND that"}),
        ('note = "a \\"quoted\\" word"', {"note": 'a "quoted" word'}),
    ],
)
def test_what_is_understood(text: str, expected: dict[str, str]) -> None:
    assert where(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "state",
        "state =",
        "= PARKED",
        "state = A B",
        "state = A AND",
        "AND state = A",
        "state = A AND AND note = b",
        "state = A OR note = b",
        "state != A",
        'note = "open',
        'note = "\\q"',
        'note = "a\nb"',
        "unknown = 1",
        "state = A AND state = B",
        'note = "x"state = A',
        "note=a=b",
        "state = A OR state = B",
        'note = "\\u0000"',
        'note = "\\ud800"',
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        where(text)

    assert refused.value.reason == "FILTER_INVALID"


def test_a_filter_has_at_most_ten_terms() -> None:
    columns = {letter * 3: letter for letter in "abcdefghijk"}
    text = " AND ".join(f"{name} = 1" for name in columns)

    with pytest.raises(Refused):
        parse_page("acme", 0, "", text, columns)

    fewer = " AND ".join(f"{name} = 1" for name in list(columns)[:TERMS_MAX])
    assert len(parse_page("acme", 0, "", fewer, columns).where) == TERMS_MAX


@given(st.text(max_size=60).filter(is_storable), st.sampled_from(["acme", "other"]), filters)
def test_a_token_leads_back_to_where_its_page_ended(last: str, tenant: str, terms: dict[str, str]) -> None:
    page = parse_page(tenant, 10, "", written(terms), COLUMNS)

    assert parse_page(tenant, 99, page.token(last), written(terms), COLUMNS).after == last


@given(st.text(min_size=1, max_size=60))
def test_a_token_opens_no_other_tenant_s_list_no_other_list_and_no_other_filter(last: str) -> None:
    token = parse_page("acme", 10, "", "state = A", COLUMNS).token(last)

    others = {"state": "state"}
    for tenant, text, columns in (
        ("other", "state = A", COLUMNS),
        ("acme", "state = B", COLUMNS),
        ("acme", "", COLUMNS),
        ("acme", "state = A", others),
    ):
        with pytest.raises(Refused) as refused:
            parse_page(tenant, 10, token, text, columns)
        assert refused.value.reason == "PAGE_TOKEN_INVALID"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


FORGED = [encoded(value) for value in (1, None, [], ["a"], ["a", "b", "c"], {"a": 1, "b": 2}, "ab", [1, 2])]


@given(
    st.one_of(
        st.text(min_size=1, max_size=40),
        st.sampled_from(FORGED),
        st.binary(min_size=1).map(lambda content: base64.urlsafe_b64encode(content).decode()),
    )
)
def test_any_other_text_is_no_token(token: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_page("acme", 10, token, "", COLUMNS)

    assert refused.value.reason == "PAGE_TOKEN_INVALID"


def test_a_token_of_brackets_is_no_token() -> None:
    with pytest.raises(Refused):
        parse_page("acme", 10, base64.urlsafe_b64encode(b"[" * 100_000).decode(), "", COLUMNS)


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_page_is_never_larger_than_its_bound(size: int) -> None:
    page = parse_page("acme", size, "", "", COLUMNS)

    assert 1 <= page.size <= PAGE_MAX
    assert page.size == (size if 1 <= size <= PAGE_MAX else PAGE_MAX if size > 0 else PAGE_DEFAULT)
