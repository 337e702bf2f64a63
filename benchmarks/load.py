"""The load: a process of its own that sends orders and checks every answer. Open this file to see how time is taken.

One run per line of standard input, one result per line of standard output, both JSON. A closed run keeps every
connection busy until the time is over; an open run sends at fixed times whether or not answers have come, and counts
an order's time from the moment it should have been sent. Raw sockets, so that the load costs little of the machine.
"""

import asyncio
import json
import resource
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import cast

import uvloop

ACCEPTED = b"202"
ANSWER_SECONDS = 30.0
"""An order that is not answered in that time ends the run."""
TICK_SECONDS = 0.001
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Run:
    """What to send."""

    port: int
    token: str
    run_id: str
    """Makes the keys of this run different from those of any other."""
    seconds: float
    connections: int
    rate: float = 0.0
    """Orders per second of an open run; 0 is a closed run."""
    orders_max: int = 1_000_000
    path: str = "/v1/orders"


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    accepted: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    load_cpu_us: float = 0.0
    """CPU of this process per order."""
    others: dict[str, int] = field(default_factory=dict)
    """Answers other than 202, by status."""


class Line(asyncio.Protocol):
    """One keep-alive connection; carries one request at a time."""

    def __init__(self, answered: Callable[["Line", bytes], None]) -> None:
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        self._answered(self, b"hung up")

    def send(self, request: bytes, at: float) -> None:
        assert self._transport is not None
        self.sent_at = at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < end + len(HEAD_END) + length:
            return
        self._received = b""
        self._answered(self, head[9:12])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Sender:
    """Sends the orders of one run."""

    def __init__(self, run: Run, bodies: Sequence[bytes]) -> None:
        self._run = run
        self._heads = [_head(run, body) for body in bodies]
        self._bodies = bodies
        self._sent = 0
        self._under_way = 0
        self._idle: deque[Line] = deque()
        self._late: deque[float] = deque()
        self._took: list[float] = []
        self._others: Counter[str] = Counter()
        self._all_due = False
        self._closing = False
        self._all_answered = asyncio.Event()

    async def go(self) -> Outcome:
        loop = asyncio.get_running_loop()
        lines = [
            (await loop.create_connection(lambda: Line(self._answered), "127.0.0.1", self._run.port))[1]
            for _ in range(self._run.connections)
        ]
        cpu, self._began = _cpu_seconds(), perf_counter()
        self._until = self._began + self._run.seconds
        if self._run.rate:
            self._idle.extend(lines)
            await self._send_on_time()
        else:
            for line in lines:
                self._send(line, perf_counter())
        async with asyncio.timeout(self._run.seconds + ANSWER_SECONDS):
            await self._all_answered.wait()
        took = perf_counter() - self._began
        self._closing = True
        for line in lines:
            line.close()
        return self._outcome(took, _cpu_seconds() - cpu)

    async def _send_on_time(self) -> None:
        """A request whose time has come waits for a free connection, and its clock runs."""
        due, step = self._began, 1 / self._run.rate
        while due < self._until:
            now = perf_counter()
            while due <= now and due < self._until:
                self._late.append(due)
                due += step
            while self._late and self._idle:
                self._send(self._idle.popleft(), self._late.popleft())
            await asyncio.sleep(TICK_SECONDS)
        self._all_due = True
        if not self._under_way:
            self._all_answered.set()

    def _send(self, line: Line, at: float) -> None:
        number, self._sent = self._sent, self._sent + 1
        place = number % len(self._bodies)
        self._under_way += 1
        line.send(self._heads[place] + b'%d"\r\n\r\n' % number + self._bodies[place], at)

    def _answered(self, line: Line, status: bytes) -> None:
        if self._closing:
            return
        now = perf_counter()
        self._under_way -= 1
        if status == ACCEPTED:
            self._took.append(now - line.sent_at)
        else:
            self._others[status.decode("latin-1")] += 1
            if status == b"hung up":
                self._all_answered.set()
                return
        if self._run.rate:
            self._next_on_time(line)
        elif now < self._until and self._sent < self._run.orders_max:
            self._send(line, now)
        elif not self._under_way:
            self._all_answered.set()

    def _next_on_time(self, line: Line) -> None:
        if self._late:
            self._send(line, self._late.popleft())
            return
        self._idle.append(line)
        if self._all_due and not self._under_way:
            self._all_answered.set()

    def _outcome(self, took: float, cpu: float) -> Outcome:
        ordered = sorted(self._took)
        count = len(ordered)
        return Outcome(
            accepted=count,
            seconds=took,
            p50_ms=1000 * ordered[count // 2] if count else 0.0,
            p99_ms=1000 * ordered[min(count - 1, count * 99 // 100)] if count else 0.0,
            load_cpu_us=1e6 * cpu / count if count else 0.0,
            others=dict(self._others),
        )


def _head(run: Run, body: bytes) -> bytes:
    """Everything up to the number that makes the key of a request its own."""
    return (
        f"POST {run.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {run.token}\r\nContent-Type: application/json\r\n"
        f'Content-Length: {len(body)}\r\nIdempotency-Key: "{run.run_id}-'
    ).encode()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """`python -m benchmarks.load BODIES`; BODIES: one body per line."""
    bodies = Path(sys.argv[1]).read_bytes().splitlines()
    for line in sys.stdin:
        outcome = uvloop.run(Sender(Run(**json.loads(line)), bodies).go())
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main()
