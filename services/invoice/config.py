"""Settings of the invoice service. Open this file to learn or add one; nothing else here reads the environment."""

from libs.common.durable.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the invoice service may be told: nothing besides what every service may."""
