"""Calls to services and connectors, bytes in and bytes out. Open this file to change how requests travel.

Nothing is decoded here: what `transcode.py` wrote goes out as it is. A failed call raises Refused, NotDone or
OutcomeUnknown; gRPC itself repeats what `protos/service_config.json` allows.
"""

import asyncio
from typing import Protocol

import grpc

from gateway.exchange import Exchange
from libs.common.config import ProcessSettings
from libs.common.rpc.channel import MeshChannel, open_channel
from libs.common.rpc.contract import Method
from libs.common.rpc.replay import REPLAYED_KEY
from libs.common.topology import Topology
from libs.common.value import value

PROCESS_NAME = "gateway"
CLOSE_SECONDS = 5.0


@value()
class Answered:
    """What came back."""

    content: bytes
    replayed: bool = False
    """True when the service repeated a stored answer."""


class Forward(Protocol):
    """The one way to a backend. Another implementation may let requests that wait together travel in one call."""

    async def __call__(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        """target: name of a service, or `system:<name>` for a connector. seconds: None takes the method's deadline.
        Raises Refused, NotDone, OutcomeUnknown."""


class Backends:
    """gRPC channels to everything the topology names; each is opened when first used."""

    def __init__(self, topology: Topology, settings: ProcessSettings) -> None:
        self._topology = topology
        self._settings = settings
        self._channels: dict[str, MeshChannel] = {}
        self._calls: dict[tuple[str, str], grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    async def forward(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        """See `Forward`."""
        call = self._call(target, method)(
            request,
            timeout=method.timeout_seconds if seconds is None else seconds,
            metadata=_metadata(exchange),
        )
        content = await call
        return Answered(content, await _is_replayed(call))

    async def forward_as_mesh(
        self, target: str, method: Method, request: bytes, exchange: Exchange, *, seconds: float | None = None
    ) -> Answered:
        """Like `forward`, with a token of the gateway's own: for a batch, whose entries carry their callers'."""
        call = self._call(target, method)(request, timeout=seconds or method.timeout_seconds)
        return Answered(await call)

    async def close(self) -> None:
        await asyncio.gather(*(channel.close(CLOSE_SECONDS) for channel in self._channels.values()))

    def _call(self, target: str, method: Method) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        call = self._calls.get((target, method.path))
        if call is None:
            call = self._channel(target).unary_unary(method.path)
            self._calls[target, method.path] = call
        return call

    def _channel(self, target: str) -> MeshChannel:
        if target not in self._channels:
            self._channels[target] = open_channel(
                address_of(target, self._topology), self._settings, PROCESS_NAME
            )
        return self._channels[target]


def address_of(target: str, topology: Topology) -> str:
    """gRPC address of a service or, as `system:<name>`, of a connector."""
    kind, _, name = target.rpartition(":")
    return topology.systems[name].address if kind else topology.service_target(name)


def _metadata(exchange: Exchange) -> list[tuple[str, str | bytes]]:
    """What the channel cannot know: the caller's own token. The context goes along by itself."""
    metadata: list[tuple[str, str | bytes]] = [("authorization", f"Bearer {exchange.token}")]
    if exchange.tracestate:
        metadata.append(("tracestate", exchange.tracestate))
    return metadata


async def _is_replayed(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> bool:
    metadata = await call.trailing_metadata()
    return any(key == REPLAYED_KEY and value == "true" for key, value in metadata or ())
