"""One whole mesh for all journeys, started as `ordermesh up` starts it, with embedded stores and simulators."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from libs.cli.mesh import Mesh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh() -> AsyncIterator[Mesh]:
    # Not below pytest's own folder: the user that PostgreSQL runs as could not pass it.
    folder = Path(tempfile.mkdtemp(prefix="ordermesh-e2e-"))
    async with Mesh(folder) as mesh:
        yield mesh
    shutil.rmtree(folder, ignore_errors=True)
