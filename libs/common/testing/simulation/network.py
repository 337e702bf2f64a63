"""Calls between processes that are lost, delayed, doubled or refused. Open this file to learn what a caller is told.

Servers stand behind the real door (`libs/common/rpc/door.py`). A call behaves as it does on a connection: what was sent
first arrives first, so one that its caller has given up is not begun any more, and one that runs is broken off.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import grpc

from libs.common.rpc.contract import methods
from libs.common.testing.simulation.fate import Fate, Fault
from libs.common.testing.simulation.process import Incarnation

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Code = grpc.StatusCode
REFUSED = "failed to connect to all addresses"
LOST = "Socket closed"
READS_SHARE = 0.25
BREAKS_SHARE = 0.7
BREAK_SECONDS_MAX = 0.01
NEVER_DOUBLED = ("ApplyChange",)
"""No caller repeats these by itself, and no connection delivers twice. All others are safe to repeat."""


class Network:
    """Who listens where, and every call under way."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self._servers: dict[str, dict[Incarnation, Server]] = {}

    def serve(self, owner: Incarnation, address: str) -> "Server":
        """Several processes may listen at one address; each call goes to one of them."""
        server = Server(owner)
        self._servers.setdefault(address, {})[owner] = server
        return server

    def leave(self, owner: Incarnation, address: str) -> None:
        """Takes no more calls."""
        self._servers.get(address, {}).pop(owner, None)

    def server(self, address: str) -> "Server | None":
        living = [server for owner, server in self._servers.get(address, {}).items() if owner.alive]
        return self.fate.draw.choice(living) if living else None


class Server:
    """Takes the place of gRPC's server behind the door."""

    def __init__(self, owner: Incarnation) -> None:
        self.owner = owner
        self.handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        self.handlers.update({f"/{service}/{name}": handler for name, handler in handlers.items()})


