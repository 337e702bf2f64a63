"""One whole mesh for all journeys, started as `ordermesh up` starts it, with embedded stores and simulators.

Its processes send traces to a collector here, of callers that ask for it and of few others.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from libs.cli.config import surroundings
from libs.cli.mesh import Mesh
from libs.common.testing.collector import Collector, collecting


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh(collector: Collector) -> AsyncIterator[Mesh]:
    # Not below pytest's own folder: the user that PostgreSQL runs as could not pass it.
    folder = Path(tempfile.mkdtemp(prefix="ordermesh-e2e-"))
    around = surroundings()
    told = {**around.inherited, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    async with Mesh(folder, around=replace(around, inherited=told)) as mesh:
        yield mesh
    shutil.rmtree(folder, ignore_errors=True)
