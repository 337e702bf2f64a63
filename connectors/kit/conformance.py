"""Running the conformance suite against a connector and its simulator. Open this file to bring a connector under it.

Each connector folder offers `testing.py` with a function `start()`, which serves the simulator on a free port, seeds
it, and says how the connector for it is built; `tests/contract/test_connectors.py` finds it there:

    @asynccontextmanager
    async def start() -> AsyncIterator[AcmeTarget]:
        async with AsyncExitStack() as listening:
            url = await listening.enter_async_context(serving(simulator.build()))
            async with AcmeVendor(url, listening.aclose) as vendor:
                await vendor.control("seed", {"customers": [...], "items": [...]})
                yield AcmeTarget(url, vendor)
"""

from typing import Protocol

from connectors.kit.port import Connector
from libs.common.testing.simulated import JsonObject, SimulatedVendor
from libs.common.testing.suites.connector import ConformanceTarget

__all__ = ["JsonObject", "SimulatedVendor", "Target"]


class Target(ConformanceTarget, Protocol):
    """A connector under test in this process."""

    def build(self) -> Connector:
        """A fresh connector to the simulator, as after a restart; the suite closes it."""