class Servicing:
    """gRPC's servicer context, as far as the door uses it."""

    def __init__(self, metadata: Sequence[tuple[str, str]], ends_at: float) -> None:
        self._metadata = metadata
        self._ends_at = ends_at
        self.trailing: Any = ()
        self.status: tuple[Code, str] | None = None

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def set_trailing_metadata(self, trailing: Any) -> None:
        self.trailing = trailing

    def time_remaining(self) -> float:
        return self._ends_at - asyncio.get_running_loop().time()

    async def abort(self, code: Code, details: str = "", trailing_metadata: Any = ()) -> None:
        self.status, self.trailing = (code, details), trailing_metadata
        raise grpc.aio.AbortError


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller sends. seconds: how long it will wait."""

    caller: Incarnation
    address: str
    path: str
    raw: bytes
    metadata: Sequence[tuple[str, str]]
    seconds: float


class Connection:
    """What a call and a stream have in common: two ends, each of which may die or be cut off."""

    def __init__(self, network: Network, request: Request) -> None:
        self._network = network
        self._fate = network.fate
        self._request = request
        self._caller = request.caller
        self._loop = asyncio.get_running_loop()
        self._server: Incarnation | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def _said(self) -> str:
        return f"{self._caller.name} → {self._request.address} {self._request.path.rsplit('/', 1)[1]}"

    def _cut_off(self) -> bool:
        return self._caller.cut_off or (self._server is not None and self._server.cut_off)

    def cut(self) -> None:
        """The server is cut off: who is there neither hears nor is told."""

    def _hurry(self) -> float:
        """How long it takes to hear that a connection is broken."""
        return self._fate.draw.uniform(0.0, BREAK_SECONDS_MAX)

    def _break_off(self) -> None:
        """The server hears that nobody waits any more."""
        if self._running is not None:
            self._loop.call_later(self._hurry(), self._running.cancel)

    def _is_noticed(self) -> bool:
        """Whether a lost connection breaks. If not, nobody ever hears anything."""
        return self._fate.draw.random() < BREAKS_SHARE


class Exchange(Connection):
    """One call, from the caller's first byte to the last it hears."""

    def __init__(self, network: Network, request: Request) -> None:
        super().__init__(network, request)
        self._path = request.path
        self._ends_at = self._loop.time() + request.seconds
        self._given_up = False
        self.answer: asyncio.Future[list[bytes]] = self._loop.create_future()
        self.broken_after: int | None = None
        """Of a stream: messages that come before the connection is lost."""

    def send(self) -> None:
        self._loop.call_later(self._fate.latency(), self._arrive)

    def give_up(self) -> None:
        """The caller waits no longer; the server hears of that unless it is cut off."""
        self._given_up = True
        if not self._cut_off():
            self._break_off()

    def drop(self) -> None:
        """The server is dead."""
        self._fail(Code.UNAVAILABLE, LOST)

    def _arrive(self) -> None:
        if self._given_up or not self._caller.alive:
            return
        self._fate.step(self._said)
        doubles = () if self._path.endswith(NEVER_DOUBLED) else (Fault.DUPLICATE,)
        fault = self._fate.strikes(Fault.LOSE_REQUEST, *doubles) if self._matters() else None
        if fault is not None:
            self._fate.note(f"  {fault}: {self._said}")
        server = self._network.server(self._request.address)
        if fault is Fault.LOSE_REQUEST:
            self._lose()
        elif server is None:
            self._fail(Code.UNAVAILABLE, REFUSED)
        elif not (self._caller.cut_off or server.owner.cut_off):
            self._server = server.owner
            self._begin(server)
            if fault is Fault.DUPLICATE:
                again = self._loop.create_task
                context = server.owner.context()
                self._loop.call_later(
                    self._fate.latency(),
                    lambda: server.owner.alive and again(self._run(server), context=context),
                )

    def _matters(self) -> bool:
        """Most calls only read, and a lost one of them is soon repeated: fewer of those meet a fault."""
        return methods()[self._path].effect or self._fate.draw.random() < READS_SHARE

    def _begin(self, server: Server) -> None:
        server.owner.calls[self] = None
        self._running = self._loop.create_task(self._serve(server), context=server.owner.context())

    async def _serve(self, server: Server) -> None:
        try:
            messages, servicing = await self._run(server)
        finally:
            server.owner.calls.pop(self, None)
        self._loop.call_later(self._fate.latency(), self._reply, messages, servicing)

    async def _run(self, server: Server) -> tuple[list[bytes], Servicing]:
        servicing = Servicing(self._request.metadata, self._ends_at)
        handler = server.handlers[self._path]
        serialize = cast("Callable[[Any], bytes]", handler.response_serializer)
        messages: list[bytes] = []
        try:
            if handler.response_streaming:
                stream: Any = handler.unary_stream
                messages += [serialize(message) async for message in stream(self._request.raw, servicing)]
            else:
                answer: Any = handler.unary_unary
                messages.append(serialize(await answer(self._request.raw, servicing)))
        except grpc.aio.AbortError:
            pass
        return messages, servicing

    def _reply(self, messages: list[bytes], servicing: Servicing) -> None:
        if not self._is_heard() or self._cut_off():
            return
        self._fate.step(f"{self._said} answers {servicing.status[0].name if servicing.status else 'OK'}")
        if not self._is_heard():
            return
        if self._matters() and self._fate.strikes(Fault.LOSE_REPLY):
            self._fate.note(f"  {Fault.LOSE_REPLY}: {self._said}")
            if len(messages) > 1:
                self.broken_after = self._fate.draw.randrange(len(messages))
                self.answer.set_result(messages)
            else:
                self._lose()
        elif servicing.status is not None:
            code, details = servicing.status
            self.answer.set_exception(error_of(code, details, servicing.trailing))
        else:
            self.answer.set_result(messages)

    def _is_heard(self) -> bool:
        return self._caller.alive and not self.answer.done()

    def _lose(self) -> None:
        if self._is_noticed():
            self._fail(Code.UNAVAILABLE, LOST)

    def _fail(self, code: Code, details: str) -> None:
        def tell() -> None:
            if self._is_heard():
                self.answer.set_exception(error_of(code, details))

        self._loop.call_later(self._hurry(), tell)


def error_of(code: Code, details: str, trailing: Any = ()) -> grpc.aio.AioRpcError:
    """What gRPC raises for a status."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)
