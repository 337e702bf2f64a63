"""One PostgreSQL for all runs of the simulation."""

from collections.abc import Iterator

import pytest

from tests.simulation.ground import Ground, open_ground


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    with open_ground() as ground:
        yield ground
