"""Settings of the Salesforce connector; the only module that reads its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from connectors.kit.budget import PROCESSES_MAX
from connectors.kit.settings import ConnectorSettings


class Settings(ConnectorSettings):
    """Where the org is, who we are there, and what it knows of currencies."""

    model_config = SettingsConfigDict(env_prefix="ORDERMESH_SALESFORCE_")

    base_url: str
    """The org's My Domain address, for example `https://acme.my.salesforce.com`; tokens are fetched there too."""
    client_id: str = Field(min_length=1)
    """Consumer key of the external client app; its run-as user is who Salesforce names as the writer."""
    client_secret_file: Path
    """Secret file with the consumer secret; read again whenever a token is fetched."""
    system: str = Field(default="salesforce", pattern="^[a-z][a-z0-9-]{0,39}$")
    """Name of this org in the topology, for example when two orgs are connected."""
    api_version: str = Field(default="62.0", pattern=r"^\d{2}\.0$")
    """REST API version; 61.0 or later, because `updateOnly` came with it."""
    multicurrency: bool = True
    """Whether the org has several currencies; false leaves CurrencyIsoCode out of every call."""
    default_currency: str = Field(default="", pattern="^([A-Z]{3})?$")
    """ISO 4217 code of orders that name none, as in an org with one currency. Unset: such orders are refused."""
    concurrency_max: int = Field(default=5, ge=1, le=25)
    """Calls in flight; Salesforce allows 25 long ones per org, 5 in developer orgs."""
    calls_per_minute_max: int = Field(default=0, ge=0)
    """Calls per minute over all processes that speak to the org; 0 = no limit. Salesforce counts calls per 24 hours
    for all its clients together, so set this to your share of them divided by 1,440. Where Redis and the connector are
    both new, the first minute counts as spent."""
    processes_max: int = Field(default=PROCESSES_MAX, ge=1, le=100)
    """Processes of this connector at the same time, at most, those that are just ending included. A quarter of
    `calls_per_minute_max` is kept out of Redis and divided by it; without Redis, all of it."""
    read_timeout_seconds: float = Field(default=30.0, gt=0)
    """Longest silence within one answer; Salesforce itself waits about 10 s for a locked row."""
    total_timeout_seconds: float = Field(default=60.0, gt=0)
    """Longest duration of one call, a new token included."""
    overlap_seconds: int = Field(default=30, ge=0, le=3600)
    """How far a reading of changes goes back behind the last one: a change becomes visible when its transaction ends,
    which is a moment after the time it is stamped with."""
