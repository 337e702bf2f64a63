"""A stream between two processes that breaks, hangs or is delayed. Open this file to learn what either end is told.

What was said arrives in order, each way. Nothing is lost from the middle: where a message is lost, the connection is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias, cast

import grpc

from libs.common.testing.simulation.fate import Fault
from libs.common.testing.simulation.network import (
    LOST,
    REFUSED,
    Code,
    Connection,
    Network,
    Request,
    Server,
    Servicing,
    error_of,
)

Message: TypeAlias = bytes | None
"""None says that there is no more."""
Told: TypeAlias = bytes | grpc.aio.AioRpcError | None
UNHEARD_SECONDS = 70.0
"""After which a server ends the calls of a client that answers no pings."""


class Talk(Connection):
    """One stream; gRPC's call object to its caller, and a connection in the eyes of the process that answers."""

    def __init__(
        self,
        network: Network,
        request: Request,
        serialize: Callable[[Any], bytes],
        deserialize: Callable[[bytes], Any],
    ) -> None:
        super().__init__(network, request)
        self._serialize, self._deserialize = serialize, deserialize
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self._told: asyncio.Queue[Told] = asyncio.Queue()
        self._is_over = False
        self._failure: grpc.aio.AioRpcError | None = None
        self._end = _CallersEnd(self)
        self._caller.links[self._end] = None
        self._loop.call_later(request.seconds, self._fail, Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
        self._back = self._loop.time()
        self._there = self._back + self._fate.latency()
        """When the last message of each way arrives; none overtakes another."""
        self._loop.call_at(self._there, self._arrive)

    # The caller's end ---------------------------------------------------------------------------------

    async def write(self, message: Any) -> None:
        if self._failure is not None:
            raise self._failure
        self._say(self._serialize(message))

    async def done_writing(self) -> None:
        self._say(None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (told := await self._told.get()) is not None:
            if isinstance(told, grpc.aio.AioRpcError):
                raise told
            yield self._deserialize(told)

    def cancel(self) -> None:
        """The caller listens no longer; who answers hears of that unless it is cut off."""
        self._caller.links.pop(self._end, None)
        self._is_over = True
        if not self._cut_off():
            self._break_off()

    # What the connection does -------------------------------------------------------------------------

    def drop(self) -> None:
        """Who answers is dead."""
        self._break()

    def _say(self, message: Message) -> None:
        self._there = max(self._there, self._loop.time() + self._fate.latency())
        self._loop.call_at(self._there, self._hear, message)

    def _arrive(self) -> None:
        server = self._network.server(self._request.address)
        if self._is_over or not self._caller.alive:
            return
        if server is None:
            self._fail(Code.UNAVAILABLE, REFUSED)
        elif not (self._caller.cut_off or server.owner.cut_off):
            self._server = server.owner
            server.owner.calls[self] = None
            self._running = self._loop.create_task(self._serve(server), context=server.owner.context())

    def _hear(self, message: Message) -> None:
        if self._may_pass(f"{self._said} says", Fault.LOSE_REQUEST):
            self._heard.put_nowait(message)

    async def _serve(self, server: Server) -> None:
        servicing = Servicing(self._request.metadata, self._loop.time() + self._request.seconds)
        handler = server.handlers[self._request.path]
        serialize = cast("Callable[[Any], bytes]", handler.response_serializer)
        stream: Any = handler.stream_stream
        try:
            async for message in stream(self._frames(), servicing):
                self._answer(serialize(message))
        except grpc.aio.AbortError:
            pass
        finally:
            server.owner.calls.pop(self, None)
        if servicing.status is None:
            self._answer(None)
        else:
            self._answer(error_of(*servicing.status, servicing.trailing))

    async def _frames(self) -> AsyncIterator[bytes]:
        while (frame := await self._heard.get()) is not None:
            yield frame

    def _answer(self, told: Told) -> None:
        self._back = max(self._back, self._loop.time() + self._fate.latency())
        self._loop.call_at(self._back, self._tell, told)

    def _tell(self, told: Told) -> None:
        if self._may_pass(f"{self._said} answers", Fault.LOSE_REPLY):
            self._told.put_nowait(told)

    def _may_pass(self, said: str, fault: Fault) -> bool:
        """False for a message that is lost, and all that follow it with it."""
        if self._has_ended():
            return False
        if self._cut_off():
            self._fall_silent()
            return False
        self._fate.step(said)
        if self._has_ended():
            return False
        if self._fate.strikes(fault):
            self._fate.note(f"  {fault}: {self._said}")
            self._lose()
            return False
        return True

    def _has_ended(self) -> bool:
        """A step may have been the death of either."""
        dead = not self._caller.alive or self._server is None or not self._server.alive
        return self._is_over or dead

    def _lose(self) -> None:
        if self._is_noticed():
            self._break()
        else:
            self._fall_silent()

    def _fall_silent(self) -> None:
        """Who answers notices after a while that its pings are not answered."""
        self._is_over = True
        if self._running is not None:
            self._loop.call_later(UNHEARD_SECONDS, self._running.cancel)

    def _break(self) -> None:
        self._fail(Code.UNAVAILABLE, LOST)
        self._break_off()

    def _fail(self, code: Code, details: str) -> None:
        if self._failure is None:
            self._failure = error_of(code, details)
            self._is_over = True
            self._loop.call_later(self._hurry(), self._told.put_nowait, self._failure)


class _CallersEnd:
    """The connection, in the eyes of the process that has made it."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def drop(self) -> None:
        self._talk.cancel()

    def cut(self) -> None:
        """Neither end is told."""
