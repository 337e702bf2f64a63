"""Values: what a field makes of what a client sends."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from connectors.salesforce.simulator.catalog import Field
from connectors.salesforce.simulator.errors import SalesforceError
from connectors.salesforce.simulator.values import print_time, to_stored


@pytest.mark.parametrize(
    ("type_", "sent", "stored"),
    [
        ("string", "  Acme ", "Acme"),
        ("string", "", None),
        ("currency", "12.50", Decimal("12.50")),
        ("currency", Decimal("0.1234"), Decimal("0.1234")),
        ("double", 3, Decimal(3)),
        ("int", Decimal("3.0"), 3),
        ("boolean", "TRUE", True),
        ("boolean", None, False),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "2026-01-31T23:59:00Z", "2026-01-31"),
        ("datetime", "2026-01-31T10:20:30+02:00", "2026-01-31T08:20:30.000+0000"),
        ("datetime", "2026-01-31", "2026-01-31T00:00:00.000+0000"),
        ("reference", "001D000000K0fXO", "001D000000K0fXOIAZ"),
    ],
)
def test_value_is_stored_as(type_: str, sent: object, stored: object) -> None:
    default = False if type_ == "boolean" else None
    assert to_stored(Field(name="X", type=type_, default=default), sent) == stored


@pytest.mark.parametrize(
    ("type_", "sent", "code"),
    [
        ("currency", "a lot", "JSON_PARSER_ERROR"),
        ("currency", True, "JSON_PARSER_ERROR"),
        ("currency", Decimal("1e16"), "NUMBER_OUTSIDE_VALID_RANGE"),
        ("int", Decimal("3.5"), "JSON_PARSER_ERROR"),
        ("int", 2**40, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("date", "31.01.2026", "JSON_PARSER_ERROR"),
        ("date", "2026-02-30", "JSON_PARSER_ERROR"),
        ("datetime", 7, "JSON_PARSER_ERROR"),
        ("string", {"a": 1}, "JSON_PARSER_ERROR"),
        ("reference", "x", "MALFORMED_ID"),
    ],
)
def test_value_is_refused(type_: str, sent: object, code: str) -> None:
    with pytest.raises(SalesforceError) as refused:
        to_stored(Field(name="X", type=type_), sent)
    assert refused.value.code == code


def test_time_is_printed_in_utc_and_cut_to_the_millisecond() -> None:
    moment = datetime(2026, 1, 31, 10, 20, 30, 999999, tzinfo=timezone(timedelta(hours=2)))
    assert print_time(moment) == "2026-01-31T08:20:30.999+0000"
    assert print_time(moment.astimezone(UTC)) == print_time(moment)
