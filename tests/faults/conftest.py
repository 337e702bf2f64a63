"""One whole mesh for all faults, as `make faults` has it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.faults.ground import Ground, open_ground


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[Ground]:
    async with open_ground() as ground:
        yield ground
