"""Which customers an outside record may stand for, and how alike two records are."""

import pytest

from libs.common.address import Address
from services.customer import domain
from services.customer.domain import Claimant, Customer, Keys, Likeness, likeness, ranked
from tests.unit.services.memory import NOW

MAIN_STREET = Address(
    lines=("12 Main Street",), locality="Springfield", postal_code="62704", country_code="US"
)
ELSEWHERE = Address(lines=("Hafenweg 3",), locality="Hamburg", postal_code="20457", country_code="DE")


def a_customer(
    name: str = "Acme Tools Inc.",
    *,
    record_id: str = "cus_1",
    place: Address | None = MAIN_STREET,
    tax_id: str = "",
    duns: str = "",
) -> Customer:
    return Customer(
        tenant="acme",
        record_id=record_id,
        create_time=NOW,
        update_time=NOW,
        correlation_id="cor-1",
        traceparent="",
        name=name,
        tax_id=tax_id,
        duns=duns,
        bill_to=place,
    )


def alike(claimant: Claimant, **of: object) -> Likeness:
    return likeness(claimant, a_customer(**of))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "street"),
    [
        ("Acme Tools", "12 Main Street"),
        ("ACME TOOLS LLC", "Main Street 12"),
        ("Tools, Acme", "12 Main St"),
        ("Acme Toolz", "12 Main Street"),
    ],
)
def test_another_spelling_of_name_and_address_is_a_candidate(name: str, street: str) -> None:
    place = Address(lines=(street,), locality="Springfield", postal_code="62704", country_code="US")
    found = alike(Claimant(name, address=place))
    assert found.score >= domain.matching.THRESHOLD
    assert not found.exact
    assert "name" in found.matched


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Acme Tools", ELSEWHERE),
        ("Globex Logistics", MAIN_STREET),
        ("Acme Bakery", MAIN_STREET),
        ("", MAIN_STREET),
    ],
)
def test_what_only_half_agrees_is_no_candidate(name: str, place: Address) -> None:
    assert ranked(Claimant(name, address=place), [a_customer()]) == []


def test_without_an_address_only_the_very_name_is_a_candidate() -> None:
    assert [each.matched for each in ranked(Claimant("Acme Tools"), [a_customer()])] == [("name",)]
    assert ranked(Claimant("Acme Toolz Int"), [a_customer()]) == []


@pytest.mark.parametrize(
    ("claimant", "matched"),
    [
        (Claimant("Other", tax_id="us 12-345"), ("tax_id",)),
        (Claimant("Other", duns="123456789"), ("duns",)),
        (Claimant("Other", tax_id="US12345", duns="123456789"), ("tax_id", "duns")),
    ],
)
def test_a_number_of_the_register_is_exact_however_it_is_written(
    claimant: Claimant, matched: tuple[str, ...]
) -> None:
    found = alike(claimant, tax_id="US12345", duns="123456789", place=ELSEWHERE)
    assert (found.exact, found.score, found.matched) == (True, 100, matched)


def test_nothing_is_exact_for_two_records_without_numbers() -> None:
    assert not alike(Claimant("Acme Tools Inc.", address=MAIN_STREET)).exact


def test_the_likeliest_comes_first_and_of_equals_the_oldest() -> None:
    customers = [
        a_customer("Acme Toolz", record_id="cus_1"),
        a_customer("Acme Tools", record_id="cus_3"),
        a_customer("Acme Tools", record_id="cus_2"),
        a_customer("Globex", record_id="cus_4", tax_id="T1"),
    ]
    found = ranked(Claimant("Acme Tools", tax_id="T1", address=MAIN_STREET), customers)
    assert [each.customer.record_id for each in found] == ["cus_4", "cus_2", "cus_3", "cus_1"]


def test_accents_and_case_make_no_difference_to_a_name() -> None:
    assert alike(Claimant("MÜLLER GMBH", address=MAIN_STREET), name="Muller").score == 100


def test_records_that_share_no_key_are_never_compared_and_empty_keys_are_shared_with_nobody() -> None:
    acme = Keys.of_customer(a_customer())
    assert acme.meet(Keys.of("Acme-Tools else", "", "", None))
    assert acme.meet(Keys.of("Globex", "", "", MAIN_STREET))
    assert not acme.meet(Keys.of("Globex", "", "", ELSEWHERE))
    assert not Keys.of("", "", "", None).meet(Keys.of("", "", "", None))
