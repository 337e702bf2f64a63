"""Settings every service has besides those of any process. Open this file to learn or add one."""

from pathlib import Path

from pydantic import Field

from libs.common.config import ProcessSettings


class ServiceSettings(ProcessSettings):
    """What a service may be told."""

    ingest_seconds: float = Field(default=5.0, validation_alias="ORDERMESH_INGEST_SECONDS", gt=0, le=3600)
    """Longest wait between two readings of an outside system's changes; a bell shortens it."""
    database_connections_max: int = Field(
        default=8, validation_alias="ORDERMESH_DATABASE_CONNECTIONS_MAX", ge=2, le=200
    )
    """Connections a process holds to its database."""
    lease_seconds: float = Field(default=60.0, validation_alias="ORDERMESH_LEASE_SECONDS", ge=8, le=3600)
    """How long a delivery is held for one try. What a killed process held is tried again only then; a try that takes
    longer than this less 5 s is broken off and asked about."""
    seal_keys_file: Path | None = Field(default=None, validation_alias="ORDERMESH_SEAL_KEYS_FILE")
    """Secret JSON file of sealing keys, 64 hexadecimal digits each, by tenant and id, the newest last:
    `{"acme": {"2026-06": "…", "2026-12": "…"}}`. Read again when it changes. What went over the wire and changes that
    were set aside are kept encrypted under them. Unset: of the wire only digests are kept, and changes as they are."""
    background_nice: int = Field(default=19, validation_alias="ORDERMESH_BACKGROUND_NICE", ge=0, le=19)
    """How far `ingest` gives way to processes that answer callers, as a nice value; `relay` gives way half as far, for
    `Prefer: wait` waits for it. On Linux it holds for the process's session too, if that is its own. 0: not at all.
    Where groups share out the CPU, as in Kubernetes, they decide."""
    history_days: int = Field(default=400, validation_alias="ORDERMESH_HISTORY_DAYS", ge=0, le=36_500)
    """Days that deliveries which are done and their events are kept. Attempts with their sealed copies go later, by a
    sixth of that time and 30 days at most. What is still under way stays however old it is. 0 keeps them for good."""
    audit_days: int = Field(default=3660, validation_alias="ORDERMESH_AUDIT_DAYS", ge=0, le=36_500)
    """Days that audit rows are kept. The hash of a subject's last row that went stays, so that the rest can still be
    verified. 0 keeps them for good."""

    crash_at: str = Field(default="", validation_alias="ORDERMESH_CRASH_AT")
    """For fault tests, in development only: `point:times` at which the process kills itself, see
    `libs/common/durable/crash.py`."""
    crash_file: Path | None = Field(default=None, validation_alias="ORDERMESH_CRASH_FILE")
    """For fault tests, in development only: a file that holds what ORDERMESH_CRASH_AT would, and counts once."""

    def own_database_url(self, service: str) -> str:
        """Database of this service. Ends the process when none is set."""
        url = self.database_url_of(service)
        if url is None:
            raise SystemExit(f"set ORDERMESH_DATABASE_URL or ORDERMESH_{service.upper()}_DATABASE_URL")
        return url
