"""The NetSuite connector: the port, method by method. Open it to find where something is done."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.port import Connector, Kind
from connectors.netsuite import queries
from connectors.netsuite.changes import Changes
from connectors.netsuite.client import NetSuiteClient
from connectors.netsuite.customers import Customers
from connectors.netsuite.feed import Feed, Memories
from connectors.netsuite.mapping.customer import FIELDS, UPSERTS
from connectors.netsuite.mapping.order import SALES_ORDERS
from connectors.netsuite.orders import SalesOrders
from connectors.netsuite.questions import Questions
from connectors.netsuite.references import References
from libs.common.clock import Clock
from libs.common.errors import Refused


@dataclass(frozen=True, slots=True)
class Options:
    """What an account is like; see `config.py`."""

    system: str
    zone: ZoneInfo
    overlap: timedelta
    concurrency_max: int = 5
    calls_per_minute_max: int = 0
    order_status: str = ""
    location_id: str = ""


class NetSuite(Connector):
    """One account."""

    def __init__(self, client: NetSuiteClient, options: Options, clock: Clock) -> None:
        references = References(client, clock)
        self._client = client
        self._options = options
        self._orders = SalesOrders(client, references, options.order_status, options.location_id)
        self._customers = Customers(client, references)
        self._questions = Questions(client, references)
        self._feeds = _feeds(client, options, clock)

    async def describe(self) -> connector_service_pb2.DescribeResponse:
        capability = connector_service_pb2.KindCapability
        return connector_service_pb2.DescribeResponse(
            system=self._options.system,
            role="erp",
            kinds=[
                capability(
                    kind=change_pb2.KIND_ORDER,
                    upsert_by_key=True,
                    find_by_key=True,
                    change_feed=True,
                    cancel=True,
                    mappings=list(SALES_ORDERS),
                ),
                capability(
                    kind=change_pb2.KIND_CUSTOMER,
                    upsert_by_key=True,
                    find_by_key=True,
                    change_feed=True,
                    mappings=[*FIELDS, *UPSERTS],
                ),
                capability(kind=change_pb2.KIND_PRODUCT, change_feed=True),
                capability(kind=change_pb2.KIND_INVOICE, change_feed=True),
                capability(kind=change_pb2.KIND_PAYMENT, change_feed=True),
            ],
            questions=[
                connector_service_pb2.QUESTION_CREDIT,
                connector_service_pb2.QUESTION_AVAILABILITY,
                connector_service_pb2.QUESTION_PRICE,
            ],
            concurrency_max=self._options.concurrency_max,
            calls_per_minute_max=self._options.calls_per_minute_max,
        )

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.kind == change_pb2.KIND_ORDER and change.intent == change_pb2.INTENT_CANCEL:
            return await self._orders.cancel(change)
        if change.kind == change_pb2.KIND_ORDER:
            return await self._orders.post(change, pinned_mapping)
        if change.kind == change_pb2.KIND_CUSTOMER and change.intent == change_pb2.INTENT_UPSERT:
            return await self._customers.upsert(change, pinned_mapping)
        raise Refused("NOT_SUPPORTED", "NetSuite owns records of this kind")

    async def preview_change(
        self, change: change_pb2.Change, pinned_mapping: str
    ) -> connector_service_pb2.PreviewChangeResponse:
        if change.kind == change_pb2.KIND_ORDER and change.intent == change_pb2.INTENT_UPSERT:
            return await self._orders.preview(change, pinned_mapping)
        if change.kind == change_pb2.KIND_CUSTOMER and change.intent == change_pb2.INTENT_UPSERT:
            return await self._customers.preview(change, pinned_mapping)
        raise Refused("NOT_SUPPORTED", "there is nothing to compare")

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        if kind == change_pb2.KIND_ORDER:
            return await self._orders.find(key)
        if kind == change_pb2.KIND_CUSTOMER:
            return await self._customers.find(key)
        raise Refused("NOT_SUPPORTED", "records of this kind carry no key of ours")

    def read_changes(
        self, kind: Kind.ValueType, cursor: bytes, limit: int
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        feed = self._feeds.get(kind)
        if feed is None:
            raise Refused("NOT_SUPPORTED", "there is no such feed")
        return feed.read(cursor, limit)

    async def check_credit(
        self, request: connector_service_pb2.CheckCreditRequest
    ) -> connector_service_pb2.CheckCreditResponse:
        return await self._questions.credit(request)

    async def check_availability(
        self, request: connector_service_pb2.CheckAvailabilityRequest
    ) -> connector_service_pb2.CheckAvailabilityResponse:
        return await self._questions.availability(request)

    async def price_lines(
        self, request: connector_service_pb2.PriceLinesRequest
    ) -> connector_service_pb2.PriceLinesResponse:
        return await self._questions.prices(request)

    async def close(self) -> None:
        await self._client.close()


def _feeds(client: NetSuiteClient, options: Options, clock: Clock) -> Mapping[Kind.ValueType, Feed]:
    changes = Changes(client, options.system, options.zone, clock)
    table = {
        change_pb2.KIND_CUSTOMER: (queries.CUSTOMER_FEED, changes.customers),
        change_pb2.KIND_PRODUCT: (queries.PRODUCT_FEED, changes.products),
        change_pb2.KIND_ORDER: (queries.ORDER_FEED, changes.orders),
        change_pb2.KIND_INVOICE: (queries.INVOICE_FEED, changes.invoices),
        change_pb2.KIND_PAYMENT: (queries.PAYMENT_FEED, changes.payments),
    }
    return {
        kind: Feed(client, statement, to_changes, Memories(), options.zone, options.overlap)
        for kind, (statement, to_changes) in table.items()
    }
