"""Every connector keeps the promises of the port: one suite, run through the gRPC contract on each of them.

A connector comes under the suite by its `connectors/<system>/testing.py`; see `connectors/kit/conformance.py`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
from google.type import decimal_pb2, money_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc
from ordermesh.customer.v1 import customer_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.conformance import Target
from connectors.kit.port import Connector, Kind
from connectors.kit.servicer import ConnectorServicer, admission
from libs.common.clock import SystemClock
from libs.common.context import using
from libs.common.errors import Refused
from libs.common.testing.connector import UNKNOWN_SKU, MemoryConnector, MemorySystem
from libs.common.testing.rpc import OneMachine
from libs.common.testing.suites.connector import Connect, ConnectorConformance, NativePayload
from libs.common.topology import Topology
from tests.contract.connecting import REGISTER, connecting

HERE = Path(__file__).resolve().parent
CONNECTORS = HERE.parents[1] / "connectors"
SYSTEMS = sorted(path.parent.name for path in CONNECTORS.glob("*/testing.py"))
MEMORY = "memory"
EUR = "EUR"


class MemoryTarget:
    """The system in memory; proves the suite, and is proved by it for the tests that use it."""

    def __init__(self) -> None:
        self.vendor = MemorySystem(MEMORY, SystemClock())
        self.tenant = "acme"

    def build(self) -> Connector:
        return cast(Connector, MemoryConnector(self.vendor))

    def change(self, kind: Kind.ValueType, key: str) -> change_pb2.Change:
        change = change_pb2.Change(kind=kind, intent=change_pb2.INTENT_UPSERT, key=key)
        if kind == change_pb2.KIND_ORDER:
            change.order.CopyFrom(an_order(key, "SKU-1", "SKU-2"))
        else:
            change.customer.CopyFrom(customer_pb2.Customer(customer_id=key, name="Acme"))
        return change

    def refused_change(self, key: str) -> change_pb2.Change | None:
        order = an_order(key, "SKU-1", f"{UNKNOWN_SKU}-1")
        return change_pb2.Change(
            kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key=key, order=order
        )

    def credit_question(self) -> connector_service_pb2.CheckCreditRequest:
        amount = money_pb2.Money(currency_code=EUR, units=10)
        return connector_service_pb2.CheckCreditRequest(customer_external_id="1", amount=amount)

    def availability_question(self) -> connector_service_pb2.CheckAvailabilityRequest:
        return connector_service_pb2.CheckAvailabilityRequest(lines=an_order("o", "SKU-1", "SKU-2").lines)

    def price_question(self) -> connector_service_pb2.PriceLinesRequest:
        lines = an_order("o", "SKU-1", "SKU-2").lines
        return connector_service_pb2.PriceLinesRequest(
            customer_external_id="1", currency_code=EUR, lines=lines
        )

    def tax_question(self) -> connector_service_pb2.CalculateTaxRequest:
        return connector_service_pb2.CalculateTaxRequest(order=an_order("o", "SKU-1"))

    def native_payloads(self) -> Sequence[NativePayload]:
        return ()


def an_order(order_id: str, *skus: str) -> order_pb2.Order:
    price = money_pb2.Money(currency_code=EUR, units=10, nanos=500_000_000)
    lines = [
        order_pb2.OrderLine(
            line_number=number, sku=sku, quantity=decimal_pb2.Decimal(value="2"), unit_price=price
        )
        for number, sku in enumerate(skus, start=1)
    ]
    sold_to = order_pb2.PartyRef(customer_id="cus_1")
    return order_pb2.Order(order_id=order_id, sold_to=sold_to, currency_code=EUR, lines=lines)


@asynccontextmanager
async def in_memory() -> AsyncIterator[Target]:
    yield MemoryTarget()


def start(system: str) -> AbstractAsyncContextManager[Target]:
    """The target that a connector folder offers."""
    if system == MEMORY:
        return in_memory()
    return cast("AbstractAsyncContextManager[Target]", import_module(f"connectors.{system}.testing").start())


@pytest.fixture(params=[MEMORY, *SYSTEMS])
async def target(request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    async with start(request.param) as target:
        yield target


@pytest.fixture
def connect(target: Target, tmp_path: Path) -> Connect:
    return connecting(tmp_path, target.tenant, target.build)


class TestConnectors(ConnectorConformance):
    """The suite, with the fixtures above."""


async def test_a_tenant_that_the_topology_does_not_name_reaches_no_vendor(tmp_path: Path) -> None:
    mesh, target = OneMachine(tmp_path), MemoryTarget()
    topology = Topology.model_validate(
        {"systems": {MEMORY: {"role": "erp", "address": "127.0.0.1:1", "tenants": ["acme"]}}}
    )
    servicer = ConnectorServicer(target.build(), admission(topology, MEMORY))
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        stub = connector_service_pb2_grpc.ConnectorServiceStub(channel)
        change = target.change(change_pb2.KIND_ORDER, "ord_1")
        with using(mesh.context("globex")), pytest.raises(Refused) as refused:
            await stub.ApplyChange(connector_service_pb2.ApplyChangeRequest(change=change))
        assert refused.value.reason == "SYSTEM_UNKNOWN"
        assert await target.vendor.requests() == 0
        with using(mesh.context("acme")):
            await stub.ApplyChange(connector_service_pb2.ApplyChangeRequest(change=change))
    assert await target.vendor.requests() == 1


def test_every_connector_that_can_be_run_is_under_the_suite() -> None:
    """Here, or in a `test_<system>_conformance.py` of its own."""
    systems = {path.parent.name for path in CONNECTORS.glob("*/__main__.py")}
    own = {
        path.stem.removeprefix("test_").removesuffix("_conformance")
        for path in HERE.glob("test_*_conformance.py")
    }
    assert systems - set(SYSTEMS) - own == set()
