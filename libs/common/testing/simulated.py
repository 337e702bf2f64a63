"""The controls of a simulator as the conformance suite wants them. Open this file to bring a connector under it.

async with AsyncExitStack() as listening:
    url = await listening.enter_async_context(serving(simulator.build()))
    async with AcmeVendor(url, listening.aclose) as vendor:
        await vendor.control("seed", {"customers": [...], "items": [...]})
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, cast

import httpx

from libs.common.testing.vendor import Fault, Kind, On

CALL_SECONDS = 10.0
JsonObject = Mapping[str, object]


class SimulatedVendor(ABC):
    """The controls of a simulator, as `Vendor` wants them; a connector adds what only it knows.

    base_url: where the simulator listens. stop_listening: ends that.
    """

    struck: Mapping[On, JsonObject]
    """Which requests count as writes and reads: `method` and `path` of `/_sim/faults`."""

    def __init__(self, base_url: str, stop_listening: Callable[[], Awaitable[None]]) -> None:
        self._stop_listening = stop_listening
        self._http = httpx.AsyncClient(base_url=base_url, timeout=CALL_SECONDS, trust_env=False)

    @abstractmethod
    async def copies(self, kind: Kind.ValueType, key: str) -> int:
        """Documents held under our key; `documents` has what the ledger tells."""

    @abstractmethod
    async def touch(self, kind: Kind.ValueType, count: int) -> Sequence[str]:
        """Records changed or created by the vendor's people, one by one; its ids in that order."""

    async def strike(self, fault: Fault, on: On, *, retry_after: str = "", seconds: float = 0.0) -> None:
        wanted: dict[str, object] = {"kind": fault.value, **self.struck[on]}
        if retry_after:
            wanted["retryAfter"] = retry_after
        if seconds:
            wanted["seconds"] = seconds
        await self.control("faults", wanted)

    async def requests(self) -> int:
        traffic = cast("dict[str, int]", (await self._ledger({}))["requests"])
        return traffic["total"]

    async def leave(self) -> None:
        await self._stop_listening()

    async def control(self, name: str, body: JsonObject) -> JsonObject:
        """`POST /_sim/<name>`: `seed`, `advance`, `faults`."""
        answer = await self._http.post(f"/_sim/{name}", json=body)
        assert answer.is_success, answer.text
        return cast(JsonObject, answer.json())

    async def documents(self, **wanted: str) -> Sequence[JsonObject]:
        """What the ledger tells; wanted: `kind`, `externalId`."""
        return cast("Sequence[JsonObject]", (await self._ledger(wanted))["documents"])

    async def _ledger(self, wanted: Mapping[str, str]) -> JsonObject:
        answer = await self._http.get("/_sim/ledger", params=dict(wanted))
        assert answer.is_success, answer.text
        return cast(JsonObject, answer.json())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
