"""The Salesforce connector: open it to see what it offers, and which mapping serves which kind of record."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.exact_json import JsonObject
from connectors.kit.mappings import pick
from connectors.kit.port import Connector, Kind
from connectors.salesforce import feed, previewing, writing
from connectors.salesforce.client import Client
from connectors.salesforce.mapping import customer, invoice, order, product, progress
from connectors.salesforce.mapping.records import Target, Writing
from libs.common.errors import Refused

Map = Callable[[change_pb2.Change], Writing]

ORDER_IN = "salesforce.order@1"
ACCOUNT_IN = "salesforce.account@1"
PRODUCT_IN = "salesforce.product@1"

_KEYS = {
    change_pb2.KIND_CUSTOMER: ("Account", customer.KEY_FIELD),
    change_pb2.KIND_PRODUCT: ("Product2", product.KEY_FIELD),
    change_pb2.KIND_ORDER: ("Order", progress.KEY_FIELD),
    change_pb2.KIND_INVOICE: ("ERP_Invoice__c", invoice.KEY_FIELD),
}
"""Object, and the field that holds the key under which a record is written."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is told about the org; see `config.py` for the meaning of each."""

    system: str = "salesforce"
    multicurrency: bool = True
    default_currency: str = ""
    overlap: timedelta = timedelta(seconds=30)
    concurrency_max: int = 5
    calls_per_minute_max: int = 0


