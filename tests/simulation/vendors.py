"""The outside systems of a simulation, and their people. They are stores: no death of a process touches them.

Open this file to change how a vendor behaves. What a vendor must never be told shows here, at the moment it is told.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.port import Kind
from libs.common.clock import Clock
from libs.common.errors import Refused
from libs.common.testing.history import CrmRecord, ErpDocument
from libs.common.testing.simulation.fate import Fate, Fault
from libs.common.testing.simulation.loop import pause
from libs.common.testing.simulation.watch import advances
from tests.builders import erp_invoice, erp_payment, erp_product, erp_progress
from tests.integration.services.world import OutsideSystem

ORDER = change_pb2.KIND_ORDER
ROAD = (
    change_pb2.ERP_ORDER_STATUS_ACCEPTED,
    change_pb2.ERP_ORDER_STATUS_SHIPPED,
    change_pb2.ERP_ORDER_STATUS_INVOICED,
)
QUANTITY = "8"
PEOPLE_SECONDS = 0.25


@dataclass(slots=True)
class Document:
    """One sales order in the ERP."""

    number: str
    key: str
    come: int = 0
    """How many of the steps its people take with it are taken; the last is the payment."""
    cancelled: bool = False

    @property
    def is_done(self) -> bool:
        return self.cancelled or self.come > len(ROAD)


class Teller(OutsideSystem):
    """A system whose changes bear its own times and rising versions; some are told twice, some late."""

    def __init__(self, name: str, fate: Fate, clock: Clock) -> None:
        super().__init__(name)
        self.fate = fate
        self._clock = clock
        self._versions = 0

    def tell(self, change: change_pb2.ExternalChange) -> None:
        """The feed will have it."""
        self._versions += 1
        change.version = f"{self._versions:08}"
        change.changed_time.FromDatetime(self._clock.now())
        self.says(change)
        if self.fate.strikes(Fault.DUPLICATE):
            self.says(self.fate.draw.choice([change, *self.feed[change.kind][-4:]]))

    @property
    def told_changes(self) -> dict[str, int]:
        """How many changes of each kind its feeds hold, by the kind's name."""
        return {
            change_pb2.Kind.Name(change_pb2.Kind.ValueType(kind)): len(told)
            for kind, told in self.feed.items()
        }


class Erp(Teller):
    """As most ERPs are: a write without its own document number makes a new document, whatever the key says."""

    def __init__(self, name: str, fate: Fate, clock: Clock) -> None:
        super().__init__(name, fate, clock)
        self.documents: list[Document] = []

    @property
    def ledger(self) -> Sequence[ErpDocument]:
        return [ErpDocument(document.number, document.key) for document in self.documents]

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.kind != ORDER:
            return await super().apply_change(change, pinned_mapping)
        document = next((each for each in self.documents if each.number == change.external_id), None)
        if change.intent == change_pb2.INTENT_CANCEL:
            return self._cancel(document or self._of(change.key))
        if document is None:
            if self._of(change.key) is not None:
                self.fate.object(f"doubled document: {change.key}")
            document = Document(f"so-{len(self.documents) + 1}", change.key)
            self.documents.append(document)
            self.fate.note(f"  the ERP has {document.number} for {change.key}")
        return change_pb2.Receipt(external_id=document.number, number=document.number)

    def _cancel(self, document: Document | None) -> change_pb2.Receipt:
        if document is None:
            return change_pb2.Receipt()
        if document.come > ROAD.index(change_pb2.ERP_ORDER_STATUS_SHIPPED):
            raise Refused("ERP_REFUSED", "the goods have left")
        if not document.cancelled:
            document.cancelled = True
            self._tell_order(document, change_pb2.ERP_ORDER_STATUS_CLOSED)
        return change_pb2.Receipt(external_id=document.number, number=document.number)

    def _of(self, key: str) -> Document | None:
        return next((each for each in self.documents if each.key == key), None)

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        if kind != ORDER:
            return await super().find_by_key(kind, key)
        found = self._of(key)
        return change_pb2.Receipt(external_id=found.number, number=found.number) if found else None

    async def work(self, draw: random.Random) -> None:
        """Its people take one step after the other with whatever lies there, and count their stock."""
        while True:
            await pause(draw.expovariate(1 / PEOPLE_SECONDS))
            waiting = [document for document in self.documents if not document.is_done]
            if waiting:
                self._advance(draw.choice(waiting))
            elif not self.fate.calm and draw.random() < 0.2:
                self.tell(erp_product("7", stock=str(draw.randrange(10, 90))))

    def _advance(self, document: Document) -> None:
        document.come += 1
        if document.come <= len(ROAD):
            self._tell_order(document, ROAD[document.come - 1])
        bill = f"in-{document.number}"
        if document.come == len(ROAD):
            self.tell(erp_invoice(bill, number=bill, order_id=document.key))
        elif document.is_done:
            self.tell(erp_payment(f"pa-{document.number}", invoice=bill))

    def _tell_order(self, document: Document, status: change_pb2.ErpOrderStatus.ValueType) -> None:
        shipped = {"BOLT": QUANTITY} if document.come > 1 else None
        self.tell(erp_progress(document.number, document.key, status, shipped=shipped))


class Crm(Teller):
    """Keeps one record for each key, and every state it was told."""

    def __init__(self, name: str, fate: Fate, clock: Clock) -> None:
        super().__init__(name, fate, clock)
        self.states: dict[str, list[str]] = {}

    @property
    def ledger(self) -> Sequence[CrmRecord]:
        return [CrmRecord(key, key, tuple(states)) for key, states in self.states.items()]

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.kind == ORDER:
            told = self.states.setdefault(change.key, [])
            state = order_pb2.OrderState.Name(change.order.state).removeprefix("ORDER_STATE_")
            if told and not advances(told[-1], state):
                self.fate.object(f"state went back: {change.key}: the CRM was told {told[-1]}, then {state}")
            told.append(state)
        return await super().apply_change(change, pinned_mapping)
