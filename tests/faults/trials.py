"""All trials there are, and how one is run. Open it to add a fault."""

from collections.abc import Iterator
from typing import Protocol

from tests.faults.crashes import Crash, crashes
from tests.faults.ground import Ground, NeverHappened
from tests.faults.pressure import ConnectionsTaken, Deadlocks, DiskFull, SchemaMoves, Serializable
from tests.faults.restarts import Killed, RollingRestart
from tests.faults.stores import PostgresKilled, PostgresStopped, ValkeyFlushed, ValkeyStopped
from tests.faults.vendors import VendorStandsStill, vendor_troubles

POSTGRES_AWAY_SECONDS = 30.0
VALKEY_AWAY_SECONDS = 300.0
UNWELL_SECONDS = 10.0


class Trial(Protocol):
    """A kind of fault."""

    @property
    def name(self) -> str: ...

    async def strike(self, ground: Ground, seed: int) -> None:
        """Makes the trouble while orders are traded, and ends it. Raises NeverHappened."""


def trials() -> Iterator[Trial]:
    """The long selection."""
    yield from crashes()
    yield PostgresStopped(POSTGRES_AWAY_SECONDS)
    yield PostgresKilled()
    yield ValkeyFlushed()
    yield ValkeyStopped(VALKEY_AWAY_SECONDS)
    yield DiskFull(UNWELL_SECONDS)
    yield ConnectionsTaken(UNWELL_SECONDS)
    yield Serializable()
    yield Deadlocks()
    yield RollingRestart()
    yield Killed()
    yield SchemaMoves()
    yield from vendor_troubles()
    yield VendorStandsStill()


def short_trials() -> Iterator[Trial]:
    """The selection that every run of the tests makes: one of each sort, a minute in all."""
    yield Crash("order", "after_deliver")
    yield PostgresStopped(2.0)
    yield ValkeyStopped(0.0)
    yield RollingRestart(("order", "gateway"))


async def try_out(trial: Trial, ground: Ground, seed: int) -> list[str]:
    """Makes the trouble, waits until all is at rest, and tells every objection."""
    said: list[str] = []
    try:
        await trial.strike(ground, seed)
    except* NeverHappened as errors:
        said += [str(error) for error in errors.exceptions]
    return said + await ground.objections()
