"""Things that go wrong when a test says so: an outside system and the way to the database.

Open this file to test what is known after a call whose answer never came.
"""

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ordermesh.common.v1 import difference_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.errors import OutcomeUnknown

COMMIT = b"COMMIT;"
CHUNK_BYTES = 64 * 1024
SHUTDOWN = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
SHUTDOWN_MESSAGE = b"E" + (len(SHUTDOWN) + 4).to_bytes(4, "big") + SHUTDOWN


@dataclass(frozen=True, slots=True)
class Fault:
    """How one call fails; `applied` says whether it took effect before."""

    error: Exception
    applied: bool = False


def lost_reply() -> Fault:
    """The system has done it, and nobody heard."""
    return Fault(OutcomeUnknown("OUTCOME_UNKNOWN", "the reply was lost"), applied=True)


def lost_request() -> Fault:
    """The request may have arrived; it did not."""
    return Fault(OutcomeUnknown("OUTCOME_UNKNOWN", "the request was lost"))


@dataclass(slots=True, eq=False)
class MemorySystem:
    """An outside system and its connector in memory: keeps what a `connector:` delivery and a feed need.

    It does not know its keys when it is written to: two writes without external id make two documents, as most vendors
    do. So a blind repeat shows in `documents`.
    """

    documents: list[tuple[str, str]] = field(default_factory=list)
    """Business key and external id of each document, in order of making."""
    calls: list[str] = field(default_factory=list)
    """`apply key` and `find key`, in order of arrival."""
    feed: list[connector_service_pb2.ReadChangesResponse] = field(default_factory=list)
    """Everything that ever changed; a cursor is the number of items read."""
    apply_faults: deque[Fault] = field(default_factory=deque)
    find_faults: deque[Fault] = field(default_factory=deque)
    read_faults: deque[Fault] = field(default_factory=deque)
    preview_faults: deque[Fault] = field(default_factory=deque)
    differences: list[difference_pb2.FieldDifference] = field(default_factory=list)
    """What each preview tells."""
    gate: asyncio.Event | None = None
    """While set and not ringing, calls wait here after they have arrived."""
    in_flight: int = 0
    in_flight_max: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each call."""

    def keys(self) -> list[str]:
        """Business keys of the documents."""
        return [key for key, _ in self.documents]

    async def ApplyChange(  # noqa: N802
        self, request: connector_service_pb2.ApplyChangeRequest
    ) -> connector_service_pb2.ApplyChangeResponse:
        change = request.change
        await self._arrive(f"apply {change.key}")
        fault = self.apply_faults.popleft() if self.apply_faults else None
        if fault and not fault.applied:
            raise fault.error
        external_id = change.external_id
        if not external_id:
            external_id = f"x{len(self.documents) + 1}"
            self.documents.append((change.key, external_id))
        if fault:
            raise fault.error
        exchange = change_pb2.Exchange(
            operation="PUT /documents", request_body=b"asked", response_body=b"said"
        )
        receipt = change_pb2.Receipt(
            external_id=external_id, verdict="200 done", mapping="memory.note@1", exchange=exchange
        )
        return connector_service_pb2.ApplyChangeResponse(receipt=receipt)

    async def FindByKey(  # noqa: N802
        self, request: connector_service_pb2.FindByKeyRequest
    ) -> connector_service_pb2.FindByKeyResponse:
        await self._arrive(f"find {request.key}")
        if self.find_faults:
            raise self.find_faults.popleft().error
        for key, external_id in self.documents:
            if key == request.key:
                receipt = change_pb2.Receipt(external_id=external_id, verdict="found", existed=True)
                return connector_service_pb2.FindByKeyResponse(receipt=receipt)
        return connector_service_pb2.FindByKeyResponse()

    async def ReadChanges(  # noqa: N802
        self, request: connector_service_pb2.ReadChangesRequest
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        self.calls.append(f"read {request.cursor.decode()}")
        start = int(request.cursor or b"0")
        for number, item in enumerate(self.feed[start : start + request.limit], start + 1):
            if self.read_faults:
                raise self.read_faults.popleft().error
            yield connector_service_pb2.ReadChangesResponse(change=item.change, cursor=str(number).encode())
        if self.read_faults:
            raise self.read_faults.popleft().error

    async def Describe(  # noqa: N802
        self, request: connector_service_pb2.DescribeRequest
    ) -> connector_service_pb2.DescribeResponse:
        kind = connector_service_pb2.KindCapability(
            kind=change_pb2.KIND_ORDER, mappings=["memory.note@1", "memory.note@2"]
        )
        return connector_service_pb2.DescribeResponse(system="erp", kinds=[kind])

    async def PreviewChange(  # noqa: N802
        self, request: connector_service_pb2.PreviewChangeRequest
    ) -> connector_service_pb2.PreviewChangeResponse:
        await self._arrive(f"preview {request.change.key}")
        if self.preview_faults:
            raise self.preview_faults.popleft().error
        return connector_service_pb2.PreviewChangeResponse(
            mapping=request.pinned_mapping or "memory.note@2",
            exists=request.change.key in self.keys(),
            differences=self.differences,
        )

    async def _arrive(self, call: str) -> None:
        self.calls.append(call)
        self.arrived.set()
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.in_flight -= 1


def refusing(error: Exception) -> Fault:
    """The system says no, or that it surely did nothing."""
    return Fault(error)


class DatabaseLink:
    """A socket in front of PostgreSQL's own, which can be cut at any message.

    `url` leads through the link; `postgres_folder` is where PostgreSQL's socket lies.
    """

    SOCKET = ".s.PGSQL.5432"

    def __init__(self, postgres_folder: Path) -> None:
        self._postgres = postgres_folder / self.SOCKET
        self._folder = Path(tempfile.mkdtemp(prefix="ordermesh-link-"))
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._told: set[asyncio.StreamWriter] = set()
        self._messages_left: int | None = None
        self._heard = False
        self.was_cut = False
        """True once the cut that `cut_after` announced has happened."""
        self._lose_commit: bool | None = None
        self._swallow = False
        self._for_good = False

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://postgres@/postgres?host={self._folder}"

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.cut()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def cut(self) -> None:
        """Ends all connections; new ones are refused until `mend`."""
        self._shut()
        self._drop()

    def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            (self._folder / self.SOCKET).unlink(missing_ok=True)

    async def mend(self) -> None:
        """Takes connections again."""
        self._messages_left, self._lose_commit = None, None
        self._swallow = self._for_good = False
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._serve, self._folder / self.SOCKET)

    def cut_after(self, messages: int, *, heard: bool = False, for_good: bool = False) -> None:
        """The connection is lost instead of the next message after so many to the server.

        heard: instead of the answer to it. for_good: nobody is let in afterwards, until `mend`.
        """
        self._messages_left, self._heard, self.was_cut = messages, heard, False
        self._for_good = for_good

    def lose_next_commit(self, *, applied: bool, for_good: bool = False) -> None:
        """The connection is lost while the next COMMIT is under way; `applied`: after the server has done it.

        `for_good`: nobody is let in afterwards, until `mend`.
        """
        self._lose_commit, self._for_good = applied, for_good

    def announce_shutdown(self) -> None:
        """Tells each client what PostgreSQL says before it closes; the end arrives with the client's next message."""
        for client in self._clients:
            client.write(SHUTDOWN_MESSAGE)
        self._told |= self._clients

    def _drop(self) -> None:
        if self._for_good:
            self._shut()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._postgres)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, server_writer}
        self._clients.add(writer)
        await asyncio.gather(
            self._forward(reader, server_writer, writer), self._return(server_reader, writer)
        )
        self._clients.discard(writer)
        self._told.discard(writer)
        for end in (writer, server_writer):
            self._open.discard(end)
            end.close()

    async def _forward(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if client in self._told:
                    client.transport.abort()
                    break
                cut_here = self._is_cut_here()
                if (cut_here and not self._heard) or (COMMIT in chunk and self._lose_commit is False):
                    self._lose_commit = None
                    self._drop()
                    return
                self._swallow = self._swallow or cut_here
                if COMMIT in chunk and self._lose_commit:
                    self._lose_commit, self._swallow = None, True
                server.write(chunk)
                await server.drain()
        server.transport.abort()

    async def _return(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self._swallow:
                    self._swallow = False
                    self._drop()
                    return
                client.write(chunk)
                await client.drain()
        client.transport.abort()

    def _is_cut_here(self) -> bool:
        if self._messages_left is None:
            return False
        if self._messages_left == 0:
            self._messages_left, self.was_cut = None, True
            return True
        self._messages_left -= 1
        return False
