"""Connections to a real PostgreSQL, one message at a time. Open this file to learn what can befall a statement.

A message waits for its moment on the simulated clock; then it is put to the server and answered while everything else
stands still. Only a statement that waits for another's lock stays open meanwhile. A connection that is cut gives its
server process back to be used again, rolled back and emptied: thousands of cuts cost no process.
"""

import asyncio
import re
import struct
from collections.abc import Callable
from pathlib import Path

from libs.common.testing.simulation.backend import READY, Backend, expected_end, frames
from libs.common.testing.simulation.fate import Fate, Fault
from libs.common.testing.simulation.loop import pause
from libs.common.testing.simulation.process import Incarnation

SOCKET = ".s.PGSQL.5432"
CANCEL_REQUEST = 80877102
DELAY_SECONDS_MAX = 9.0
"""Of each way: both together stay below the driver's own limit, which it partly measures by the real clock."""
GIST_CHARACTERS = 48
COUNTED = re.compile(r" __asyncpg_\w+__")
"""Names that the driver numbers for as long as this process of ours lives."""
CODES = ("40001", "40P01", "55P03")
"""Serialization failure, deadlock, lock not available: another transaction was in the way."""
CATALOG = "WITH RECURSIVE typeinfo_tree"
"""What the driver asks on each new connection about types that never change; costs as much as twenty statements."""
REFUSE = "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'as the seed will have it'; END$$"


