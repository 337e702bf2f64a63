"""What every service is made of besides its own rules. Open this file to see how the pieces of the durable core meet.

A service's `app.py` opens a `Core`, adds its routes and feeds, and gets an `App`: the servicers to serve, the relay and
the ingest to run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

import grpc.aio
from ordermesh.common.v1 import event_pb2_grpc
from ordermesh.connector.v1 import connector_service_pb2_grpc
from ordermesh.operations.v1 import operations_service_pb2_grpc, proposal_service_pb2_grpc

from libs.common.context import CallContext
from libs.common.durable import bell, sweep
from libs.common.durable.aside import IntakeTarget, TakeIn
from libs.common.durable.ingest import Feed, Ingest
from libs.common.durable.lanes import Lane, LanePolicy
from libs.common.durable.model import Delivery
from libs.common.durable.operations.handling import (
    ConnectorHandling,
    Handling,
    IntakeHandling,
    StageHandling,
)
from libs.common.durable.operations.proposals import ProposalServicer
from libs.common.durable.operations.servicer import OperationsServicer
from libs.common.durable.relay import Relay, Route
from libs.common.durable.retention import Retention
from libs.common.durable.seal import Sealer
from libs.common.durable.settings import ServiceSettings
from libs.common.durable.store import Store
from libs.common.durable.surroundings import Surroundings
from libs.common.durable.targets import (
    ConnectorTarget,
    Outgoing,
    ProposalTarget,
    ServiceTarget,
    StageTarget,
    StreamTarget,
)
from libs.common.durable.trying import Target
from libs.common.durable.tx import Group, Tx
from libs.common.durable.unit import Unit
from libs.common.ownership import MESH
from libs.common.rpc.replay import note_replayed
from libs.common.rpc.sharing import share
from libs.common.topology import ANY, Topology

T = TypeVar("T", bound=Tx)
STREAM = "stream"
Register = Callable[[grpc.aio.Server], None]
Prepare = Callable[[str, Delivery], Awaitable[Outgoing | None]]
"""System and delivery to what that system is to be told."""


OUTSIDE = LanePolicy(concurrency_max=8, concurrency_quick=64)
"""For what asks an outside system."""
INSIDE = LanePolicy(concurrency_max=16)


@dataclass(frozen=True, slots=True)
class App(Generic[T]):
    """One service, ready to run."""

    unit: Unit[T]
    relay: Relay[T]
    ingest: Ingest[T]
    bell: bell.Bell
    sweep: Callable[[asyncio.Event], Coroutine[None, None, None]]
    """Forgets what has expired, until the event is set."""
    registrations: Sequence[tuple[Callable[..., None], object]]
    """Generated `add_…Servicer_to_server` and the servicer."""
    close: Callable[[], Awaitable[None]]


class Core(Generic[T]):
    """Store, unit of work, connections and loops of one service."""

    def __init__(self, settings: ServiceSettings, service: str, surroundings: Surroundings) -> None:
        self._settings = settings
        self._service = service
        self._surroundings = surroundings
        self._clock = surroundings.clock
        self._sealer = Sealer(settings.seal_keys_file)
        self._retention = Retention.of_days(settings.history_days, settings.audit_days)
        self.topology = Topology.load(settings.topology_file)
        self.store = Store(
            settings.own_database_url(service), service, pool_max=settings.database_connections_max
        )
        self._redis = bell.connect(settings.redis_url.get_secret_value()) if settings.redis_url else None
        self._bell = bell.Bell(service, self._redis, self._clock)
        self._routes: dict[str, Route] = {}
        self._handling: dict[str, Callable[[Unit[T]], Handling]] = {}
        """What can be told of parked items, by target; made once there is a unit."""
        self._feeds: list[Feed] = []
        self.lanes: Mapping[str, Lane] = {}
        """Of the relay, by target, once there is one."""
        self._channels: dict[str, grpc.aio.Channel] = {}

    def unit(self, open_tx: Callable[[Group, CallContext, str], T]) -> Unit[T]:
        """The service's unit of work; what it commits wakes the relay."""
        return Unit(
            self.store,
            open_tx,
            clock=self._clock,
            new_id=self._surroundings.make_id,
            wake=lambda targets: self._bell.ring(bell.RELAY),
            note_replay=note_replayed,
            sealer=self._sealer,
        )

    def heard(self, targets: Sequence[str]) -> list[str]:
        """Targets that exist here: the stream only where there is a Redis."""
        return [target for target in targets if target != STREAM or self._redis is not None]

    def systems(self, role: str) -> list[str]:
        """Names of the ERPs or CRMs."""
        return [name for name, system in self.topology.systems.items() if system.role == role]

    def systems_of(self, tenant: str, role: str) -> list[str]:
        """Names of the ERPs or CRMs that serve a tenant."""
        return [name for name, system in self.topology.systems_of(tenant).items() if system.role == role]

    def connector(self, system: str) -> "connector_service_pb2_grpc.ConnectorServiceAsyncStub":
        """Calls to a system's connector."""
        channel = self.channel(self.topology.systems[system].address)
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        return share(stub, channel)

    def channel(self, target: str) -> grpc.aio.Channel:
        """One channel per address, closed with the app."""
        if target not in self._channels:
            opened = self._surroundings.open_channel(target, self._settings, f"service:{self._service}")
            self._channels[target] = opened
        return self._channels[target]

    # Where events go ----------------------------------------------------------------------------------

    def to_connectors(self, prepare: Mapping[str, Prepare]) -> None:
        """`connector:<system>` for each system of the roles in `prepare`."""
        for role, prepare_for in prepare.items():
            for system in self.systems(role):
                self._add_connector(system, prepare_for)

    def _add_connector(self, system: str, prepare: Prepare) -> None:
        async def prepare_here(delivery: Delivery) -> Outgoing | None:
            return await prepare(system, delivery)

        name, connector = f"connector:{system}", self.connector(system)
        self._handling[name] = lambda unit: ConnectorHandling(connector, prepare_here, self.store)
        self._add(name, ConnectorTarget(connector, prepare_here), OUTSIDE)

    def to_services(self, names: Sequence[str]) -> None:
        """`service:<name>` for each name."""
        for name in names:
            channel = self.channel(self.topology.service_target(name))
            stub = event_pb2_grpc.EventIntakeServiceStub(channel)
            self._add(f"service:{name}", ServiceTarget(stub))

    def to_stages(
        self, stages: Mapping[str, Callable[..., Awaitable[Callable[..., Awaitable[object]]]]]
    ) -> None:
        """`stage:<name>` for each of the service's own next steps."""
        for name, prepare in stages.items():
            self._handling[f"stage:{name}"] = partial(StageHandling, prepare=prepare)
            self._add(f"stage:{name}", StageTarget(prepare), OUTSIDE)

    def _add(self, name: str, target: Target, policy: LanePolicy = INSIDE) -> None:
        self._routes[name] = Route(target, policy)

    def to_stewards(self, role: str) -> None:
        """`proposal:<system>` for each system of the role, which owns fields that others want to change."""
        for system in self.systems(role):
            self._add(f"proposal:{system}", ProposalTarget())

    def source_of(self, system: str) -> str:
        """What a system is as a source of writes: `erp`, `crm`, or `mesh` for all that is no outside system."""
        known = self.topology.systems.get(system)
        return known.role if known is not None else MESH

    # Where changes come from --------------------------------------------------------------------------

    def from_systems(self, kinds: Mapping[str, Sequence[str]], take_in: TakeIn[T]) -> None:
        """Feeds of the kinds named for each role, one for each tenant, and the queue of changes set aside."""
        for role, names in kinds.items():
            for system in self.systems(role):
                for tenant in self.topology.systems[system].tenants:
                    assert tenant != ANY, f"systems.{system}.tenants: feeds need tenants by name"
                    self._feeds.extend(
                        Feed(
                            tenant,
                            system,
                            kind,
                            self.connector(system),
                            timedelta(seconds=self._settings.ingest_seconds),
                        )
                        for kind in names
                    )
                self._handling[f"intake:{system}"] = partial(IntakeHandling, take_in=take_in)
                self._add(f"intake:{system}", IntakeTarget(take_in))

    # All of it ----------------------------------------------------------------------------------------

    def app(
        self, unit: Unit[T], take_in: TakeIn[T], servicers: Sequence[tuple[Callable[..., None], object]]
    ) -> App[T]:
        """The service, ready to run."""
        if self._redis is not None:
            self._add(STREAM, StreamTarget(self._redis))
        relay = Relay(
            unit,
            self._routes,
            name=self._service,
            clock=self._clock,
            sealer=self._sealer,
            lease=timedelta(seconds=self._settings.lease_seconds),
            draw=self._surroundings.draw,
        )
        self.lanes = relay.lanes
        ingest = Ingest(unit, self._feeds, take_in, clock=self._clock, draw=self._surroundings.draw)
        self._bell.listen(bell.RELAY, relay.bell)
        for event in ingest.bells.values():
            self._bell.listen(bell.INGEST, event)
        operations = OperationsServicer(
            unit,
            lambda: relay.lanes,
            {target: make(unit) for target, make in self._handling.items()},
            self._bell.ring,
            frozenset(self.topology.systems),
        )
        return App(
            unit=unit,
            relay=relay,
            ingest=ingest,
            bell=self._bell,
            sweep=lambda stop: sweep.run(self.store, self._clock, stop, self._retention),
            registrations=[
                *servicers,
                (operations_service_pb2_grpc.add_OperationsServiceServicer_to_server, operations),
                (
                    proposal_service_pb2_grpc.add_ProposalServiceServicer_to_server,
                    ProposalServicer(unit),
                ),
            ],
            close=self._close,
        )

    async def _close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        await self.store.close()
        if self._redis is not None:
            await self._redis.aclose()
