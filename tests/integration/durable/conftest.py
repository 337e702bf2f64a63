"""Each test has a fresh schema of notes and the core in front of it."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import structlog

from libs.common.context import using
from libs.common.ids import new_id
from libs.common.testing.records import CREATE_NOTES, a_context
from libs.common.testing.stores import Postgres
from tests.integration.durable.world import World


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """Structlog's own way to show an exception, with all local values, takes longer than the tests."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )
    yield
    structlog.reset_defaults()


@pytest_asyncio.fixture
async def world(postgres: Postgres) -> AsyncIterator[World]:
    service = new_id("notes")
    await postgres.make_schema(service, [CREATE_NOTES])
    driver = await postgres.connect(service)
    world = World(postgres, service, driver)
    with using(a_context()):
        yield world
    await world.close()
    await driver.close()
    await postgres.drop_schema(service)
