"""Fixtures of the gateway's contract tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.test_gateway.mesh import Mesh, running_mesh


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path) as mesh:
        yield mesh
