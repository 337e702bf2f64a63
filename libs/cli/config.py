"""What the `ordermesh` command takes from its environment. The only module here that reads it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.common.config import ProcessSettings, load_settings
from libs.common.topology import SERVICES


@dataclass(frozen=True)
class Surroundings:
    """The environment, read once."""

    settings: ProcessSettings
    """What the processes of the mesh would be told as well: stores, issuer, audience."""
    inherited: Mapping[str, str]
    """Every variable; the processes of the mesh get these and ours on top."""
    state_home: Path
    """Where the pointer to the mesh that was started last is kept, per user."""
    working_directory: Path

    @property
    def needs_database(self) -> bool:
        """Whether a service is left without a database of its own."""
        return any(self.settings.database_url_of(service) is None for service in SERVICES)

    @property
    def needs_redis(self) -> bool:
        return self.settings.redis_url is None


def surroundings() -> Surroundings:
    """What the environment says. Ends the command with one line per setting that cannot be used."""
    inherited = dict(os.environ)
    state_home = inherited.get("XDG_STATE_HOME") or str(
        Path(inherited.get("HOME") or "/") / ".local" / "state"
    )
    return Surroundings(
        settings=load_settings(ProcessSettings),
        inherited=inherited,
        state_home=Path(state_home) / "ordermesh",
        working_directory=Path.cwd(),
    )


def interpreter() -> str:
    """The Python that runs this; the processes of the mesh run on the same."""
    return sys.executable
