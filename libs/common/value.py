"""Values that cost little to make. Open this file before you make a class of which each call makes many objects.

A value never changes, and the type checker, which sees all code, holds everybody to it. `@dataclass(frozen=True)` holds
them to it at run time as well, for four times the price of an object: 5.6 µs for an order instead of 1.4.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """A dataclass with slots that is frozen for the type checker. Compared and hashed by its fields."""
    return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
