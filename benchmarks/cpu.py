"""CPU and memory of processes, from /proc. Open this file to learn what a microsecond per order is made of."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its ended children; 0 for one that is gone."""
    fields = _fields(pid)
    return sum(int(field) for field in fields[11:15]) / TICKS_PER_SECOND if fields else 0.0


def tree_cpu_seconds(pid: int) -> float:
    """That of a process and everything below it, such as PostgreSQL's backends."""
    return cpu_seconds(pid) + sum(tree_cpu_seconds(child) for child in _children(pid))


def is_there(pid: int) -> bool:
    """Whether the process has not ended."""
    return (PROC / str(pid)).exists()


def resident_mib(pid: int) -> float:
    """Memory that one process holds."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _children(pid: int) -> Iterator[int]:
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
        for task in tasks:
            yield from map(int, (task / "children").read_text().split())
    except OSError:
        return


def _fields(pid: int) -> list[str]:
    """Fields from the third on: the second is a name that may hold spaces."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
