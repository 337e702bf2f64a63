"""Settings of the gateway. Open this file to learn or add an environment variable of it."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.limits import MIB, Limits
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
    keep_alive_seconds: int = Field(65, ge=1)
    """Time an idle connection stays open; keep it longer than the load balancer's."""
    announce_seconds: float = Field(0.0, ge=0, le=120)
    """Time between SIGTERM and the end of listening, in which `/health/ready` says 503 so that balancers turn away."""
    public_url: str = ""
    """Address callers use, for the OpenAPI documents. Empty leaves it relative."""

    @property
    def limits(self) -> Limits:
        return Limits(
            body_bytes_max=self.body_bytes_max,
            inbound_bytes_max=self.inbound_bytes_max,
            depth_max=self.depth_max,
            keys_max=self.keys_max,
            receive_seconds=self.receive_seconds,
        )
