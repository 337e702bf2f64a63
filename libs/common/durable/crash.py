"""Named points at which a process can be made to die. Open this file to add one, or to learn what a fault test arms.

`ORDERMESH_CRASH_AT=after_deliver:3` kills the process with SIGKILL when it passes that point for the third time.
A file named by `ORDERMESH_CRASH_FILE` arms the same way, once: the dying process removes it, so its successor lives.
Only in development; an unarmed point costs one comparison.
"""

import os
import signal
from collections import Counter
from pathlib import Path

SERVICE_POINTS = {
    "before_commit": "everything is written, nothing is committed",
    "after_commit": "committed, the caller has no answer yet",
    "after_claim": "deliveries are held, none is tried",
    "after_deliver": "the target has it, nobody here knows yet",
    "after_settle": "settled and committed, the loop has not gone on",
    "after_read_changes": "a page of changes is read, nothing is taken in",
    "after_take_in": "page and cursor are committed, the loop has not gone on",
}
CONNECTOR_POINTS = {
    "before_vendor_call": "a write is ready, no byte of it has left",
    "after_vendor_call": "the vendor has answered a write, its caller does not know",
}
POINTS = {**SERVICE_POINTS, **CONNECTOR_POINTS}
"""Point to what is true there: in a service's process, in a connector's."""

_armed: dict[tuple[str, int], Path | None] = {}
"""Point and times it is passed, to the file to remove."""
_passed: Counter[str] = Counter()


def arm(setting: str, file: Path | None) -> None:
    """`point` or `point:times`; empty arms nothing. SystemExit for a point that does not exist."""
    if file is not None and file.exists():
        _arm(file.read_text().strip(), file)
    if setting:
        _arm(setting, None)


def _arm(setting: str, file: Path | None) -> None:
    name, _, times = setting.partition(":")
    if name not in POINTS:
        raise SystemExit(f"{name} is not one of {', '.join(POINTS)}")
    _armed[name, int(times or 1)] = file


def crash_point(name: str) -> None:
    """Dies here when armed, without any farewell: no handler runs, no buffer is written."""
    if not _armed:
        return
    _passed[name] += 1
    passed = (name, _passed[name])
    if passed in _armed:
        file = _armed[passed]
        if file is not None:
            file.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
