"""The gateway on a socket, and callers who write to it byte by byte."""

import asyncio
import json
from dataclasses import dataclass, field

from tests.contract.test_gateway.mesh import AN_ORDER, Mesh

ORDER = json.dumps(AN_ORDER).encode()
CALL_SECONDS = 10.0


@dataclass(slots=True)
class Heard:
    """An answer as it came over the line."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


@dataclass(slots=True)
class Line:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, content: bytes) -> None:
        self.writer.write(content)

    async def hear(self) -> Heard:
        async with asyncio.timeout(CALL_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Heard(int(head[0].split(" ")[1]), headers, body)

    async def is_closed(self) -> bool:
        """True when the other side hangs up."""
        async with asyncio.timeout(CALL_SECONDS):
            return await self.reader.read(1) == b""


@dataclass(slots=True)
class Socket:
    """The gateway on a port."""

    mesh: Mesh
    port: int

    async def connect(self) -> Line:
        return Line(*await asyncio.open_connection("127.0.0.1", self.port))

    def head(self, *lines: str) -> bytes:
        token = self.mesh.bearer()["Authorization"]
        fixed = ("POST /v1/orders HTTP/1.1", "Host: gateway", f"Authorization: {token}", "Idempotency-Key: k")
        return "\r\n".join([*fixed, "Content-Type: application/json", *lines, "", ""]).encode()