class SalesforceConnector(Connector):
    """One org. Holds no state beside the token and the id of the standard price book."""

    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._options = options
        self._pricebook = ""
        several = options.multicurrency
        self._mappings: Mapping[Kind.ValueType, Mapping[str, Map]] = {
            change_pb2.KIND_CUSTOMER: {
                "salesforce.customer@1": lambda change: customer.writing_from_customer(
                    change, multicurrency=several
                )
            },
            change_pb2.KIND_PRODUCT: {"salesforce.product@1": product.writing_from_product},
            change_pb2.KIND_ORDER: {
                "salesforce.order_progress@1": lambda change: progress.writing_from_order(
                    change, options.system, multicurrency=several
                )
            },
            change_pb2.KIND_INVOICE: {
                "salesforce.invoice@1": lambda change: invoice.writing_from_invoice(
                    change, multicurrency=several
                )
            },
        }
        account_fields = (*customer.READ_FIELDS, *(("CurrencyIsoCode",) if several else ()))
        self._feeds = {
            change_pb2.KIND_CUSTOMER: feed.Feed(
                change_pb2.KIND_CUSTOMER,
                "Account",
                account_fields,
                customer.KEY_FIELD,
                ACCOUNT_IN,
                _fill_customer,
            ),
            change_pb2.KIND_PRODUCT: feed.Feed(
                change_pb2.KIND_PRODUCT,
                "Product2",
                product.READ_FIELDS,
                product.KEY_FIELD,
                PRODUCT_IN,
                _fill_product,
            ),
        }

    async def describe(self) -> connector_service_pb2.DescribeResponse:
        return connector_service_pb2.DescribeResponse(
            system=self._options.system,
            role="crm",
            kinds=[
                connector_service_pb2.KindCapability(
                    kind=kind,
                    upsert_by_key=True,
                    find_by_key=True,
                    change_feed=kind in self._feeds,
                    mappings=list(versions),
                )
                for kind, versions in self._mappings.items()
            ],
            concurrency_max=self._options.concurrency_max,
            calls_per_minute_max=self._options.calls_per_minute_max,
            native_types=["Order"],
        )

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.intent == change_pb2.INTENT_CANCEL:
            raise Refused(
                "NOT_SUPPORTED", "nothing is cancelled in Salesforce; a cancelled order is shown as such"
            )
        name, mapping = self._mapping(change.kind, pinned_mapping)
        wanted = mapping(change)
        if change.kind == change_pb2.KIND_ORDER and not wanted.target.record_id:
            wanted.creating["Pricebook2Id"] = await self._standard_pricebook()
        written = await writing.write(self._client, wanted)
        receipt = _receipt(written.record, wanted.target)
        if change.kind == change_pb2.KIND_PRODUCT and not change.fields:
            prices = product.standard_prices(change.product)
            if prices:
                several = self._options.multicurrency
                await writing.write_prices(self._client, receipt.external_id, prices, multicurrency=several)
        receipt.verdict, receipt.mapping, receipt.existed = written.verdict, name, written.existed
        receipt.exchange.CopyFrom(written.exchange)
        return receipt

    async def preview_change(
        self, change: change_pb2.Change, pinned_mapping: str
    ) -> connector_service_pb2.PreviewChangeResponse:
        if change.intent == change_pb2.INTENT_CANCEL:
            raise Refused("NOT_SUPPORTED", "nothing is cancelled in Salesforce")
        name, mapping = self._mapping(change.kind, pinned_mapping)
        exists, found = await previewing.preview(self._client, mapping(change), change)
        if change.kind == change_pb2.KIND_PRODUCT:
            prices, several = product.standard_prices(change.product), self._options.multicurrency
            found += await previewing.preview_prices(self._client, change, prices, multicurrency=several)
        return connector_service_pb2.PreviewChangeResponse(mapping=name, exists=exists, differences=found)

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        if kind not in _KEYS:
            raise Refused("NOT_SUPPORTED", f"Salesforce keeps no records of {Kind.Name(kind)} by our key")
        sobject, field = _KEYS[kind]
        target = Target(sobject, field, key)
        record = await writing.find(self._client, target)
        if record is None:
            return None
        receipt = _receipt(record, target)
        receipt.verdict, receipt.existed = "200 found", True
        return receipt

    def read_changes(
        self, kind: Kind.ValueType, cursor: bytes, limit: int
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        if kind not in self._feeds:
            raise Refused("NOT_SUPPORTED", f"Salesforce has no change feed for {Kind.Name(kind)}")
        options = self._options
        return feed.read(self._client, self._feeds[kind], options.system, cursor, limit, options.overlap)

    async def translate(
        self, native_type: str, content_type: str, payload: bytes
    ) -> connector_service_pb2.TranslateResponse:
        if native_type not in ("", "Order"):
            raise Refused.field("PAYLOAD_UNTRANSLATABLE", "native_type", "only Order is taken")
        if content_type and "json" not in content_type.lower():
            raise Refused.field("PAYLOAD_UNTRANSLATABLE", "content_type", "only JSON is taken")
        sender = order.Sender(self._options.system, self._options.default_currency)
        return connector_service_pb2.TranslateResponse(
            submit_order=order.submission_from_order(payload, sender), mapping=ORDER_IN
        )

    async def close(self) -> None:
        await self._client.close()

    def _mapping(self, kind: Kind.ValueType, pinned: str) -> tuple[str, Map]:
        """The pinned mapping, or the current one, which is the last."""
        versions = self._mappings.get(kind)
        if versions is None:
            raise Refused("NOT_SUPPORTED", f"the connector writes no records of {Kind.Name(kind)}")
        return pick(versions, pinned)

    async def _standard_pricebook(self) -> str | None:
        self._pricebook = self._pricebook or await writing.standard_pricebook(self._client)
        return self._pricebook or None


def _receipt(record: JsonObject, target: Target) -> change_pb2.Receipt:
    return change_pb2.Receipt(
        external_id=str(record.get("Id") or target.record_id),
        number=str(record.get(writing.NUMBER_FIELDS[target.sobject]) or ""),
        version=str(record.get("SystemModstamp") or ""),
    )


def _fill_customer(change: change_pb2.ExternalChange, record: JsonObject) -> None:
    change.customer.CopyFrom(customer.customer_from_account(record))


def _fill_product(change: change_pb2.ExternalChange, record: JsonObject) -> None:
    change.product.CopyFrom(product.product_from_record(record))
