"""Settings of the NetSuite connector; nothing else in this folder reads the environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from connectors.kit.budget import PROCESSES_MAX
from connectors.kit.settings import ConnectorSettings


class Settings(ConnectorSettings):
    """One NetSuite account. Variables begin with ORDERMESH_NETSUITE_."""

    model_config = SettingsConfigDict(env_prefix="ORDERMESH_NETSUITE_")

    base_url: str
    """`https://123456-sb1.suitetalk.api.netsuite.com`, or the address of a simulator."""
    system: str = Field(default="netsuite", pattern="^[a-z][a-z0-9-]{0,39}$")
    """Name of this account in the topology; a second account is a second process with another name."""
    client_id: str = Field(min_length=1)
    """Consumer key of the integration record."""
    certificate_id: str = "ordermesh"
    """Id that NetSuite shows for the uploaded certificate; it goes into the assertion as `kid`."""
    private_key_file: Path | None = None
    """Secret file with the private key of that certificate, PEM or JWK: EC P-256 or larger, or RSA from 2048 bits.
    Read for each token. Unset in development: a fresh key that only a simulator accepts."""
    time_zone: str = "America/Los_Angeles"
    """Time zone of the account (Setup > Company > Company Information): SuiteQL tells times in it without saying so."""
    concurrency_max: int = Field(default=5, ge=1, le=100)
    """Calls in flight. NetSuite bears 5 in a standard account, for all integrations together."""
    calls_per_minute_max: int = Field(default=0, ge=0)
    """Calls per minute over all processes that speak to the account; 0 = no limit, as NetSuite sets none. Where Redis
    and the connector are both new, the first minute counts as spent."""
    processes_max: int = Field(default=PROCESSES_MAX, ge=1, le=100)
    """Processes of this connector at the same time, at most, those that are just ending included. A quarter of
    `calls_per_minute_max` is kept out of Redis and divided by it; without Redis, all of it."""
    read_timeout_seconds: float = Field(default=60.0, gt=0)
    """Longest silence within one answer; saving an order with scripts on it may take long."""
    total_timeout_seconds: float = Field(default=90.0, gt=0)
    """Longest duration of one call, a new token included."""
    overlap_seconds: int = Field(default=30, ge=0, le=3600)
    """How far a reading of changes goes back behind the last one: NetSuite shows a record with the time at which its
    saving began, so it can turn up behind records that were read already."""
    order_status: str = Field(default="", pattern="^[AB]?$")
    """Status of orders we post: A waits for approval in NetSuite, B does not. Empty leaves it to the account."""
    location_id: str = ""
    """Internal id of the location put on orders, where the form demands one."""
