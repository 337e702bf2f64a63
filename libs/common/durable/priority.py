"""Work that nobody waits for gives way to answers. Open this file to see how much CPU a process leaves to others.

A niced process gets less of a core only when somebody else wants it too. Linux shares cores among sessions first
(`sched_autogroup`, on by default) and looks at the nice values of processes within one; whatever a supervisor starts
has a session to itself, so there the value of the session counts. Groups of a container runtime come before both: in
Kubernetes it is the CPU request that says who gives way.
"""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import structlog

from libs.common.clock import Clock, SystemClock

LOG = structlog.get_logger(__name__)
AUTOGROUP = Path("/proc/self/autogroup")
TRIES_MAX, TRY_AGAIN = 20, timedelta(milliseconds=150)
"""The kernel takes one such wish in 100 ms, of all who are not root, and has the others ask again."""


def nice_of(word: str, background_nice: int) -> int:
    """How far the process of that word gives way: 0, not at all, for one that answers callers. A caller who sent
    `Prefer: wait` waits for the relay, so it gives way half as far as what takes changes in."""
    return {"ingest": background_nice, "relay": background_nice // 2}.get(word, 0)


async def give_way(nice: int, clock: Clock | None = None, autogroup: Path = AUTOGROUP) -> None:
    """Lowers this process to `nice` if it stands higher; call it before there are threads, each of which keeps its own
    value. What the machine does not permit is left as it is: the log says what became of it."""
    if not nice:
        return
    try:
        if os.getpriority(os.PRIO_PROCESS, 0) < nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        session = await _lower_session(nice, clock or SystemClock(), autogroup)
    except (OSError, ValueError) as error:
        LOG.info("cannot_give_way", nice=nice, cause=str(error))
    else:
        LOG.info("gives_way", nice=os.getpriority(os.PRIO_PROCESS, 0), session=session)


async def _lower_session(nice: int, clock: Clock, autogroup: Path) -> str:
    """Only a session that began with this process: another's may hold processes that answer."""
    if os.getsid(0) != os.getpid():
        return "shared"
    for _ in range(TRIES_MAX):
        try:
            return _lower(nice, autogroup)
        except BlockingIOError:
            await clock.wait(asyncio.Event(), TRY_AGAIN)
    raise BlockingIOError("the kernel is busy with others that lower their session")


def _lower(nice: int, autogroup: Path) -> str:
    """The file says `/autogroup-42 nice 0`, and nothing for a session that is no group."""
    stated = autogroup.read_text() if autogroup.exists() else ""
    if not stated:
        return "not grouped"
    if int(stated.rpartition(" ")[2]) < nice:
        autogroup.write_text(str(nice))
    return "lowered"
