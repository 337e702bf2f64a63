"""What the services' tests stand on: four services, two ERPs and a CRM behind real sockets, a clock at rest.

    world.says(erp_customer("110"))     the ERP's feed will tell it
    await world.take_in("customer")     each feed of the service read once: one page, one commit
    await world.settle()                relays carry events until nothing is due
    await world.run()                   both, until nothing moves

Tenant acme has both ERPs and the CRM, tenant globex one ERP only.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import grpc.aio
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc

from connectors.kit.port import Connector, Kind
from connectors.kit.servicer import ConnectorServicer
from libs.common.durable.core import App
from libs.common.durable.ingest import Feed
from libs.common.durable.store import schema_of
from libs.common.durable.surroundings import Surroundings
from libs.common.errors import OrdermeshError
from libs.common.testing.clock import FakeClock, PassingClock
from libs.common.testing.rpc import OneMachine
from tests.builders import CRM, ERP

pb = connector_service_pb2
SERVICES = ("order", "customer", "product", "invoice")
"""In order of start: the order service is told by the others."""
SECOND_ERP = "sap"
ROUNDS_MAX = 50
Row = Mapping[str, Any]


class OutsideSystem(Connector):
    """A vendor's system and its connector. Keeps what it was told and tells what a test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.feed: dict[int, list[change_pb2.ExternalChange]] = {}
        """By kind; a cursor is the number of changes read."""
        self.told: list[change_pb2.Change] = []
        """Every write, in order of arrival."""
        self.refuses: list[OrdermeshError] = []
        """What the next writes are answered with."""
        self.asked: list[str] = []
        """Questions about credit, availability and tax in order of arrival; `together` before those of one call."""
        self.leaves_open: dict[str, list[OrdermeshError]] = {}
        """By question: what the next ones end with."""
        self.credit = pb.CREDIT_VERDICT_COVERED
        self.while_asked: Callable[[], Awaitable[object]] | None = None
        """What happens while the next question is under way."""
        self._made = 0
        self._holders: dict[tuple[int, str], list[str]] = {}
        """Ids of the records that carry a key, oldest first; a write under the key goes to the first."""

    def says(self, change: change_pb2.ExternalChange) -> None:
        """Its feed will tell this change."""
        self.feed.setdefault(change.kind, []).append(change)
        holders = self._holders.setdefault((change.kind, change.key), [])
        if change.deleted and change.ref.external_id in holders:
            holders.remove(change.ref.external_id)
        elif not change.deleted and change.ref.external_id not in holders:
            holders.append(change.ref.external_id)

    def told_of(self, kind: Kind.ValueType) -> list[change_pb2.Change]:
        return [change for change in self.told if change.kind == kind]

    async def describe(self) -> pb.DescribeResponse:
        return pb.DescribeResponse(system=self.name)

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if self.refuses:
            raise self.refuses.pop(0)
        self.told.append(change)
        if change.fields:
            return change_pb2.Receipt(external_id=change.external_id)
        holders = self._holders.setdefault((change.kind, change.key), [])
        if change.external_id and change.external_id not in holders:
            holders.insert(0, change.external_id)
        return self._receipt(change.kind, change.key)

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        return self._receipt(kind, key) if self._holders.get((kind, key)) else None

    def _receipt(self, kind: int, key: str) -> change_pb2.Receipt:
        holders = self._holders.setdefault((kind, key), [])
        if not holders:
            self._made += 1
            holders.append(f"{self.name[:2]}-{self._made}")
        return change_pb2.Receipt(external_id=holders[0], number=f"NO-{holders[0]}")

    async def read_changes(
        self, kind: Kind.ValueType, cursor: bytes, limit: int
    ) -> AsyncIterator[pb.ReadChangesResponse]:
        start = int(cursor or b"0")
        for number, change in enumerate(self.feed.get(kind, [])[start : start + limit], start + 1):
            yield pb.ReadChangesResponse(change=change, cursor=str(number).encode())

    async def check_order(self, request: pb.CheckOrderRequest) -> pb.CheckOrderResponse:
        self.asked.append("together")
        return await super().check_order(request)

    async def check_credit(self, request: pb.CheckCreditRequest) -> pb.CheckCreditResponse:
        await self._hear("credit")
        return pb.CheckCreditResponse(verdict=self.credit)

    async def check_availability(self, request: pb.CheckAvailabilityRequest) -> pb.CheckAvailabilityResponse:
        await self._hear("availability")
        return pb.CheckAvailabilityResponse()

    async def calculate_tax(self, request: pb.CalculateTaxRequest) -> pb.CalculateTaxResponse:
        await self._hear("tax")
        return await super().calculate_tax(request)

    async def _hear(self, question: str) -> None:
        self.asked.append(question)
        if self.while_asked is not None:
            happens, self.while_asked = self.while_asked, None
            await happens()
        if self.leaves_open.get(question):
            raise self.leaves_open[question].pop(0)

    async def close(self) -> None:
        """Holds nothing."""


