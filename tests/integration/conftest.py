"""The real stores of this tier, one of each for a whole run. Each test takes a fresh schema or database of its own."""

from collections.abc import Iterator

import pytest

from libs.common.testing.stores import Postgres, running_postgres, running_valkey


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that is never stopped before the end; cut a `DatabaseLink` in front of it instead."""
    with running_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A Valkey that is never stopped before the end."""
    with running_valkey() as url:
        yield url
