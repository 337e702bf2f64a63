"""No process outlives its mesh; open it when one did.

On Linux the kernel signals a child when its parent dies. What is left all the same (other systems, a
PostgreSQL that still shuts down) is found by the pids in run.json and ended before the next start.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from libs.cli.instance import ProcessRecord
from libs.common.clock import Clock

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = timedelta(milliseconds=50)
_KILL_AFTER = timedelta(seconds=10)


def dies_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """To be run in the child before exec: the kernel sends it `number` when the parent dies. None where it cannot.

    The parent is the thread that started the child, so start children from the main thread.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return tie


async def clear_away(left: Iterable[ProcessRecord], clock: Clock) -> list[str]:
    """Ends what an earlier mesh left running; gives the names.

    A pid that now belongs to another program is spared.
    """
    found = [record for record in left if _is_still(record)]
    for record in found:
        with suppress(ProcessLookupError):
            # PostgreSQL shuts down fast on SIGINT; nobody is there any more for whom anything else could
            # drain.
            os.kill(record.pid, signal.SIGINT if record.name == "postgres" else signal.SIGKILL)
    never = asyncio.Event()
    deadline = clock.now() + _KILL_AFTER
    while any(_is_still(record) for record in found) and clock.now() < deadline:
        await clock.wait(never, _LOOK_EVERY)
    for record in filter(_is_still, found):
        os.kill(record.pid, signal.SIGKILL)
    return [record.name for record in found]


def _is_still(record: ProcessRecord) -> bool:
    if not record.pid or not record.command:
        return False
    # Without the first word: some systems show another path of the same interpreter there.
    return command_line_of(record.pid).endswith(" ".join(record.command[1:]))


def command_line_of(pid: int) -> str:
    """The words that started the process; empty when there is none or it is only waiting to be reaped."""
    entry = Path(f"/proc/{pid}")
    if Path("/proc/self").exists():
        try:
            if "\nState:\tZ" in (entry / "status").read_text():
                return ""
            return (entry / "cmdline").read_text(errors="replace").rstrip("\0").replace("\0", " ")
        except OSError:
            return ""
    words = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False)
    return shown.stdout.strip()