class World:
    """All of it. `start` it once; everything opened is closed with `close`."""

    def __init__(self, folder: Path, database_url: str, database: Mapping[str, str]) -> None:
        self.machine = OneMachine(folder)
        self.clock = FakeClock()
        self.systems = {name: OutsideSystem(name) for name in (ERP, SECOND_ERP, CRM)}
        self.real: dict[str, Connector] = {}
        """Connectors of simulators that stand in for some of `systems`; set them before `start`."""
        self.apps: dict[str, App[Any]] = {}
        self._folder = folder
        self._database_url = database_url
        self._database = database
        self._addresses: dict[str, str] = {}
        self._open = AsyncExitStack()

    @property
    def crm(self) -> OutsideSystem:
        return self.systems[CRM]

    @property
    def erp(self) -> OutsideSystem:
        return self.systems[ERP]

    async def start(self) -> None:
        register = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server
        for name, system in {**self.systems, **self.real}.items():
            serving = self.machine.serving((register, ConnectorServicer(system, lambda tenant: None)))
            self._addresses[name] = await self._open.enter_async_context(serving)
        for name in SERVICES:
            app = self.process(name)
            self.apps[name] = app
            serving = self.machine.serving(*app.registrations)
            self._addresses[name] = await self._open.enter_async_context(serving)

    def process(self, service: str, *, database_url: str = "") -> App[Any]:
        """A further process of a service; `database_url` may lead through a `DatabaseLink`."""
        config, app = (import_module(f"services.{service}.{name}") for name in ("config", "app"))
        settings = config.Settings(
            jwks_file=self.machine.settings.jwks_file,
            mesh_key_file=self.machine.settings.mesh_key_file,
            database_url=database_url or self._database_url,
            topology_file=self.write_topology(),
            database_connections_max=4,
        )
        built: App[Any] = app.build(settings, Surroundings(clock=self.clock))
        built.unit.clock = PassingClock(self.clock)
        self._open.push_async_callback(built.close)
        return built

    def write_topology(self) -> Path:
        systems = {ERP: ("erp", '"acme", "globex"'), SECOND_ERP: ("erp", '"acme"'), CRM: ("crm", '"acme"')}
        known = [f'{name} = "{self._addresses[name]}"' for name in SERVICES if name in self._addresses]
        tables = ["[services]", *known]
        for name, (role, tenants) in systems.items():
            tables += [f"[systems.{name}]", f'role = "{role}"', f'address = "{self._addresses[name]}"']
            tables += [f"tenants = [{tenants}]"]
        tables += ["[[routing]]", f'erp = "{ERP}"', f'crm = "{CRM}"']
        path = self._folder / "topology.toml"
        path.write_text("\n".join(tables))
        return path

    async def close(self) -> None:
        await self._open.aclose()

    # What happens ---------------------------------------------------------------------------------

    def says(self, *changes: change_pb2.ExternalChange) -> None:
        """The systems that the changes name will tell them, in this order."""
        for change in changes:
            self.systems[change.ref.system].says(change)

    def feeds(self, service: str, system: str = "", tenant: str = "acme") -> list[Feed]:
        return [
            feed
            for feed in self.apps[service].ingest.bells
            if feed.tenant == tenant and system in ("", feed.system)
        ]

    async def take_in(self, service: str, tenant: str = "acme") -> int:
        """Reads each feed of the service once; the number of changes read."""
        ingest = self.apps[service].ingest
        return sum([await ingest.run_once(feed) for feed in self.feeds(service, tenant=tenant)])

    async def settle(self, *services: str) -> int:
        """Relays what is due until nothing is; the number of deliveries tried."""
        total = 0
        for _ in range(ROUNDS_MAX):
            tried = sum([await self.apps[name].relay.run_once() for name in services or SERVICES])
            if not tried:
                return total
            total += tried
        raise AssertionError(f"deliveries are still due after {ROUNDS_MAX} rounds")

    async def run(self) -> None:
        """Feeds and relays, until nothing moves."""
        for _ in range(ROUNDS_MAX):
            read = sum([await self.take_in(name) for name in SERVICES])
            if not read and not await self.settle():
                return
        raise AssertionError(f"something still moves after {ROUNDS_MAX} rounds")

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    # What callers see -----------------------------------------------------------------------------

    def address(self, service: str) -> str:
        """For a client of the test's own."""
        return self._addresses[service]

    async def channel(self, service: str) -> grpc.aio.Channel:
        """Calls carry a token of the mesh, unless they bring one such as `world.machine.bearer`."""
        return await self._open.enter_async_context(self.machine.channel(self._addresses[service]))

    # What is in the rows --------------------------------------------------------------------------

    async def rows(self, service: str, query: str, *arguments: object) -> Sequence[Row]:
        """Rows as committed, read over a connection of the test's own."""
        driver = await asyncpg.connect(
            **self._database, server_settings={"search_path": schema_of(service), "TimeZone": "UTC"}
        )
        try:
            return [dict(row) for row in await driver.fetch(query, *arguments)]
        finally:
            await driver.close()

    async def events(self, service: str) -> list[str]:
        """Short names of all facts, in order of telling."""
        rows = await self.rows(service, "SELECT type FROM event ORDER BY position")
        return [str(row["type"]).rsplit(".", 1)[1] for row in rows]

    async def heard(self, service: str, event: int = -1) -> list[str]:
        """Targets that hear of one fact, the last unless said otherwise."""
        rows = await self.rows(service, "SELECT event_id FROM event ORDER BY position")
        query = "SELECT target FROM delivery WHERE event_id = $1 ORDER BY target"
        return [str(row["target"]) for row in await self.rows(service, query, rows[event]["event_id"])]

    async def states(self, service: str, target: str) -> Mapping[str, int]:
        """States of the deliveries to a target, counted."""
        query = "SELECT state FROM delivery WHERE target = $1"
        return Counter(str(row["state"]) for row in await self.rows(service, query, target))

    async def counts(self, service: str, *tables: str) -> list[int]:
        return [(await self.rows(service, f"SELECT count(*) FROM {table}"))[0]["count"] for table in tables]
