"""Record ids: one form to compare on, whatever was done to them on the way."""

import pytest

from connectors.salesforce import record_ids
from connectors.salesforce.simulator import ids


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("001D000000K0fXO", "001D000000K0fXOIAZ"),
        ("001D000000K0fXOIAZ", "001D000000K0fXOIAZ"),
        ("001d000000k0fxoiaz", "001D000000K0fXOIAZ"),
        ("001D000000K0fXOI9Z", None),
        ("001D000000K0fX", None),
        ("SO1504", None),
        ("", None),
    ],
)
def test_id_is_brought_to_18_characters_or_told_apart(given: str, found: str | None) -> None:
    assert record_ids.to_id18(given) == found


def test_connector_and_simulator_read_the_rule_alike() -> None:
    made = [ids.make_id(prefix, serial) for prefix in ("001", "801", "a0Q") for serial in range(1, 5_000, 7)]
    assert [record_ids.to_id18(each[:15]) for each in made] == made
