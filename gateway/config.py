"""Settings of the gateway. Open this file to learn or add an environment variable of it."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.lanes import Places
from gateway.limits import MIB, Limits
from gateway.rates import Quotas
from libs.common.config import ProcessSettings


class GatewaySettings(ProcessSettings):
    """What the gateway may be told besides what every process may be told."""

    model_config = SettingsConfigDict(env_prefix="ORDERMESH_GATEWAY_")

    body_bytes_max: int = Field(MIB, ge=1024, le=8 * MIB)
    """Longest body of a request, in bytes. An order of 1,000 lines has about 300 KB."""
    inbound_bytes_max: int = Field(6 * MIB, ge=1024, le=6 * MIB)
    """Longest payload in a vendor's own shape, in bytes. The connector contract takes no more than 6 MiB."""
    depth_max: int = Field(64, ge=16, le=100)
    """Levels of nesting in a JSON body."""
    keys_max: int = Field(50_000, ge=100)
    """Keys of all objects in a JSON body together."""
    receive_seconds: float = Field(15.0, gt=0, le=60)
    """Time for a body to arrive."""
    requests_max: int = Field(1000, ge=1)
    """Requests at a time; further ones are refused at once with 503 and may be repeated."""
    places_for_orders: int = Field(250, ge=0)
    """Of these, places that only submissions of orders can take."""
    bulk_requests_max: int = Field(64, ge=1)
    """Lists, exports and replays of many at a time; further ones are refused with 503."""
    tenant_requests_max: int = Field(800, ge=1)
    """Requests of one tenant at a time; further ones are refused with 429."""
    client_requests_max: int = Field(600, ge=1)
    """Requests of one client (subject of the token) at a time; further ones are refused with 429."""
    tenant_requests_per_minute: int = Field(300_000, ge=0)
    """Requests of one tenant in a minute, counted across all gateways through Redis; a quiet tenant may send that many
    at once. 0 sets no limit."""
    client_requests_per_minute: int = Field(120_000, ge=0)
    """The same of one client."""
    bulk_requests_per_minute: int = Field(6000, ge=0)
    """The same of one client's lists, exports and replays of many."""
    connections_max: int = Field(4096, ge=1)
    """Connections at a time; further ones are answered with 503 and closed."""
    keep_alive_seconds: int = Field(65, ge=1)
    """Time an idle connection stays open; keep it longer than the load balancer's."""
    announce_seconds: float = Field(0.0, ge=0, le=120)
    """Time between SIGTERM and the end of listening, in which `/health/ready` says 503 so that balancers turn away."""
    public_url: str = ""
    """Address callers use, for the OpenAPI documents. Empty leaves it relative."""

    @property
    def places(self) -> Places:
        return Places(
            requests_max=self.requests_max,
            for_orders=self.places_for_orders,
            bulk_max=self.bulk_requests_max,
            tenant_max=self.tenant_requests_max,
            client_max=self.client_requests_max,
        )

    @property
    def quotas(self) -> Quotas:
        return Quotas(
            client=self.client_requests_per_minute,
            tenant=self.tenant_requests_per_minute,
            bulk=self.bulk_requests_per_minute,
        )

    @property
    def limits(self) -> Limits:
        return Limits(
            body_bytes_max=self.body_bytes_max,
            inbound_bytes_max=self.inbound_bytes_max,
            depth_max=self.depth_max,
            keys_max=self.keys_max,
            receive_seconds=self.receive_seconds,
        )
