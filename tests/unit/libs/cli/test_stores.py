"""The embedded stores start, keep what they hold through kill -9, and bear odd paths."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from libs.cli.config import surroundings
from libs.cli.ports import hold_port
from libs.cli.stores import POSTGRES, REDIS, Postgres, redis_spec
from libs.cli.supervisor import State, Supervisor

pytestmark = pytest.mark.integration
SOON = timedelta(seconds=30)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop_all()


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a space, and not below a folder that only we may enter."""
    folder = Path(tempfile.mkdtemp(prefix="ordermesh test "))
    yield folder
    shutil.rmtree(folder)


async def run_postgres(supervisor: Supervisor, folder: Path) -> AsyncEngine:
    environment = surroundings().inherited
    postgres = Postgres(folder)
    await postgres.prepare(folder / "postgres.log", environment)
    supervisor.add(postgres.spec(folder / "postgres.log", environment))
    supervisor.start(POSTGRES)
    await supervisor.until_ready({POSTGRES}, SOON)
    return create_async_engine(postgres.url, poolclass=NullPool)


async def ask(engine: AsyncEngine, question: str) -> str:
    async with engine.begin() as connection:
        result = await connection.execute(text(question))
        return str(result.scalar()) if result.returns_rows else ""


async def test_postgres_keeps_what_was_committed_through_kill_9(supervisor: Supervisor, folder: Path) -> None:
    engine = await run_postgres(supervisor, folder)
    assert await ask(engine, "show fsync") == "on"
    await ask(engine, "create table kept as select 7 as value")
    kept = supervisor.process(POSTGRES)

    supervisor.kill(POSTGRES)

    assert await supervisor.until(lambda: kept.restarts > 0 and kept.state is State.READY, SOON)
    assert await ask(engine, "select value from kept") == "7"


async def test_postgres_starts_again_on_its_data_in_a_path_too_long_for_a_socket(
    supervisor: Supervisor, folder: Path
) -> None:
    deep = folder / ("deep" * 30)
    deep.mkdir()
    engine = await run_postgres(supervisor, deep)
    await ask(engine, "create table kept as select 7 as value")
    await supervisor.stop(POSTGRES)
    # What a machine that lost power leaves behind: the lock of a process that is now another program.
    (deep / "postgres" / "postmaster.pid").write_text("1\n")

    again = Supervisor()
    engine = await run_postgres(again, deep)
    assert await ask(engine, "select value from kept") == "7"
    await again.stop_all()
    Postgres(deep).clear_up()


async def test_redis_takes_commands_and_comes_back_empty_after_kill_9(
    supervisor: Supervisor, folder: Path
) -> None:
    port = hold_port()
    supervisor.add(redis_spec(folder / "redis", port.number, folder / "redis.log", surroundings().inherited))
    supervisor.start(REDIS)
    await supervisor.until_ready({REDIS}, SOON)
    async with Redis(host="127.0.0.1", port=port.number) as client:
        await client.set("budget", 1)
        assert await client.get("budget") == b"1"
    kept = supervisor.process(REDIS)

    supervisor.kill(REDIS)

    assert await supervisor.until(lambda: kept.restarts > 0 and kept.state is State.READY, SOON)
    async with Redis(host="127.0.0.1", port=port.number) as client:
        assert await client.get("budget") is None
    port.release()
