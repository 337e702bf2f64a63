"""A mesh as the other commands find it: the lock, DATA/run.json and the pointer to the mesh started last.

Whoever holds the lock on DATA/lock is the running mesh; the lock goes with its process, however that ends.
Open this file when `ordermesh status` does not see what `ordermesh up` started.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from libs.cli.config import Surroundings
from libs.cli.files import write_whole
from libs.cli.keys import KeyFiles

DEFAULT_NAME = ".ordermesh"


class NotRunning(Exception):
    """No mesh runs where it was looked for."""


class AlreadyRunning(Exception):
    """Another `ordermesh up` runs on the same data directory."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process as run.json shows it."""

    name: str
    tier: str
    state: str
    pid: int
    """0 while it does not run."""
    address: str
    restarts: int
    command: tuple[str, ...]
    log: str
    metrics: str = ""
    """`host:port` where it tells metrics; empty for stores and simulators."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A mesh as run.json shows it."""

    pid: int
    base_url: str
    redis_url: str = ""
    ca_file: str = ""
    """Authority of the gateway's certificate. Empty where it speaks plain HTTP."""
    simulators: Mapping[str, str] = field(default_factory=dict)
    """Base URL of each simulator by system."""
    processes: tuple[ProcessRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class DataDir:
    """Where everything of one mesh lies."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def keys(self) -> KeyFiles:
        return KeyFiles(self.root / "keys")

    @property
    def certificates(self) -> Path:
        return self.root / "tls"

    @property
    def topology(self) -> Path:
        return self.root / "topology.toml"

    def crash_file(self, service: str) -> Path:
        """Where a fault run writes the point at which this service's next process is to die."""
        return self.root / "crash" / service

    @property
    def run_file(self) -> Path:
        return self.root / "run.json"

    def lock(self) -> IO[str]:
        """Held until closed or until the process ends. Raises AlreadyRunning."""
        self.root.mkdir(parents=True, exist_ok=True)
        file = (self.root / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise AlreadyRunning(f"a mesh is running on {self.root}") from error
        return file

    @property
    def is_running(self) -> bool:
        if not (self.root / "lock").exists():
            return False
        try:
            self.lock().close()
        except AlreadyRunning:
            return True
        return False

    def write(self, record: RunRecord) -> None:
        write_whole(self.run_file, json.dumps(asdict(record), indent=2))

    def read(self) -> RunRecord | None:
        """What the last mesh on this directory wrote, running or not.

        None when there is none, or a torn one.
        """
        try:
            raw = json.loads(self.run_file.read_text())
            processes = tuple(
                ProcessRecord(**{**each, "command": tuple(each["command"])}) for each in raw.pop("processes")
            )
            return RunRecord(**raw, processes=processes)
        except (OSError, ValueError, TypeError, KeyError):
            return None


def point_at(data: DataDir, surroundings: Surroundings) -> None:
    """Makes `data` the mesh that commands without --data find.

    A home that cannot be written to is no reason to stop.
    """
    try:
        surroundings.state_home.mkdir(parents=True, exist_ok=True)
        write_whole(surroundings.state_home / "last", str(data.root))
    except OSError:
        return


def find(given: Path | None, surroundings: Surroundings) -> tuple[DataDir, RunRecord]:
    """The running mesh: the one that --data names, else that of this directory, else the one started last.

    Raises NotRunning.
    """
    for root in [given] if given is not None else _usual_places(surroundings):
        data = DataDir(root.expanduser().resolve())
        record = data.read() if data.is_running else None
        if record is not None:
            return data, record
    where = f"on {given}" if given is not None else "that can be found; name its directory with --data"
    raise NotRunning(f"no mesh is running {where}. Start one with: ordermesh up")


def _usual_places(surroundings: Surroundings) -> list[Path]:
    places = [surroundings.working_directory / DEFAULT_NAME]
    pointer = surroundings.state_home / "last"
    if pointer.exists() and os.access(pointer, os.R_OK):
        places.append(Path(pointer.read_text()))
    return places
