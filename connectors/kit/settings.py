"""Settings that every connector has. Open this file to add one that is not a vendor's own."""

from pathlib import Path

from pydantic import Field

from libs.common.config import ProcessSettings


class ConnectorSettings(ProcessSettings):
    """What a connector's process may be told beside its vendor's own."""

    crash_at: str = Field(default="", validation_alias="ORDERMESH_CRASH_AT")
    """For fault tests, in development only: `point:times` at which the process kills itself, see
    `libs/common/durable/crash.py`."""
    crash_file: Path | None = Field(default=None, validation_alias="ORDERMESH_CRASH_FILE")
    """For fault tests, in development only: a file that holds what ORDERMESH_CRASH_AT would, and counts once."""
