"""Named points at which a process can be made to die. Open this file to add one, or to learn what a fault test arms.

`ORDERMESH_CRASH_AT=after_deliver:3` kills the process with SIGKILL when it passes that point for the third time. Only in
development; an unarmed point costs one comparison.
"""

import os
import signal
from collections import Counter

POINTS = {
    "before_commit": "everything is written, nothing is committed",
    "after_commit": "committed, the caller has no answer yet",
    "after_claim": "deliveries are held, none is tried",
    "after_deliver": "the target has it, nobody here knows yet",
    "after_settle": "settled and committed, the loop has not gone on",
    "after_read_changes": "a page of changes is read, nothing is taken in",
    "after_take_in": "page and cursor are committed, the loop has not gone on",
}
"""Point to what is true there."""

_armed: list[tuple[str, int]] = []
_passed: Counter[str] = Counter()


def arm(setting: str) -> None:
    """`point` or `point:times`; empty arms nothing. SystemExit for a point that does not exist."""
    if not setting:
        return
    name, _, times = setting.partition(":")
    if name not in POINTS:
        raise SystemExit(f"ORDERMESH_CRASH_AT: {name} is not one of {', '.join(POINTS)}")
    _armed.append((name, int(times or 1)))


def crash_point(name: str) -> None:
    """Dies here when armed, without any farewell: no handler runs, no buffer is written."""
    if not _armed:
        return
    _passed[name] += 1
    if (name, _passed[name]) in _armed:
        os.kill(os.getpid(), signal.SIGKILL)
