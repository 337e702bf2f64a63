"""What it means that a system shows a value in a field that it does not own."""

import pytest

from libs.common.address import Address
from libs.common.aggregate import Shown
from libs.common.conflicts import Reading, digest, read


def shown(*values: str) -> Shown:
    return Shown("salesforce", "name", values)


@pytest.mark.parametrize(
    ("known", "said", "holds", "reading", "values"),
    [
        (None, "A", "A", Reading.NOTHING_NEW, ("A",)),
        (None, "X", "A", Reading.FIRST, ("X", "A")),
        (shown("A"), "A", "A", Reading.NOTHING_NEW, ("A",)),
        (shown("A", "B"), "A", "B", Reading.NOTHING_NEW, ("A", "B")),  # not told the news yet
        (shown("A", "B"), "B", "B", Reading.AGREED, ("B",)),  # the echo
        (shown("A", "B", "C"), "B", "C", Reading.NOTHING_NEW, ("B", "C")),  # an echo that is old already
        (shown("A", "B", "A"), "A", "A", Reading.NOTHING_NEW, ("A",)),
        (shown("A", "B", "A", "C"), "A", "C", Reading.NOTHING_NEW, ("A", "C")),
        (shown("A"), "X", "A", Reading.WROTE, ("X", "A")),
        (shown("A", "B"), "X", "B", Reading.CROSSED, ("X", "B")),
        (shown("X", "A"), "X", "A", Reading.NOTHING_NEW, ("X", "A")),  # keeps saying what was not taken
        (shown("", "A"), "A", "A", Reading.NOTHING_NEW, ("A",)),  # told, and shows it
        (shown("", "A"), "X", "A", Reading.WROTE, ("X", "A")),  # told, and changed before it was read
        (shown("", "A", "B"), "A", "B", Reading.NOTHING_NEW, ("A", "B")),
        (shown("", "A", "B"), "X", "B", Reading.CROSSED, ("X", "B")),
        (shown("B"), "A", "B", Reading.WROTE, ("A", "B")),  # back to what it was before the news
    ],
)
def test_an_echo_is_told_from_a_write(
    known: Shown | None, said: str, holds: str, reading: Reading, values: tuple[str, ...]
) -> None:
    found, remembered = read(known, said, holds)
    assert (found, remembered.values) == (reading, values)


def test_values_that_say_the_same_are_the_same() -> None:
    assert digest(" Acme  Ltd ") == digest("Acme Ltd") != digest("Acme")
    assert digest(None) == digest("")
    ours = Address("Acme", ("1 Main St.",), "Bergen", "", "5003", "NO")
    theirs = Address("", ("Acme", "1 Main St"), "BERGEN", "", "5003", "NO")
    assert (
        digest(ours) == digest(theirs) != digest(Address("Acme", ("2 Main St",), "Bergen", "", "5003", "NO"))
    )
