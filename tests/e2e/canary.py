"""Planted values that may be nowhere but where they belong, and every place where they must not turn up.

belongs      the records themselves, their events and stored answers, sealed originals, what a reveal shows
must not     logs, traces, metrics, refusals, the exception queue with its items, histories and lineages,
             every other column of the durable core
"""

from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg
import httpx

from libs.cli.mesh import Mesh
from libs.cli.stores import Postgres
from libs.common.durable.aside import CHANGE_TYPE
from libs.common.durable.store import schema_of
from libs.common.durable.tables import METADATA
from libs.common.testing.collector import Collector
from libs.common.topology import SERVICES

CARD = "4000056655665556"
IBAN = "DE75512108001245126199"
MAIL = "canary.jane@birdcage.example"
PHONE = "+49 30 55501234"
STREET = "77 Canary Mews"
ADDRESSEE = "Jane Canaria-Finch"
TOKEN = "canary-7f3a91c2e5d84b60"
CANARIES = (CARD, IBAN, MAIL, PHONE, STREET, ADDRESSEE, TOKEN)
REMARK = f"call {PHONE}, pay {IBAN} or {CARD}, write {MAIL}"

BELONGS = {("event", "data"), ("idempotency", "answer")}
"""Columns that hold records."""
SEALED = ("SELECT data FROM event WHERE type = $1", CHANGE_TYPE)
ROWS_MAX = 100_000


def canaries_in(content: bytes | str) -> list[str]:
    """Those that stand there, whatever the case and however JSON or a URL would write them."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content
    plain = text.replace("%20", " ").replace("%40", "@").replace("+", " ").lower()
    return [each for each in CANARIES if each.replace("+", " ").lower() in plain]


async def logged(mesh: Mesh) -> AsyncIterator[tuple[str, bytes]]:
    """What each process has said."""
    for path in sorted(mesh.data.logs.iterdir()):
        yield f"log {path.name}", path.read_bytes()


async def measured(mesh: Mesh, client: httpx.AsyncClient) -> AsyncIterator[tuple[str, bytes]]:
    """What each process tells for Prometheus."""
    record = mesh.data.read()
    assert record is not None
    for process in record.processes:
        if process.metrics:
            answer = await client.get(f"http://{process.metrics}/metrics")
            assert answer.status_code == httpx.codes.OK
            yield f"metrics of {process.name}", answer.content


async def traced(collector: Collector) -> AsyncIterator[tuple[str, bytes]]:
    """Everything that was exported so far."""
    for number, body in enumerate(list(collector.bodies)):
        yield f"export {number}", body


async def stored(mesh: Mesh) -> AsyncIterator[tuple[str, bytes]]:
    """Each value of the durable core's tables that is no record, and each change that was set aside."""
    for service in SERVICES:
        driver = await asyncpg.connect(
            host=Postgres(mesh.data.root).url.partition("?host=")[2],
            user="postgres",
            database="postgres",
            server_settings={"search_path": schema_of(service)},
        )
        try:
            for table in METADATA.tables:
                for row in await driver.fetch(f"SELECT * FROM {table} LIMIT {ROWS_MAX}"):
                    for place, content in _columns(table, row):
                        yield f"{service}.{place}", content
            for row in await driver.fetch(*SEALED):
                yield f"{service}: a change set aside", row["data"]
        finally:
            await driver.close()


def _columns(table: str, row: Mapping[str, object]) -> Sequence[tuple[str, bytes]]:
    return [
        (f"{table}.{name}", value if isinstance(value, bytes) else str(value).encode())
        for name, value in row.items()
        if (table, name) not in BELONGS
    ]


async def leaks(*places: AsyncIterator[tuple[str, bytes]]) -> tuple[list[str], int]:
    """Where a canary stands that must not, and how many places were looked at."""
    found, looked = [], 0
    for place in places:
        async for name, content in place:
            looked += 1
            found += [f"{name}: {canary}" for canary in canaries_in(content)]
    return found, looked
