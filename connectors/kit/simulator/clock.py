"""The vendor's clock; open it when a simulator must live in another time than the caller."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Now, in UTC. The only place in a simulator that reads the machine's clock."""
    return datetime.now(UTC)
