"""The caller's end of a simulated call. Open this file to see what a stub is given in place of gRPC's own channel.

Everything above it is real: context, tokens, deadlines and errors are those of `libs/common/rpc/channel.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import grpc

from libs.common.config import ProcessSettings
from libs.common.durable.surroundings import OpenChannel
from libs.common.identity import MeshSigner
from libs.common.rpc.channel import MeshChannel
from libs.common.rpc.contract import methods
from libs.common.testing.simulation.network import LOST, Code, Exchange, Network, Request, error_of
from libs.common.testing.simulation.process import Incarnation
from libs.common.testing.simulation.talk import Talk

CALL_SECONDS_MAX = 120.0


def opener(network: Network, caller: Incarnation) -> OpenChannel:
    """For the caller's `Surroundings`."""

    def open_channel(target: str, settings: ProcessSettings, process_name: str) -> MeshChannel:
        return MeshChannel(_Wire(network, caller, target), MeshSigner(settings, process_name))

    return open_channel


class _Call:
    """What a stub hands to its caller."""

    def __init__(self, exchange: Exchange, seconds: float, deserialize: Callable[[bytes], Any]) -> None:
        self._exchange = exchange
        self._seconds = seconds
        self._deserialize = deserialize

    def __await__(self) -> Generator[Any, None, Any]:
        messages = yield from self._heard().__await__()
        return self._deserialize(messages[0])

    async def __aiter__(self) -> AsyncIterator[Any]:
        messages = await self._heard()
        for number, message in enumerate(messages):
            if number == self._exchange.broken_after:
                raise error_of(Code.UNAVAILABLE, LOST)
            yield self._deserialize(message)

    def cancel(self) -> None:
        """Read to the end or not, nothing is under way any more."""

    async def _heard(self) -> list[bytes]:
        self._exchange.send()
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange.answer
        except TimeoutError:
            self._exchange.give_up()
            raise error_of(Code.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        except asyncio.CancelledError:
            self._exchange.give_up()
            raise


class _Wire(grpc.aio.Channel):
    """gRPC's own channel, simulated."""

    def __init__(self, network: Network, caller: Incarnation, address: str) -> None:
        self._network = network
        self._caller = caller
        self._address = address

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, _: Any = False
    ) -> Any:
        def call(request: Any, *, timeout: float | None = None, metadata: Any = (), **_: Any) -> _Call:
            seconds = min(timeout or methods()[method].timeout_seconds, CALL_SECONDS_MAX)
            raw = request_serializer(request)
            sent = Request(self._caller, self._address, method, raw, tuple(metadata or ()), seconds)
            return _Call(Exchange(self._network, sent), seconds, response_deserializer)

        return call

    unary_stream = unary_unary

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError("no contract streams requests to one answer")

    def stream_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, _: Any = False
    ) -> Any:
        def call(*, timeout: float | None = None, metadata: Any = (), **_: Any) -> Talk:
            seconds = min(timeout or methods()[method].timeout_seconds, CALL_SECONDS_MAX)
            sent = Request(self._caller, self._address, method, b"", tuple(metadata or ()), seconds)
            return Talk(self._network, sent, request_serializer, response_deserializer)

        return call

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        raise NotImplementedError("nobody asks for the state")

    async def channel_ready(self) -> None:
        """Always."""

    async def close(self, grace: float | None = None) -> None:
        """Holds nothing."""

    async def __aenter__(self) -> "_Wire":
        return self

    async def __aexit__(self, *error: object) -> None:
        """Holds nothing."""
