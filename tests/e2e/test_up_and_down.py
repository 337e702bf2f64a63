"""`ordermesh up` as a person runs it: ready, seen by the other commands, gone without a trace."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from libs.cli.instance import DataDir, RunRecord
from libs.cli.orphans import command_line_of
from libs.common.clock import SystemClock

pytestmark = [pytest.mark.xdist_group("up"), pytest.mark.timeout(150), pytest.mark.slow]

COMMAND = (sys.executable, "-m", "libs.cli")
READY_SECONDS = 90
GONE_LIMIT = timedelta(seconds=20)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a space in it, and not below a folder that only we may enter."""
    folder = Path(tempfile.mkdtemp(prefix="ordermesh up "))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def up(home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A mesh that has said it is ready."""
    process = await start(home, "up", "--port", "0", "--data", "data")
    try:
        assert process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            while b"ready in" not in (line := await process.stdout.readline()):
                assert line, "it ended before it was ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def start(home: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *words,
        cwd=home,
        env={
            **os.environ,
            "XDG_STATE_HOME": str(home / "state"),
            "COLUMNS": "160",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def ask(home: Path, *words: str) -> tuple[int, str]:
    process = await start(home, *words)
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def record_of(home: Path) -> RunRecord:
    record = DataDir(home / "data").read()
    assert record is not None
    return record


async def all_gone(record: RunRecord) -> bool:
    clock, never = SystemClock(), asyncio.Event()
    deadline = clock.now() + GONE_LIMIT
    while alive(record) and clock.now() < deadline:
        await clock.wait(never, timedelta(milliseconds=50))
    return not alive(record)


def alive(record: RunRecord) -> list[str]:
    return [each.name for each in record.processes if each.pid and command_line_of(each.pid)]


async def test_a_mesh_is_found_by_the_other_commands_and_stopped_by_down(home: Path) -> None:
    async with up(home) as process:
        running = record_of(home)
        assert len(alive(running)) == 11

        code, told = await ask(home, "status")
        assert (code, "ready" in told, "exceptions: 0" in told) == (0, True, True)
        code, token = await ask(home, "token", "--system", "salesforce")
        assert (code, token.count(".")) == (0, 2)
        assert (await ask(home, "orders", "watch", "--once"))[0] == 0
        code, told = await ask(home, "up", "--port", "0", "--data", "data")
        assert (code, "a mesh is running on" in told) == (1, True)

        assert (await ask(home, "down"))[0] == 0
        assert await process.wait() == 0
        assert alive(running) == []
        assert (await ask(home, "status"))[0] == 3


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="other systems clear orphans away at the next start")
async def test_a_mesh_that_is_killed_leaves_nothing_running_and_starts_again(home: Path) -> None:
    async with up(home) as process:
        before = record_of(home)
        process.kill()
        await process.wait()
        assert await all_gone(before), alive(before)

    async with up(home) as process:
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        assert alive(record_of(home)) == []
