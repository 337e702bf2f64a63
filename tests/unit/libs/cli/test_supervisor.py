"""Processes are kept running, stopped in order, and never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from libs.cli.child import ProcessSpec, Tier
from libs.cli.instance import ProcessRecord
from libs.cli.orphans import clear_away, command_line_of
from libs.cli.ports import HeldPort, hold_port
from libs.cli.supervisor import (
    RESTART_WAIT_MAX,
    StartFailed,
    State,
    Supervisor,
    restart_wait,
)
from libs.common.clock import SystemClock

STANDIN = Path(__file__).with_name("standin.py")
SOON = timedelta(seconds=20)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.kill_all()
    await supervisor.stop_all()


def a_process(
    folder: Path, name: str = "order", *manners: str, tier: Tier = Tier.SERVICE, port: HeldPort | None = None
) -> ProcessSpec:
    held = port or hold_port()
    return ProcessSpec(
        name=name,
        tier=tier,
        command=(sys.executable, "-S", str(STANDIN), str(held.number), *manners),
        log=folder / f"{name}.log",
        environment={"PATH": os.defpath},
        address=held.address,
        cwd=folder,
    )


def test_the_wait_before_a_restart_doubles_up_to_a_bound() -> None:
    waits = [restart_wait(deaths).total_seconds() for deaths in range(1, 5)]
    assert waits == [0.2, 0.4, 0.8, 1.6]
    assert restart_wait(1_000_000) == RESTART_WAIT_MAX


async def test_a_process_is_ready_once_it_takes_connections(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(a_process(tmp_path))
    assert supervisor.process("order").state is State.WAITING
    supervisor.start("order")
    assert await supervisor.until_ready({"order"}, SOON)


async def test_a_killed_process_is_started_again_on_its_port(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(a_process(tmp_path))
    supervisor.start("order")
    await supervisor.until_ready({"order"}, SOON)
    kept = supervisor.process("order")

    killed = supervisor.kill("order")

    assert await supervisor.until(lambda: kept.restarts == 1 and kept.state is State.READY, SOON)
    assert kept.pid != killed
    assert kept.exit_code == -signal.SIGKILL


async def test_a_process_that_never_starts_is_reported_with_its_exit_code(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.add(a_process(tmp_path, "order", "crash"))
    supervisor.start("order")
    with pytest.raises(StartFailed, match=r"order does not start.*3"):
        await supervisor.until_ready({"order"}, SOON)
    assert "no such table" in (tmp_path / "order.log").read_text()


async def test_a_program_that_does_not_exist_is_reported(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(
        ProcessSpec(name="order", tier=Tier.SERVICE, command=("/nowhere",), log=tmp_path / "order.log")
    )
    supervisor.start("order")
    with pytest.raises(StartFailed, match="127"):
        await supervisor.until_ready({"order"}, SOON)


async def test_tiers_stop_from_the_gateway_down_to_the_stores(supervisor: Supervisor, tmp_path: Path) -> None:
    ports = {tier: hold_port() for tier in Tier}
    for tier, port in ports.items():
        supervisor.add(a_process(tmp_path, tier.name, tier=tier, port=port))
        supervisor.start(tier.name)
    await supervisor.until_ready({tier.name for tier in Tier}, SOON)

    await supervisor.stop_all()

    stopped = [int(line) for line in (tmp_path / "stopped.txt").read_text().split()]
    assert stopped == [ports[tier].number for tier in reversed(Tier)]
    assert {kept.state for kept in supervisor.processes} == {State.STOPPED}


async def test_a_process_that_does_not_stop_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(a_process(tmp_path, "order", "deaf"))
    supervisor.start("order")
    await supervisor.until_ready({"order"}, SOON)
    await supervisor.stop("order", grace=timedelta(milliseconds=100))
    assert supervisor.process("order").exit_code == -signal.SIGKILL


async def test_a_stopped_process_stays_stopped_until_it_is_started(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.add(a_process(tmp_path, "redis"))
    supervisor.start("redis")
    await supervisor.until_ready({"redis"}, SOON)
    await supervisor.stop("redis")
    kept = supervisor.process("redis")
    assert (kept.state, kept.pid) == (State.STOPPED, 0)

    supervisor.start("redis")

    assert await supervisor.until_ready({"redis"}, SOON)
    assert kept.restarts == 0


async def test_a_process_can_be_stopped_while_it_waits_for_its_restart(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.add(a_process(tmp_path, "order", "crash"))
    supervisor.start("order")
    kept = supervisor.process("order")
    await supervisor.until(lambda: kept.state is State.RESTARTING, SOON)
    await supervisor.stop("order")
    assert kept.state is State.STOPPED


@pytest.mark.skipif(sys.platform != "linux", reason="other systems clear orphans away at the next start")
async def test_no_process_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    port = hold_port()
    program = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(STANDIN.parent)!r})
from libs.cli.child import ProcessSpec, Tier
from libs.cli.supervisor import Supervisor
from datetime import timedelta

async def main():
    supervisor = Supervisor()
    supervisor.add(ProcessSpec("order", Tier.SERVICE, {(sys.executable, str(STANDIN), str(port.number), "deaf")!r},
        Path({str(tmp_path)!r}) / "log", address={port.address!r}))
    supervisor.start("order")
    await supervisor.until_ready({{"order"}}, timedelta(seconds=20))
    print(supervisor.process("order").pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert str(STANDIN) in command_line_of(child)

    parent.kill()
    await parent.wait()

    assert await _gone(child)


async def test_what_an_earlier_mesh_left_running_is_cleared_away(tmp_path: Path) -> None:
    port = hold_port()
    command = (sys.executable, "-S", str(STANDIN), str(port.number), "deaf")
    left = await asyncio.create_subprocess_exec(*command)
    reaping = asyncio.create_task(left.wait())
    record = ProcessRecord("order", "service", "ready", left.pid, port.address, 0, command, "")
    stranger = ProcessRecord(
        "gateway", "gateway", "ready", os.getpid(), "", 0, ("python", "-m", "gateway"), ""
    )

    assert await clear_away([record, stranger], SystemClock()) == ["order"]
    assert await reaping == -signal.SIGKILL


async def _gone(pid: int) -> bool:
    clock, never = SystemClock(), asyncio.Event()
    deadline = clock.now() + SOON
    while command_line_of(pid) and clock.now() < deadline:
        await clock.wait(never, timedelta(milliseconds=20))
    return not command_line_of(pid)
