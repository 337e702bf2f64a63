"""An outside system as a test sees it: it can be struck by faults, touched by its people, and asked what it holds."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from ordermesh.connector.v1 import change_pb2

Kind = change_pb2.Kind


class Fault(StrEnum):
    """How the outside system misbehaves; the names are those of the simulators' fault switches."""

    LOSE_REPLY = "lose_reply"
    """Does what is asked, then drops the connection."""
    RESET = "reset"
    """Drops the connection before the request is looked at."""
    THROTTLE = "throttle"
    """Its own "too many requests"."""
    UNAVAILABLE = "unavailable"
    """503, nothing done."""
    UNAVAILABLE_AFTER = "unavailable_after"
    """503, everything done."""
    SLOW = "slow"
    """Answers after `seconds`."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105  (a fault, not a secret)
    """Says that the token is no longer valid."""
    DUPLICATE = "duplicate"
    """Tells a change twice."""
    OUT_OF_ORDER = "out_of_order"
    """Tells a change too late."""


class On(StrEnum):
    """Which request is struck."""

    WRITE = "write"
    """The next that creates or changes the record of a change."""
    READ = "read"
    """The next that looks for a record or reads changes."""


class Vendor(Protocol):
    """The other side of the outside system."""

    async def strike(self, fault: Fault, on: On, *, retry_after: str = "", seconds: float = 0.0) -> None:
        """The next request of that sort fails like that, once."""

    async def copies(self, kind: Kind.ValueType, key: str) -> int:
        """Documents it holds under our key; two are the failure all this is about."""

    async def touch(self, kind: Kind.ValueType, count: int) -> Sequence[str]:
        """Lets its people change or create so many records of a kind, one by one; the vendor's ids in that order."""

    async def requests(self) -> int:
        """Requests it has seen."""

    async def leave(self) -> None:
        """Listens no more: connections are refused from now on."""
