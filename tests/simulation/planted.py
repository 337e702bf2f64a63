"""Bugs planted on purpose, each of which some of the first seeds must find. Open this file to plant another.

Most are those of `tests/faults/planted.py`; those here need the moments that only a simulation meets.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import asyncpg

from libs.common.durable import claims, leases
from libs.common.durable.model import Delivery
from libs.common.durable.session import Session
from libs.common.rpc import conversation
from libs.common.testing.simulation.fate import Weather
from tests.faults.planted import (
    blind_repeat,
    forgotten_key,
    missing_lease,
    publish_after_commit,
    swapped,
    unaudited_change,
)
from tests.simulation.ground import Ground
from tests.simulation.run import Verdict, simulate

SEEDS_MAX = 10
STEPS = 1000


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """One mistake. `plant` breaks the part inside its block."""

    name: str
    plant: Callable[[], AbstractContextManager[object]]
    weather: Weather | None = None
    """What brings it out soon; None leaves it to the seeds."""
    is_soon_found: bool = True
    """False for those that only `make sim ARGS=--planted` looks for."""


def lease_not_looked_at() -> AbstractContextManager[object]:
    """Who has tried a delivery settles it, even when somebody else holds it by now."""
    still_held = claims.still_held

    async def everything(
        driver: Session, deliveries: Sequence[Delivery], table: str = "", asked: claims.Keys = ()
    ) -> tuple[set[claims.Held], list[asyncpg.Record]]:
        _, records = await still_held(driver, deliveries, table, asked)
        return {(delivery.delivery_id, delivery.lease_id) for delivery in deliveries}, records

    return swapped(claims, "still_held", everything)


def no_head_of_line() -> AbstractContextManager[object]:
    """Whatever is due is delivered, whether or not something of the same record is still open before it."""
    first = leases.CLAIM.index("AND d.sequence = (")
    rest = leases.CLAIM.index("ORDER BY d.due_time, d.delivery_id")
    return swapped(leases, "CLAIM", leases.CLAIM[:first] + leases.CLAIM[rest:])


def next_step_out_of_line() -> AbstractContextManager[object]:
    """What a commit makes due begins at once, whether or not something of the same record is still open before it."""
    return swapped(leases, "HOLD", leases.HOLD.replace("IS NULL AS is_free", "IS NULL OR true AS is_free"))


def begun_however_late() -> AbstractContextManager[object]:
    """A call on a stream is begun however long it was on its way, also when its caller has given it up."""
    return swapped(conversation, "seconds_left", lambda call, began, method: method.timeout_seconds)


LOSSY = Weather(lose_reply=0.4)
LATE = Weather(delay=0.06)
PLANTED = (
    PlantedBug("blind repeat on time-out", blind_repeat, LOSSY),
    PlantedBug("settled without looking at the lease", lease_not_looked_at, LATE),
    PlantedBug("begun however late", begun_however_late, LATE),
    PlantedBug("publish after commit", publish_after_commit),
    PlantedBug("no head of line", no_head_of_line),
    PlantedBug("next step out of line", next_step_out_of_line),
    PlantedBug("key not stored with the change", forgotten_key),
    PlantedBug("missing lease", missing_lease, is_soon_found=False),
    PlantedBug("audit row lost", unaudited_change, is_soon_found=False),
)


def first_to_find(ground: Ground, bug: PlantedBug) -> Verdict | None:
    """The first run that objects; None when none of the first seeds does."""
    with bug.plant():
        for seed in range(1, SEEDS_MAX + 1):
            verdict = simulate(ground, seed, STEPS, bug.weather)
            if verdict.objections:
                return verdict
    return None
