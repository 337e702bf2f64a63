"""One day of trade in a small world: a lost reply, two processes at work. Open it to see what a bug is met by."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2_grpc

from connectors.kit.port import Kind
from libs.common.errors import OutcomeUnknown
from libs.common.testing.history import Acknowledged, CrmRecord, ErpDocument, History
from libs.common.testing.ledger import Tables
from tests.builders import ERP, a_submission, crm_customer, erp_customer, erp_product
from tests.integration.services.world import OutsideSystem, World

ORDER = change_pb2.KIND_ORDER
MEETING_SECONDS = 5.0
NIGHT_SECONDS = 600.0
NIGHTS = 3


class DoublingErp(OutsideSystem):
    """An ERP as most are: a write without its own document number makes a new document, whatever the key says."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.documents: list[tuple[str, str]] = []
        """Business key and number of each sales order."""
        self.replies_to_lose = 0
        self.arrived, self.met = asyncio.Event(), asyncio.Event()
        """A write of an order is here; a second one of the same order is here too."""
        self.gate = asyncio.Event()
        """Writes wait here."""
        self._here: set[str] = set()

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.kind != ORDER or change.external_id:
            return await super().apply_change(change, pinned_mapping)
        (self.met if change.key in self._here else self.arrived).set()
        self._here.add(change.key)
        await self.gate.wait()
        self.documents.append((change.key, f"so-{len(self.documents) + 1}"))
        self._here.discard(change.key)
        if self.replies_to_lose:
            self.replies_to_lose -= 1
            raise OutcomeUnknown("OUTCOME_UNKNOWN", "the reply was lost")
        return _receipt(self.documents[-1][1])

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        found = [number for known, number in self.documents if known == key]
        return _receipt(found[0]) if kind == ORDER and found else await super().find_by_key(kind, key)


def _receipt(number: str) -> change_pb2.Receipt:
    return change_pb2.Receipt(external_id=number, number=number)


async def trade(
    world: World, erp: DoublingErp, tables: Tables, plant: Callable[[], AbstractContextManager[object]]
) -> History:
    """The day, and everything that is known of it. plant: breaks something once customers and products are known."""
    world.says(erp_customer("110"), crm_customer("001"), erp_product("7"))
    await world.run()
    with plant():
        acknowledged = [answer async for answer in _submit(world)]
        erp.replies_to_lose = 1
        await _relay_from_two_processes(world, erp)
        for _ in range(NIGHTS):
            await world.run()
            world.pass_by(NIGHT_SECONDS)
    return replace(
        await tables.history(ERP),
        acknowledged=acknowledged,
        erp=[ErpDocument(number, key) for key, number in erp.documents],
        crm=_crm_records(world),
    )


async def _submit(world: World) -> AsyncIterator[Acknowledged]:
    """Two orders; the first one's caller did not hear the answer and asks again."""
    (customer,) = await world.rows("order", "SELECT name FROM reference WHERE name LIKE 'customer/cus_%'")
    customer_id = str(customer["name"]).removeprefix("customer/")
    stub = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    for key in ("key-1", "key-2", "key-1"):
        request = a_submission(customer_id=customer_id, key=key)
        request.order.ClearField(
            "source"
        )  # a record of the sales system would give a repetition away by its link
        answer = await stub.SubmitOrder(request)
        yield Acknowledged(key, answer.order_id)


async def _relay_from_two_processes(world: World, erp: DoublingErp) -> None:
    """While the first process's write waits at the ERP, a second process looks for something to do."""
    second = world.process("order")
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(world.settle("order"))
        await _first_of(first, asyncio.create_task(erp.arrived.wait()))
        looking = tasks.create_task(second.relay.run_once())
        await _first_of(looking, asyncio.create_task(erp.met.wait()))
        erp.gate.set()


async def _first_of(work: "asyncio.Task[int]", event: "asyncio.Task[bool]") -> None:
    await asyncio.wait({work, event}, timeout=MEETING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    event.cancel()


def _crm_records(world: World) -> list[CrmRecord]:
    """What the CRM was told of each order, oldest first."""
    told: dict[str, list[str]] = {}
    for change in world.crm.told_of(ORDER):
        name = order_pb2.OrderState.Name(change.order.state).removeprefix("ORDER_STATE_")
        told.setdefault(change.key, []).append(name)
    return [CrmRecord(key, key, tuple(states)) for key, states in told.items()]
