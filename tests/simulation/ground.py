"""What every run of the simulation stands on: one PostgreSQL with the four services' schemas, emptied before each run.

Open this file to learn how a service gets its settings here.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from libs.common.durable.core import App
from libs.common.durable.migrations import migrate
from libs.common.durable.store import schema_of
from libs.common.durable.surroundings import Surroundings
from libs.common.identity import Verifier
from libs.common.testing.rpc import OneMachine
from libs.common.testing.simulation.backend import Backend
from libs.common.testing.simulation.channel import opener
from libs.common.testing.simulation.database import Database
from libs.common.testing.simulation.loop import SimulatedClock
from libs.common.testing.simulation.network import Network
from libs.common.testing.simulation.process import Incarnation
from libs.common.testing.simulation.watch import JOURNAL, columns_to_watch, watch_table
from libs.common.testing.stores import Postgres, running_postgres
from tests.builders import CRM, ERP

ROOT = Path(__file__).resolve().parents[2]
RECORDS = {"order": "orders", "customer": "customers", "product": "products", "invoice": "invoices"}
LEASE_SECONDS = 8.0
"""The least there is: a message that is late often finds that somebody else holds the delivery."""
INGEST_SECONDS = 5.0
SERVER_SETTINGS = {"autovacuum": "off", "deadlock_timeout": "2ms", "max_connections": "100"}
"""Nothing that the server does by its own clock may decide anything."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Stores, keys and places."""

    postgres: Postgres
    database: Database
    machine: OneMachine
    verifier: Verifier
    topology_file: Path

    def build(self, service: str, life: Incarnation, network: Network) -> App[Any]:
        """A service as it is, in surroundings that the seed decides."""
        config, app = (import_module(f"services.{service}.{name}") for name in ("config", "app"))
        settings = config.Settings(
            jwks_file=self.machine.settings.jwks_file,
            mesh_key_file=self.machine.settings.mesh_key_file,
            database_url=f"postgresql+asyncpg://postgres@/postgres?host=/{life.name}",
            topology_file=self.topology_file,
            database_connections_max=3,
            lease_seconds=LEASE_SECONDS,
            ingest_seconds=INGEST_SECONDS,
        )
        surroundings = Surroundings(SimulatedClock(), life.make_id, life.draw, opener(network, life))
        built: App[Any] = app.build(settings, surroundings)
        return built

    def empty(self) -> None:
        """As if nothing had ever happened."""
        rows = self.database.control.query(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname LIKE 'ordermesh_%' OR schemaname = 'simulation'"
        )
        tables = ", ".join(f'"{schema}".{table}' for schema, table in rows if table != "alembic_version")
        self.database.control.query(f"TRUNCATE {tables} RESTART IDENTITY")


@contextmanager
def open_ground() -> Iterator[Ground]:
    """A PostgreSQL of its own, gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="ordermesh-sim-"))
    with running_postgres() as postgres:
        asyncio.run(_migrate(postgres))
        database = Database(postgres.folder)
        try:
            _prepare(database.control)
            machine = OneMachine(folder)
            topology = folder / "topology.toml"
            topology.write_text(_topology())
            yield Ground(postgres, database, machine, Verifier(machine.settings), topology)
        finally:
            database.close()
            shutil.rmtree(folder, ignore_errors=True)


async def _migrate(postgres: Postgres) -> None:
    for service in RECORDS:
        await migrate(postgres.url, service, ROOT / "services" / service / "migrations")


def _prepare(control: Backend) -> None:
    for name, value in SERVER_SETTINGS.items():
        control.query(f"ALTER SYSTEM SET {name} = '{value}'")
    control.query("SELECT pg_reload_conf()")
    while control.query("SHOW autovacuum") != [["off"]]:
        pass
    control.query(JOURNAL)
    for service, table in RECORDS.items():
        for name in columns_to_watch([table]):
            watch_table(control, service, name)


def _topology() -> str:
    lines = ["[services]", *(f'{name} = "{name}"' for name in RECORDS)]
    for name, role in ((ERP, "erp"), (CRM, "crm")):
        lines += [f"[systems.{name}]", f'role = "{role}"', f'address = "{name}"', 'tenants = ["acme"]']
    return "\n".join([*lines, "[[routing]]", f'erp = "{ERP}"', f'crm = "{CRM}"'])


def schemas() -> list[str]:
    return [schema_of(service) for service in RECORDS]
