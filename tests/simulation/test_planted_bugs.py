"""The simulation finds bugs: each that is planted into real parts is met within a few seeds."""

import pytest

from tests.simulation.ground import Ground
from tests.simulation.planted import PLANTED, SEEDS_MAX, PlantedBug, first_to_find

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("bug", [bug for bug in PLANTED if bug.is_soon_found], ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: PlantedBug, ground: Ground) -> None:
    assert first_to_find(ground, bug), f"no seed of {SEEDS_MAX} met {bug.name}"
