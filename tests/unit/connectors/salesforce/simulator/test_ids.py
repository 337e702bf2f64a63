"""Record ids: the 18-character form and what can be restored from it."""

import pytest

from connectors.salesforce.simulator.ids import make_id, to_id18


@pytest.mark.parametrize(
    ("id15", "id18"),
    [("001D000000K0fXO", "001D000000K0fXOIAZ"), ("701E0000000JuFH", "701E0000000JuFHIA0")],
)
def test_suffix_spells_out_the_capitals(id15: str, id18: str) -> None:
    assert to_id18(id15) == id18


def test_lost_capitals_are_restored_from_the_suffix() -> None:
    assert to_id18("001d000000k0fxoiaz") == "001D000000K0fXOIAZ"


@pytest.mark.parametrize(
    "text", ["", "001", "001D000000K0fX!", "001D000000K0fXOI9Z", "nonsense-that-is-long"]
)
def test_text_that_is_no_id_is_told_apart(text: str) -> None:
    assert to_id18(text) is None


def test_ids_of_one_object_sort_as_they_were_made() -> None:
    made = [make_id("801", serial) for serial in range(1, 200)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
