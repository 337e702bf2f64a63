"""An outside system in memory, and its connector: the stand-in for tests of services, and the suite's own proof.

    system = MemorySystem("memory", SystemClock())
    connector = MemoryConnector(system)         # satisfies `connectors/kit/port.py`
    await system.strike(Fault.LOSE_REPLY, On.WRITE)

It behaves as an ERP does: it writes orders and customers by key, cancels orders, feeds changes of every kind and
answers every question. It knows every product but those whose SKU begins with `NONE`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.type import decimal_pb2, money_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.clock import Clock
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.rpc.status import status_of
from libs.common.testing.vendor import Fault, Kind, On

pb = connector_service_pb2
WRITTEN = (change_pb2.KIND_ORDER, change_pb2.KIND_CUSTOMER)
FED = (*WRITTEN, change_pb2.KIND_PRODUCT, change_pb2.KIND_INVOICE, change_pb2.KIND_PAYMENT)
UNKNOWN_SKU = "NONE"
UNIT_PRICE = money_pb2.Money(units=10, nanos=500_000_000)
AVAILABLE = "1000"


@dataclass(slots=True)
class Document:
    """One record it holds."""

    kind: Kind.ValueType
    key: str
    external_id: str
    version: int
    changed_time: datetime
    change: change_pb2.Change
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Strike:
    """One armed fault."""

    fault: Fault
    on: On
    retry_after: str
    seconds: float


class MemorySystem:
    """The outside system; satisfies `Vendor` of the conformance suite."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.documents: list[Document] = []
        self._log: list[Document] = []
        self._strikes: list[Strike] = []
        self._requests = 0
        self._gone = False

    async def strike(self, fault: Fault, on: On, *, retry_after: str = "", seconds: float = 0.0) -> None:
        self._strikes.append(Strike(fault, on, retry_after, seconds))

    async def copies(self, kind: Kind.ValueType, key: str) -> int:
        return len([document for document in self.documents if (document.kind, document.key) == (kind, key)])

    async def touch(self, kind: Kind.ValueType, count: int) -> Sequence[str]:
        changes = (change_pb2.Change(kind=kind) for _ in range(count))
        return [self.write(change).external_id for change in changes]

    async def requests(self) -> int:
        return self._requests

    async def leave(self) -> None:
        self._gone = True

    async def meet(self, on: On) -> Strike | None:
        """What befalls a request of that sort before it is looked at; the strike when something befalls its answer."""
        if self._gone:
            raise NotDone("SYSTEM_UNAVAILABLE", "no connection")
        self._requests += 1
        strike = next((entry for entry in self._strikes if entry.on is on), None)
        if strike is None:
            return None
        self._strikes.remove(strike)
        if strike.fault is Fault.SLOW:
            await self.clock.wait(asyncio.Event(), timedelta(seconds=strike.seconds))
        if strike.fault is Fault.THROTTLE:
            raise NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=int(strike.retry_after or 1)))
        if strike.fault is Fault.UNAVAILABLE or (strike.fault in LOST and on is On.READ):
            raise NotDone("SYSTEM_UNAVAILABLE", "the answer was 503 or none")
        if strike.fault is Fault.RESET:
            raise OutcomeUnknown("OUTCOME_UNKNOWN", "the connection was lost")
        return strike

    def find(self, kind: Kind.ValueType, key: str) -> Document | None:
        return next(
            (entry for entry in self.documents if key and (entry.kind, entry.key) == (kind, key)), None
        )

    def write(self, change: change_pb2.Change) -> Document:
        """Creates or changes the document of the change's key; without a key always a new one."""
        document = self.find(change.kind, change.key)
        if document is None:
            number = len(self.documents) + 1
            document = Document(change.kind, change.key, str(number), 0, self.clock.now(), change)
            self.documents.append(document)
        document.version += 1
        document.changed_time = self.clock.now()
        document.change = change
        document.cancelled = document.cancelled or change.intent == change_pb2.INTENT_CANCEL
        self._log.append(document)
        return document

    def told_after(self, kind: Kind.ValueType, position: int) -> list[tuple[int, Document]]:
        """Documents of a kind changed after a position, with the position of their last change."""
        last = {
            id(document): place for place, document in enumerate(self._log, start=1) if document.kind == kind
        }
        documents = {id(document): document for document in self._log}
        return sorted((place, documents[name]) for name, place in last.items() if place > position)


