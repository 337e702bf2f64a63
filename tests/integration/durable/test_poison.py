"""A payload that crashes a mapper holds up nobody but its own record, over a real connector process's door."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc
from ordermesh.customer.v1 import customer_pb2
from ordermesh.operations.v1 import operations_service_pb2 as pb

from connectors.kit.mappings import pick
from connectors.kit.port import Connector, Kind
from connectors.kit.servicer import ConnectorServicer
from libs.common.durable.lanes import LanePolicy
from libs.common.durable.model import Delivery
from libs.common.durable.operations.commands import Replay, replay_exception
from libs.common.durable.relay import Relay
from libs.common.durable.targets import ConnectorTarget, Outgoing
from libs.common.retry import RetryPolicy
from libs.common.testing.records import NoteTx, a_key
from libs.common.testing.rpc import OneMachine
from tests.integration.durable.world import ERP, Row, World

REGISTER = connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server
TRIES = 3
SHELVES = {"nail": "A1", "screw": "A2"}


def to_body(customer: customer_pb2.Customer) -> dict[str, str]:
    """A mapper with a bug: it takes for granted that every text has a shelf."""
    return {"shelf": SHELVES[customer.name]}


@dataclass
class Warehouse(Connector):
    """A connector whose only kind is mapped by a mapper that may crash."""

    mapping: str = "warehouse.customer@1"
    written: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

    async def describe(self) -> connector_service_pb2.DescribeResponse:
        kind = connector_service_pb2.KindCapability(kind=change_pb2.KIND_CUSTOMER, mappings=[self.mapping])
        return connector_service_pb2.DescribeResponse(system="erp", role="erp", kinds=[kind])

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        self.tried.append(change.customer.name)
        name, mapper = pick({self.mapping: to_body}, pinned_mapping)
        mapper(change.customer)
        self.written.append(change.customer.name)
        return change_pb2.Receipt(external_id=f"x{len(self.written)}", mapping=name)

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        return None

    async def close(self) -> None:
        pass


@dataclass
class Bench:
    """A relay, and the connector's door in front of it."""

    world: World
    warehouse: Warehouse
    relay: Relay[NoteTx]

    async def run(self) -> None:
        """Until every try that the policy allows was made, and once more."""
        for _ in range(TRIES + 1):
            await self.relay.run_once()
            self.world.advance(3600)
        await self.relay.run_once()


async def prepare(delivery: Delivery) -> Outgoing:
    """The customer is the note, its name the text that the event carries."""
    customer = customer_pb2.Customer(name=delivery.event.data.decode())
    change = change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        intent=change_pb2.INTENT_UPSERT,
        key=delivery.event.record_id,
        customer=customer,
    )
    return Outgoing(change, lambda receipt: None)


@pytest.fixture
async def bench(world: World, tmp_path: Path) -> AsyncIterator[Bench]:
    mesh, warehouse = OneMachine(tmp_path), Warehouse()
    servicer = ConnectorServicer(warehouse, lambda tenant: None)
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        target = ConnectorTarget(connector_service_pb2_grpc.ConnectorServiceStub(channel), prepare)
        policy = LanePolicy(retry=RetryPolicy(attempts_max=TRIES))
        yield Bench(world, warehouse, world.new_relay({ERP: target}, policy=policy))


async def test_a_payload_that_crashes_the_mapper_parks_while_others_flow(bench: Bench) -> None:
    world, warehouse = bench.world, bench.warehouse
    poisoned = await world.write("poison", ERP)
    await world.change(poisoned, "nail")
    await world.write("screw", ERP)

    await bench.run()

    parked = await world.delivery(f"notes/{poisoned}")
    assert (parked["state"], parked["reason"], parked["attempt"]) == ("PARKED", "INTERNAL", TRIES)
    assert (parked["failure_class"], parked["owner"]) == ("technical", "integration")
    assert (await world.delivery(f"notes/{poisoned}", 2))["state"] == "PENDING"
    assert warehouse.tried.count("poison") == TRIES
    assert warehouse.written == ["screw"]


async def test_once_the_mapper_is_mended_a_replay_lets_the_followers_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = bench.world
    poisoned = await world.write("poison", ERP)
    await world.change(poisoned, "nail")
    await bench.run()
    monkeypatch.setitem(SHELVES, "poison", "Z9")
    bench.warehouse.mapping = "warehouse.customer@2"

    delivery_id = int(str((await world.delivery(f"notes/{poisoned}"))["delivery_id"]))
    await world.unit.run_once(replay_exception, Replay(delivery_id, "", "mended"), answered, a_key("k"))
    while await bench.relay.run_once():
        pass

    assert bench.warehouse.written == ["poison", "nail"]
    assert [attempt["mapping"] for attempt in await world.attempts()][-1] == "warehouse.customer@2"
    assert set(await world.states()) == {"DELIVERED"}


def answered(row: Row) -> pb.ReplayExceptionResponse:
    return pb.ReplayExceptionResponse()


async def test_a_refused_attempt_tells_the_mapping_over_the_wire(bench: Bench) -> None:
    """A pin of one that is gone parks at once, with its name."""
    await bench.world.write("nail", ERP)
    await bench.world.execute("UPDATE delivery SET pinned_mapping = 'warehouse.customer@0'")
    await bench.run()
    (attempt,) = await bench.world.attempts()
    assert (attempt["outcome"], attempt["reason"], attempt["mapping"]) == (
        "parked",
        "MAPPING_NOT_KEPT",
        "warehouse.customer@0",
    )
