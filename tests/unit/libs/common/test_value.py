"""Values: alike when their fields are, and with room for nothing else."""

import pytest

from libs.common.value import value


@value()
class Point:
    x: int
    y: int = 0


@value(kw_only=True)
class Named(Point):
    name: str


def test_values_with_the_same_fields_are_the_same() -> None:
    assert Point(1) == Point(1, 0)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2
    assert Named(1, name="a") != Named(1, name="b")


def test_a_value_has_no_room_for_what_it_does_not_declare() -> None:
    with pytest.raises(AttributeError):
        object.__setattr__(Point(1), "z", 3)
