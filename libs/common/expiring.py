"""A small bounded cache whose entries expire. Open this file before you keep anything in memory between requests."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """At most `entries_max` entries, each for `lifetime`; the oldest goes first."""

    def __init__(self, entries_max: int, lifetime: timedelta) -> None:
        self._entries_max = entries_max
        self._lifetime = lifetime
        self._entries: OrderedDict[K, tuple[datetime, V]] = OrderedDict()

    def get(self, key: K, now: datetime) -> V | None:
        """The value while it is trusted."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and now <= entry[0] else None

    def put(self, key: K, value: V, now: datetime) -> None:
        self._entries[key] = (now + self._lifetime, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
