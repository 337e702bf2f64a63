"""One server process of PostgreSQL, spoken to in its own protocol and waited for on the spot.

Open this file to see how an answer is told from a wait for a lock.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK_BYTES = 256 * 1024
LOOK_SECONDS = 0.008
"""A statement that takes longer is asked about: it works, or it waits for a lock. Longer than the server takes to find
a deadlock (`deadlock_timeout` of a simulation's server), so that the last to come is always the one refused."""
ANSWER_SECONDS_MAX = 30.0
READY, DESCRIBED = b"Z", b"TnE"
"""Kinds of message that end an answer: after a sync, after a flush."""
Waits = Callable[["Backend"], bool]


def frames(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each message a client sends once it is greeted."""
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place + 1 : place + 5], "big")
        yield data[place : place + 1], data[place + 5 : place + 1 + length]
        place += 1 + length


def expected_end(data: bytes) -> tuple[int, bytes]:
    """How many messages end the answer to `data`, and of which kinds they are. A greeting begins with a zero byte."""
    kinds = [kind for kind, _ in frames(data)] if data[0] else [b"Q"]
    syncs = sum(kind in b"SQ" for kind in kinds)
    return (syncs, READY) if syncs else (1, DESCRIBED)


def simple_query(statement: str) -> bytes:
    """The message that asks for it."""
    body = statement.encode() + b"\0"
    return b"Q" + (len(body) + 4).to_bytes(4, "big") + body


class Backend:
    """One connection. startup: the client's first message."""

    def __init__(self, path: Path, startup: bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(LOOK_SECONDS)
        self._socket.connect(str(path))
        self._received = bytearray()
        self._place = self._missing = 0
        self._closing = READY
        self._is_held = False
        self.pid = 0
        self.state = b"I"
        """Idle, in a Transaction, or in one that has failed (E)."""
        self.greeting = self._say(startup)

    def close(self) -> None:
        self._hold(held=False)
        self._socket.close()

    @property
    def is_busy(self) -> bool:
        """True while an answer is missing."""
        return self._missing > 0

    def ask(self, data: bytes, waits: Waits) -> bytes | None:
        """The whole answer to a message; None when it waits for a lock."""
        self._missing, self._closing = expected_end(data)
        self._socket.sendall(data)
        return self.wait(waits)

    def wait(self, waits: Waits) -> bytes | None:
        """The answer to what was asked before; None while it still waits for a lock.

        Until it is asked again its process is held: of several whose lock is given back at once, each goes on when its
        turn comes, and not whichever the machine lets run first.
        """
        self._hold(held=False)
        for _ in range(int(ANSWER_SECONDS_MAX / LOOK_SECONDS)):
            if self._is_complete():
                return self._taken()
            if self._receive() or not waits(self):
                continue
            if not self._receive() and waits(self):
                self._hold(held=True)
                return None
        raise AssertionError("the server does not answer")

    def finish(self) -> bytes:
        """The answer to what was asked before, however long it takes."""
        return self._must(self.wait(lambda backend: False))

    def ask_simply(self, statement: str) -> bytes:
        """The raw answer to a statement that waits for nobody."""
        return self._say(simple_query(statement))

    def query(self, statement: str) -> list[list[str]]:
        """Rows as text. AssertionError with the server's words when it refuses."""
        answer, rows, place = self.ask_simply(statement), [], 0
        while place < len(answer):
            kind, length = answer[place : place + 1], int.from_bytes(answer[place + 1 : place + 5], "big")
            body = answer[place + 5 : place + 1 + length]
            assert kind != b"E", body
            if kind == b"D":
                rows.append(_values(body))
            place += 1 + length
        return rows

    def _hold(self, *, held: bool) -> None:
        """Only what waits is ever held, so nobody waits for a lock of the server's own that it has."""
        if held != self._is_held:
            os.kill(self.pid, signal.SIGSTOP if held else signal.SIGCONT)
            self._is_held = held

    def _say(self, data: bytes) -> bytes:
        return self._must(self.ask(data, lambda backend: False))

    @staticmethod
    def _must(answer: bytes | None) -> bytes:
        assert answer is not None
        return answer

    def _receive(self) -> bool:
        try:
            chunk = self._socket.recv(CHUNK_BYTES)
        except TimeoutError:
            return False
        assert chunk, "the server has closed the connection"
        self._received += chunk
        return True

    def _is_complete(self) -> bool:
        received = self._received
        while len(received) - self._place >= 5:
            end = self._place + 1 + int.from_bytes(received[self._place + 1 : self._place + 5], "big")
            if end > len(received):
                return False
            kind = received[self._place]
            if kind == ord("K"):
                self.pid = int.from_bytes(received[self._place + 5 : self._place + 9], "big")
            if kind == ord("Z"):
                self.state = bytes(received[end - 1 : end])
            self._missing -= kind in self._closing
            self._place = end
        return self._missing <= 0

    def _taken(self) -> bytes:
        answer = bytes(self._received)
        self._received.clear()
        self._place = 0
        return answer


def _values(body: bytes) -> list[str]:
    values, place = [], 2
    for _ in range(int.from_bytes(body[:2], "big")):
        length = int.from_bytes(body[place : place + 4], "big", signed=True)
        values.append(body[place + 4 : place + 4 + max(length, 0)].decode())
        place += 4 + max(length, 0)
    return values
