"""Small files that others read while we write them; open it to write one."""

import os
import shutil
from pathlib import Path


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the file in one step: a reader sees the old text or the new one, never half of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def last_lines(path: Path, count: int, bytes_max: int = 20_000) -> list[str]:
    """The end of a log; empty when there is none."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - bytes_max))
        return file.read().decode(errors="replace").splitlines()[-count:]


def start_log(path: Path) -> None:
    """A fresh log; the one before is kept as `<name>.1`."""
    if path.exists():
        path.replace(path.with_name(path.name + ".1"))
    path.touch(mode=0o600)


def shorten_log(path: Path, bytes_max: int) -> None:
    """Keeps a log that a process is writing to within bounds.

    The writer has it open for appending, so after the cut it goes on at the new end. Lines written in the
    moment between copy and cut are lost.
    """
    if path.exists() and path.stat().st_size > bytes_max:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)
