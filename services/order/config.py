"""Settings of the order service. Open this file to learn or add one; nothing else here reads the environment."""

from pydantic import Field

from libs.common.durable.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the order service may be told."""

    backorders: bool = Field(default=True, validation_alias="ORDERMESH_ORDER_BACKORDERS")
    """Whether an order goes on when the ERP cannot promise all of it now; otherwise it is held for approval."""
