"""The job of every peer's worker: an order through the ERP, step by step. Open this file to see what is compared.

Four calls that take the stub 5 ms each (credit, availability, tax, the order itself), the state stored after each, and
the payment at the end. A job that is run again goes on where the stored state says, which is the most that a queue's
own guarantees leave to do by hand. Threads keep a connection to the ERP each; connections to PostgreSQL are pooled.
"""

import http.client
import threading
from pathlib import Path
from urllib.parse import urlsplit

from psycopg_pool import ConnectionPool

from libs.common.config import ProcessSettings, load_settings

CALLS = ("credit", "availability", "tax", "orders")
STATES = ("RECEIVED", "CREDIT_CLEARED", "AVAILABILITY_CONFIRMED", "TAXED", "POSTED", "PAID")
IN_FLIGHT = 16
ERP_ENVIRONMENT = "ORDERMESH_BENCH_ERP"
TABLE = """
CREATE TABLE IF NOT EXISTS peer_order (
    id text PRIMARY KEY, peer text NOT NULL, state text NOT NULL, number text NOT NULL DEFAULT '', body bytea NOT NULL
)
"""


class JobSettings(ProcessSettings):
    """What a peer's worker is told, under the names the product's processes use."""

    bench_erp: str = ""
    bench_bodies: Path | None = None

    @property
    def database(self) -> str:
        """For psycopg alone."""
        assert self.database_url is not None
        return self.database_url.get_secret_value().replace("+asyncpg", "")

    @property
    def redis(self) -> str:
        assert self.redis_url is not None
        return self.redis_url.get_secret_value()


def settings() -> JobSettings:
    return load_settings(JobSettings)


class Job:
    """Does the steps in threads."""

    def __init__(self, told: JobSettings) -> None:
        self._pool = ConnectionPool(told.database, min_size=1, max_size=IN_FLIGHT, open=True)
        self._erp = urlsplit(told.bench_erp)
        self._own = threading.local()

    def run(self, order_id: str) -> None:
        """All steps that are still to be done."""
        state, body = self.read(order_id)
        for place in range(STATES.index(state), len(STATES) - 1):
            self.step(order_id, place, body)

    def read(self, order_id: str) -> tuple[str, bytes]:
        """State and body."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT state, body FROM peer_order WHERE id = %s", (order_id,), prepare=True
            ).fetchone()
        assert row is not None
        return row[0], bytes(row[1])

    def step(self, order_id: str, place: int, body: bytes) -> None:
        """From one state to the next: the ERP is asked, the answer is stored."""
        number = self._ask(CALLS[place], order_id, body) if place < len(CALLS) else ""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE peer_order SET state = %s, number = greatest(number, %s) WHERE id = %s",
                (STATES[place + 1], number, order_id),
                prepare=True,
            )

    def _ask(self, path: str, order_id: str, body: bytes) -> str:
        line: http.client.HTTPConnection | None = getattr(self._own, "line", None)
        if line is None:
            line = self._own.line = http.client.HTTPConnection(
                self._erp.hostname or "", self._erp.port, timeout=10
            )
        line.request("POST", f"/{path}", body, {"Content-Type": "application/json", "X-Key": order_id})
        answer = line.getresponse()
        text = answer.read()
        assert answer.status == 201, answer.status
        return text.decode()
