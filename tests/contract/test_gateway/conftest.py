"""Fixtures of the gateway's contract tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.test_gateway.line import Socket
from tests.contract.test_gateway.mesh import Mesh, running_mesh, served


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path) as mesh:
        yield mesh


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[Socket]:
    async with (
        running_mesh(tmp_path, receive_seconds=0.5) as mesh,
        served(mesh.gateway, mesh.settings) as port,
    ):
        yield Socket(mesh, port)
