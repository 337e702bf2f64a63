"""What only the garbage collector would free. Open this file when a process pauses, or grows, with its calls."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def collector_off(kind: type[T]) -> Iterator[Callable[[], Sequence[T]]]:
    """Whatever holds itself stays in the block; yields what tells the objects of the kind made in it that still are."""
    gc.collect()
    before = {id(each): each for each in _alive(kind)}
    gc.disable()
    try:
        yield lambda: [each for each in _alive(kind) if id(each) not in before]
    finally:
        gc.enable()


def _alive(kind: type[T]) -> list[T]:
    return [each for each in gc.get_objects() if issubclass(type(each), kind)]
