"""The checker objects to histories that broken parts make, and to none that sound ones make."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.planted import PLANTED, SOUND, PlantedBug, verdict_on
from tests.faults.worlds import Worlds, open_worlds

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worlds() -> AsyncIterator[Worlds]:
    async with open_worlds() as worlds:
        yield worlds


async def test_a_day_without_bugs_meets_no_objection(worlds: Worlds) -> None:
    assert await verdict_on(SOUND, worlds) == set()


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
async def test_a_planted_bug_is_objected_to(bug: PlantedBug, worlds: Worlds) -> None:
    assert bug.rule in await verdict_on(bug, worlds)