LOST = (Fault.RESET, Fault.LOSE_REPLY, Fault.UNAVAILABLE_AFTER)
"""Faults after which no answer came."""


class MemoryConnector:
    """Its connector."""

    def __init__(self, system: MemorySystem) -> None:
        self._system = system
        self._mappings = {kind: f"{system.name}.{Kind.Name(kind)[5:].lower()}@1" for kind in FED}

    async def describe(self) -> connector_service_pb2.DescribeResponse:
        kinds = [
            pb.KindCapability(
                kind=kind,
                upsert_by_key=kind in WRITTEN,
                find_by_key=kind in WRITTEN,
                change_feed=True,
                cancel=kind == change_pb2.KIND_ORDER,
            )
            for kind in FED
        ]
        questions = [pb.QUESTION_CREDIT, pb.QUESTION_AVAILABILITY, pb.QUESTION_PRICE, pb.QUESTION_TAX]
        return pb.DescribeResponse(
            system=self._system.name, role="erp", kinds=kinds, questions=questions, concurrency_max=10
        )

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.kind not in WRITTEN:
            raise Refused("NOT_SUPPORTED", "records of this kind are not written")
        if pinned_mapping not in ("", self._mappings[change.kind]):
            raise Refused("MAPPING_NOT_KEPT", "there is no such mapping")
        for number, line in enumerate(change.order.lines):
            if line.sku.startswith(UNKNOWN_SKU):
                raise Refused.field(
                    "PRODUCT_UNKNOWN", f"change.order.lines[{number}].sku", "there is no such product"
                )
        strike = await self._system.meet(On.WRITE)
        existed = self._system.find(change.kind, change.key) is not None
        document = self._system.write(change)
        if strike is not None and strike.fault in LOST:
            raise OutcomeUnknown("OUTCOME_UNKNOWN", "the answer was lost")
        return self._receipt(document, existed=existed)

    async def preview_change(
        self, change: change_pb2.Change, pinned_mapping: str
    ) -> pb.PreviewChangeResponse:
        raise Refused("NOT_SUPPORTED", "no changes are previewed")

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        if kind not in WRITTEN:
            raise Refused("NOT_SUPPORTED", "records of this kind carry no key")
        await self._system.meet(On.READ)
        document = self._system.find(kind, key)
        return self._receipt(document, existed=True) if document else None

    async def read_changes(
        self, kind: Kind.ValueType, cursor: bytes, limit: int
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        strike = await self._system.meet(On.READ)
        told = self._system.told_after(kind, int(cursor or b"0"))[:limit]
        if strike is not None and strike.fault is Fault.DUPLICATE:
            told = [*told[:1], *told][:limit]
        for position, document in told:
            yield pb.ReadChangesResponse(change=self._external(document), cursor=str(position).encode())

    async def translate(
        self, native_type: str, content_type: str, payload: bytes
    ) -> connector_service_pb2.TranslateResponse:
        raise Refused("NOT_SUPPORTED", "no payloads are translated")

    async def check_credit(
        self, request: connector_service_pb2.CheckCreditRequest
    ) -> connector_service_pb2.CheckCreditResponse:
        await self._system.meet(On.READ)
        return pb.CheckCreditResponse(verdict=pb.CREDIT_VERDICT_COVERED)

    async def check_availability(
        self, request: connector_service_pb2.CheckAvailabilityRequest
    ) -> connector_service_pb2.CheckAvailabilityResponse:
        await self._system.meet(On.READ)
        available = decimal_pb2.Decimal(value=AVAILABLE)
        lines = (
            pb.LineAvailability(line_number=line.line_number, quantity_available=available)
            for line in request.lines
        )
        return pb.CheckAvailabilityResponse(lines=lines)

    async def price_lines(
        self, request: connector_service_pb2.PriceLinesRequest
    ) -> connector_service_pb2.PriceLinesResponse:
        await self._system.meet(On.READ)
        price = money_pb2.Money(
            currency_code=request.currency_code, units=UNIT_PRICE.units, nanos=UNIT_PRICE.nanos
        )
        lines = (pb.LinePrice(line_number=line.line_number, unit_price=price) for line in request.lines)
        return pb.PriceLinesResponse(lines=lines)

    async def calculate_tax(
        self, request: connector_service_pb2.CalculateTaxRequest
    ) -> connector_service_pb2.CalculateTaxResponse:
        await self._system.meet(On.READ)
        return pb.CalculateTaxResponse(tax_total=money_pb2.Money(currency_code=request.order.currency_code))

    async def check_order(
        self, request: connector_service_pb2.CheckOrderRequest
    ) -> connector_service_pb2.CheckOrderResponse:
        return pb.CheckOrderResponse(
            answers=[await self._answered(request, question) for question in request.questions]
        )

    async def _answered(
        self, request: connector_service_pb2.CheckOrderRequest, question: pb.Question.ValueType
    ) -> connector_service_pb2.OrderAnswer:
        order = request.order
        credit = pb.CheckCreditRequest(customer_external_id=request.customer_external_id, amount=order.total)
        try:
            if question == pb.QUESTION_CREDIT:
                return pb.OrderAnswer(credit=await self.check_credit(credit))
            if question == pb.QUESTION_AVAILABILITY:
                lines = pb.CheckAvailabilityRequest(lines=order.lines)
                return pb.OrderAnswer(availability=await self.check_availability(lines))
            return pb.OrderAnswer(tax=await self.calculate_tax(pb.CalculateTaxRequest(order=order)))
        except OrdermeshError as error:
            return pb.OrderAnswer(status=status_of(error).SerializeToString())

    async def close(self) -> None:
        """Holds nothing."""

    def _receipt(self, document: Document, *, existed: bool) -> change_pb2.Receipt:
        path = f"{Kind.Name(document.kind)[5:].lower()}/{document.key}"
        return change_pb2.Receipt(
            external_id=document.external_id,
            number=f"M{document.external_id}",
            version=str(document.version),
            verdict="200 changed" if existed else "201 created",
            mapping=self._mappings[document.kind],
            exchange=change_pb2.Exchange(operation=f"PUT {path}", status="200" if existed else "201"),
            existed=existed,
        )

    def _external(self, document: Document) -> change_pb2.ExternalChange:
        told = change_pb2.ExternalChange(
            kind=document.kind,
            key=document.key,
            version=str(document.version),
            mapping=self._mappings[document.kind],
        )
        told.ref.system, told.ref.external_id = self._system.name, document.external_id
        told.changed_time.FromDatetime(document.changed_time)
        if document.kind == change_pb2.KIND_ORDER:
            closed, accepted = change_pb2.ERP_ORDER_STATUS_CLOSED, change_pb2.ERP_ORDER_STATUS_ACCEPTED
            told.order.status = closed if document.cancelled else accepted
            told.order.number = f"M{document.external_id}"
        elif document.kind == change_pb2.KIND_CUSTOMER:
            told.customer.CopyFrom(document.change.customer)
        elif document.kind == change_pb2.KIND_PRODUCT:
            told.product.sku = f"SKU-{document.external_id}"
        elif document.kind == change_pb2.KIND_INVOICE:
            told.invoice.number = f"I{document.external_id}"
        else:
            told.payment.invoice_external_id = document.external_id
        return told
