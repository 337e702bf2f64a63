"""Rows that another transaction holds: open this to make writes fail with UNABLE_TO_LOCK_ROW.

Beside the kit's faults, because a lock hits one record inside a composite call and not the whole request:
`POST /_sim/locks {"count": 3, "sobject": "Order"}` refuses the next three writes of Orders; count 0 = until cleared.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.kit.simulator import JsonObject, Refusal

from . import errors
from .catalog import find_object


@dataclass
class _Lock:
    sobject: str  # "" = of any object.
    count: int
    hits: int = 0

    def strikes(self, sobject: str) -> bool:
        if self.sobject not in ("", sobject) or 0 < self.count <= self.hits:
            return False
        self.hits += 1
        return True

    def as_json(self) -> JsonObject:
        return {"sobject": self.sobject or None, "count": self.count, "hits": self.hits}


class Locks:
    """The armed locks, asked in the order in which they were armed."""

    def __init__(self) -> None:
        self._armed: list[_Lock] = []

    def check(self, sobject: str, record_id: str) -> None:
        """Raises UNABLE_TO_LOCK_ROW if a lock strikes this write."""
        if any(lock.strikes(sobject) for lock in self._armed):
            raise errors.unable_to_lock_row(record_id)

    def arm(self, body: JsonObject) -> JsonObject:
        count, name = body.get("count", 1), body.get("sobject") or ""
        sobject = find_object(str(name)) if name else None
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise Refusal("count must be a whole number, 0 or more")
        if name and sobject is None:
            raise Refusal(f"no object is called {name!r}")
        self._armed.append(_Lock(sobject.name if sobject else "", count))
        return self.as_json()

    def clear(self) -> JsonObject:
        cleared, self._armed = len(self._armed), []
        return {"cleared": cleared}

    def as_json(self) -> JsonObject:
        return {"locks": [lock.as_json() for lock in self._armed]}