class Database:
    """The server of a simulation. folder: where PostgreSQL's socket lies."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / SOCKET
        self.control = Backend(self._socket, greeting({"user": "postgres", "database": "postgres"}))
        self._idle: dict[bytes, list[Backend]] = {}
        self._fate: Fate | None = None
        self._incarnations: dict[str, Incarnation] = {}
        self._blocked: list[_Link] = []
        self._catalog: dict[bytes, bytes] = {}
        self.after_commit: Callable[[], None] = lambda: None

    def begin(self, fate: Fate, incarnations: dict[str, Incarnation]) -> None:
        """Serves one run from now on. incarnations: by name, which is also the host they ask for."""
        self._fate, self._incarnations, self._blocked = fate, incarnations, []

    @property
    def fate(self) -> Fate:
        assert self._fate is not None
        return self._fate

    def close(self) -> None:
        for backend in [self.control, *(each for idle in self._idle.values() for each in idle)]:
            backend.close()

    async def connect(
        self, protocol_factory: Callable[[], asyncio.Protocol], path: str
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """What the loop answers to whoever opens a socket: `/<incarnation>/.s.PGSQL.5432`."""
        await pause(self.fate.latency(1.0))
        owner = self._incarnations.get(path.split("/")[1])
        if owner is None or not owner.alive or owner.cut_off:
            raise ConnectionRefusedError("nobody listens")
        protocol = protocol_factory()
        link = _Link(self, owner, protocol)
        owner.links[link] = None
        protocol.connection_made(link)
        return link, protocol

    def backend(self, startup: bytes) -> Backend:
        idle = self._idle.setdefault(startup, [])
        return idle.pop() if idle else Backend(self._socket, startup)

    def take_back(self, startup: bytes, backend: Backend) -> None:
        """Ends what the server process was doing for a client that is gone."""
        if backend.is_busy:
            self.control.query(f"SELECT pg_cancel_backend({backend.pid})")
            backend.finish()
        backend.query("ROLLBACK")
        backend.query("DISCARD ALL")
        self._idle[startup].append(backend)
        self.look_at_blocked()

    def ask(self, backend: Backend, said: str, data: bytes) -> bytes | None:
        """The answer; None when it waits for a lock."""
        if not said.startswith(CATALOG) or expected_end(data)[1] != READY:
            return backend.ask(data, self.waits)
        question = next(body.split(b"\0", 2)[2] for kind, body in frames(data) if kind == b"B")
        if question not in self._catalog:
            answer = backend.ask(data, self.waits)
            assert answer is not None
            self._catalog[question] = answer[:-1]
        return self._catalog[question] + backend.state

    def cancel(self, pid: int) -> None:
        """Only what waits for a lock is under way; anything else is done before a cancellation arrives."""
        if any(link.waits_in(pid) for link in self._blocked):
            self.control.query(f"SELECT pg_cancel_backend({pid})")
            self.look_at_blocked()

    def waits(self, backend: Backend) -> bool:
        """True while its statement waits for a lock."""
        rows = self.control.query(f"SELECT cardinality(pg_blocking_pids({backend.pid})) > 0")
        return rows[0][0] == "t"

    def block(self, link: "_Link") -> None:
        self._blocked.append(link)

    def look_at_blocked(self) -> None:
        """Somebody may have let a lock go."""
        blocked, self._blocked = self._blocked, []
        for link in blocked:
            link.go_on()


class _Link(asyncio.Transport):
    """The client's end of one connection."""

    def __init__(self, database: Database, owner: Incarnation, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._database = database
        self._owner = owner
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._startup = b""
        self._backend: Backend | None = None
        self._statements: dict[bytes, str] = {}
        self._closed = False
        self._sent_at = self._answered_at = 0.0
        owner.connections += 1
        self._name = f"{owner.name} sql{owner.connections}"

    # What asyncpg asks of a transport -----------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closed:
            return
        now = self._loop.time()
        self._sent_at = max(self._sent_at, now + self._database.fate.latency(DELAY_SECONDS_MAX))
        self._loop.call_at(self._sent_at, self._arrive, bytes(data))

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._end(None)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    def resume_reading(self) -> None:
        """Nothing comes unasked."""

    # What becomes of a message ------------------------------------------------------------------------

    def cut(self) -> None:
        """The connection is lost."""
        self._end(ConnectionResetError("the connection was lost"))

    def drop(self) -> None:
        """The client is dead."""
        self._closed = True
        self._give_back()

    def _end(self, error: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self._owner.links.pop(self, None)
            self._give_back()
            self._loop.call_soon(self._protocol.connection_lost, error)

    def _give_back(self) -> None:
        if self._backend is not None:
            backend, self._backend = self._backend, None
            self._database.take_back(self._startup, backend)

    def _arrive(self, data: bytes) -> None:
        if self._closed:
            return
        if not self._startup:
            self._greet(data)
            return
        if data[:1] == b"X":
            self.close()
            return
        said = self._read(data)
        is_idle = self._backend is not None and self._backend.state == b"I"
        # A statement alone is a transaction by itself.
        fate, commits = self._database.fate, said.startswith(("COMMIT", "WITH") if is_idle else "COMMIT")
        fate.step(f"{self._name}: {said}")
        if self._backend is None:
            return  # its process died of this step
        fault = fate.strikes(*((Fault.LOSE_COMMIT,) if commits else ()), Fault.CUT, Fault.AGAIN)
        if fault is not None:
            fate.note(f"  {fault} at {self._name}")
        if (
            fault is Fault.AGAIN
            and expected_end(data)[1] == READY
            and not said.startswith(("ROLLBACK", "Sync"))
        ):
            if commits:
                self._backend.query("ROLLBACK")
            self._answer(self._backend.ask_simply(REFUSE.format(code=fate.draw.choice(CODES))))
            return
        if fault is Fault.CUT and fate.draw.random() < 0.5:
            self.cut()
            return
        reply = self._database.ask(self._backend, said, data)
        if fault in (Fault.CUT, Fault.LOSE_COMMIT):
            self._after(said, reply)
            self.cut()
        elif reply is None:
            fate.note(f"  {self._name} waits for a lock")
            self._database.block(self)
        else:
            self._after(said, reply)
            self._answer(reply)

    def waits_in(self, pid: int) -> bool:
        return self._backend is not None and self._backend.pid == pid

    def go_on(self) -> None:
        """A statement that waited may have its lock now."""
        if self._closed or self._backend is None:
            return
        reply = self._backend.wait(self._database.waits)
        if reply is None:
            self._database.block(self)
        else:
            self._database.fate.note(f"  {self._name} has its lock")
            self._after("", reply)
            self._answer(reply)

    def _after(self, said: str, reply: bytes | None) -> None:
        if reply is not None and reply.endswith(b"I"):
            if not said.startswith(("SELECT", "ROLLBACK")):
                self._database.after_commit()
            self._database.look_at_blocked()

    def _answer(self, reply: bytes) -> None:
        now = self._loop.time()
        self._answered_at = max(self._answered_at, now + self._database.fate.latency(DELAY_SECONDS_MAX))
        self._loop.call_at(self._answered_at, self._told, reply)

    def _told(self, reply: bytes) -> None:
        if not self._closed:
            self._protocol.data_received(reply)

    def _greet(self, data: bytes) -> None:
        _, code = struct.unpack_from("!ii", data)
        if code == CANCEL_REQUEST:
            self._database.cancel(struct.unpack_from("!i", data, 8)[0])
            self.close()
            return
        self._database.fate.step(f"{self._name}: connect")
        if not self._closed:
            self._startup = _without_lock_timeout(data)
            self._backend = self._database.backend(self._startup)
            self._answer(self._backend.greeting)

    def _read(self, data: bytes) -> str:
        """What the message says, in words."""
        said = "Sync"
        for kind, body in frames(data):
            if kind == b"P":
                name, query = body.split(b"\0", 2)[:2]
                self._statements[name] = said = _gist(query)
            elif kind == b"B":
                said = self._statements.get(body.split(b"\0", 2)[1], "")
            elif kind == b"Q":
                said = _gist(body)
        return said


def _gist(query: bytes) -> str:
    words = COUNTED.sub("", query.rstrip(b"\0").decode()).split()
    return " ".join(words)[:GIST_CHARACTERS].rstrip(" ;")


def greeting(parameters: dict[str, str]) -> bytes:
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, 196608) + body


def _without_lock_timeout(startup: bytes) -> bytes:
    """The server's own clock must not decide anything."""
    words = startup[8:].rstrip(b"\0").decode().split("\0")
    parameters = dict(zip(words[::2], words[1::2], strict=True))
    return greeting(parameters | {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"})
