"""Whatever is lost, delayed, doubled or killed, nothing is lost, doubled or turned back: a few seeds of `make sim`."""

import secrets

import pytest

from tests.simulation.__main__ import SEED_MAX, SHOWN_STEPS, replay
from tests.simulation.ground import Ground
from tests.simulation.run import Verdict, simulate

pytestmark = pytest.mark.timeout(300)
STEPS = 300
SEEDS = (1, 2)


def story(verdict: Verdict, steps: int) -> str:
    """What to read when a seed fails."""
    return "\n".join(
        ["", *verdict.trace[-SHOWN_STEPS:], *verdict.objections, f"again: {replay(verdict.seed, steps)}"]
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_turned_back(seed: int, ground: Ground) -> None:
    verdict = simulate(ground, seed, STEPS)
    assert not verdict.objections, story(verdict, STEPS)
    assert verdict.orders, "a run without orders proves nothing"
    assert verdict.struck, "a run without faults proves little"


def test_nothing_is_lost_doubled_or_turned_back_in_a_fresh_run(ground: Ground) -> None:
    verdict = simulate(ground, secrets.randbelow(SEED_MAX), STEPS)
    assert not verdict.objections, story(verdict, STEPS)


def test_the_same_seed_gives_the_same_trace(ground: Ground) -> None:
    first, second = (simulate(ground, 6, 100) for _ in range(2))
    assert "\n".join(second.trace) == "\n".join(first.trace)
    assert second.digest == first.digest
