"""Whatever dies, nothing is lost, doubled or turned back: a short selection of what `make faults` tries.

One mesh serves all; its ledgers forget nothing, so each trial also judges those before it.
"""

import pytest

from tests.faults.ground import Ground
from tests.faults.trials import Trial, short_trials, try_out

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(150),
    pytest.mark.faults,
    pytest.mark.slow,
]
SEED = 1


@pytest.mark.parametrize("trial", list(short_trials()), ids=lambda trial: trial.name)
async def test_nothing_is_lost_doubled_or_turned_back(trial: Trial, ground: Ground) -> None:
    assert await try_out(trial, ground, SEED) == []
