"""The system in memory as a connector's process: `python tests/contract/memory_process.py`."""

from typing import cast

from connectors.kit.port import Connector
from connectors.kit.servicer import serve_connector
from connectors.kit.settings import ConnectorSettings
from libs.common.clock import SystemClock
from libs.common.testing.connector import MemoryConnector, MemorySystem


def build(settings: ConnectorSettings) -> Connector:
    return cast(Connector, MemoryConnector(MemorySystem("memory", SystemClock())))


if __name__ == "__main__":
    serve_connector(build, ConnectorSettings)
