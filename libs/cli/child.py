"""One process: what to run, how it is started, reached and signalled. Open it to add to what a process can be told."""

import asyncio
import os
import pwd
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from libs.cli.orphans import dies_with_parent

PROBE_SECONDS = 1.0


class Tier(IntEnum):
    """Started upward, stopped downward."""

    STORE = 0
    SIMULATOR = 1
    CONNECTOR = 2
    SERVICE = 3
    GATEWAY = 4


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run."""

    name: str
    tier: Tier
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """All of it; nothing is inherited."""
    address: str = ""
    """`host:port` or the path of a Unix socket that takes connections once it is ready.

    Empty = ready at once.
    """
    metrics: str = ""
    """`host:port` where it tells metrics. Empty = nowhere."""
    is_ready: Callable[[], Awaitable[bool]] | None = None
    """Asked until true instead of connecting to `address`, for a server that takes connections before it serves."""
    cwd: Path | None = None
    user: str | None = None
    """Run as this user; None = as ours. Only root may name one."""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when we die."""


async def spawn(spec: ProcessSpec) -> asyncio.subprocess.Process:
    with spec.log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(spec.environment),
            cwd=spec.cwd,
            user=spec.user,
            group=group_of(spec.user),
            extra_groups=[] if spec.user is not None else None,
            start_new_session=True,
            preexec_fn=dies_with_parent(spec.orphan_signal),
        )


def group_of(user: str | None) -> int | None:
    """The user's own group; a process that kept ours would be denied what is open to others but not to our group."""
    if user is None:
        return None
    return pwd.getpwnam(user).pw_gid


async def reachable(address: str) -> bool:
    if not address:
        return True
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            if address.startswith("/"):
                _, writer = await asyncio.open_unix_connection(address)
            else:
                host, _, port = address.rpartition(":")
                _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def send(pid: int, number: signal.Signals) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def send_group(pid: int, number: signal.Signals) -> None:
    if pid:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
