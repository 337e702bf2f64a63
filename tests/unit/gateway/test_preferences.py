"""The header Prefer."""

import pytest

from gateway.preferences import Preferences, applied


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Preferences()),
        ("wait=10", Preferences(wait_seconds=10)),
        ("WAIT = 10", Preferences(wait_seconds=10)),
        ('wait="10"; foo=1', Preferences(wait_seconds=10)),
        ("wait=31", Preferences(wait_seconds=30)),
        ("wait=" + "9" * 500, Preferences(wait_seconds=30)),
        ("wait=0", Preferences()),
        ("wait=-1", Preferences()),
        ("wait=1.5", Preferences()),
        ("wait=\u0664", Preferences()),
        ("wait", Preferences()),
        ("wait=5, wait=10", Preferences(wait_seconds=5)),
        ("respond-async, wait=5", Preferences(wait_seconds=5, respond_async=True)),
        ("return=minimal", Preferences(minimal=True)),
        ("return=representation", Preferences()),
        ("handling=lenient, return=minimal", Preferences(minimal=True)),
        (",,;;==,", Preferences()),
        ("wait=5," * 500, Preferences()),
    ],
)
def test_what_is_understood_is_honoured_and_the_rest_ignored(header: str, expected: Preferences) -> None:
    assert Preferences.parse(header) == expected


def test_only_what_was_applied_is_told() -> None:
    assert applied("wait=5", "", "return=minimal") == ((b"preference-applied", b"wait=5, return=minimal"),)
    assert applied("", "") == ()
