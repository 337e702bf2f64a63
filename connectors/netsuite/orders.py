"""Posting, cancelling and finding sales orders. Open it to see which calls an order costs.

preview  GET eid:{our id} with lines
post     GET eid:{our id}: is it there?, then PUT eid:{our id}, and for a new one a GET for the number people use
cancel   GET with lines, then a PATCH that closes them: NetSuite has no cancel operation
find     GET eid:{our id}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.order.v1 import order_pb2

from connectors.kit.exact_json import JsonObject
from connectors.kit.mappings import pick
from connectors.kit.preview import compared
from connectors.netsuite.client import NetSuiteClient, external
from connectors.netsuite.mapping import order as mapping
from connectors.netsuite.references import References
from libs.common.errors import NotDone, Refused

RECORD_TYPE = "salesOrder"
CANCEL = "netsuite.sales_order_cancel@1"
FIND = "netsuite.sales_order_find@1"
_IDENTITY = "tranId,lastModifiedDate,status"


@dataclass(frozen=True, slots=True)
class SalesOrders:
    """Sales orders of one account. order_status, location_id: put on each order, empty = left out."""

    client: NetSuiteClient
    references: References
    order_status: str = ""
    location_id: str = ""

    async def post(self, change: change_pb2.Change, pinned: str) -> change_pb2.Receipt:
        """Creates the order or makes the one with this key like it."""
        name, to_body = pick(mapping.SALES_ORDERS, pinned)
        body = to_body(change.order, await self._references_of(change))
        known = await self.find(change.key)
        saved = await self.client.upsert(
            RECORD_TYPE, change.key, body, replace="item", to_field=mapping.field_of
        )
        identity = await self._identity(saved.id) if known is None else {}
        return change_pb2.Receipt(
            external_id=saved.id,
            number=_text(identity, "tranId") if known is None else known.number,
            version=_text(identity, "lastModifiedDate"),
            verdict=f"{saved.answer.status} saved",
            mapping=name,
            exchange=saved.answer.exchange,
            existed=known is not None,
        )

    async def preview(
        self, change: change_pb2.Change, pinned: str
    ) -> connector_service_pb2.PreviewChangeResponse:
        """What a post would change. The same mapping over the same references, then a read of the whole order."""
        name, to_body = pick(mapping.SALES_ORDERS, pinned)
        body = to_body(change.order, await self._references_of(change))
        found = await self.client.read(RECORD_TYPE, external(change.key), expand=True)
        target = f"netsuite {RECORD_TYPE} {external(change.key)}"
        return compared(name, target, body, found[0] if found else None, change, mapping.field_of)

    async def cancel(self, change: change_pb2.Change) -> change_pb2.Receipt:
        """Closes every open line. Refused with ORDER_SHIPPED once goods have left; what is ended counts as done."""
        name = change.external_id or external(change.key)
        found = await self.client.read(RECORD_TYPE, name, fields=f"{_IDENTITY},item", expand=True)
        if found is None:
            return change_pb2.Receipt(verdict="404 nothing to cancel", mapping=CANCEL)
        order, answer = found
        receipt = change_pb2.Receipt(
            external_id=_text(order, "id"),
            number=_text(order, "tranId"),
            version=_text(order, "lastModifiedDate"),
            verdict=f"{answer.status} status {_text(order, 'status')}",
            mapping=CANCEL,
            exchange=answer.exchange,
            existed=True,
        )
        if _text(order, "status") in mapping.ENDED:
            return receipt
        lines = _lines(order)
        if any(_number(line, "quantityFulfilled") or _number(line, "quantityBilled") for line in lines):
            raise Refused("ORDER_SHIPPED", "goods of the order have left", verdict=receipt.verdict)
        closed = [{"line": line["line"], "isClosed": True} for line in lines]
        done = await self.client.change(
            RECORD_TYPE, receipt.external_id, {"item": {"items": closed}}, to_field=mapping.field_of
        )
        receipt.verdict = f"{done.status} closed"
        receipt.exchange.CopyFrom(done.exchange)
        return receipt

    async def find(self, key: str) -> change_pb2.Receipt | None:
        """The order with this key; None when there surely is none."""
        found = await self.client.read(RECORD_TYPE, external(key), fields=_IDENTITY)
        if found is None:
            return None
        order, answer = found
        return change_pb2.Receipt(
            external_id=_text(order, "id"),
            number=_text(order, "tranId"),
            version=_text(order, "lastModifiedDate"),
            verdict=f"{answer.status} found",
            mapping=FIND,
            exchange=answer.exchange,
            existed=True,
        )

    async def _references_of(self, change: change_pb2.Change) -> mapping.References:
        order = change.order
        customer_id = change.reference_ids.get(order.customer_id, "")
        if not customer_id:
            raise Refused.field("CUSTOMER_UNKNOWN", "order.sold_to", "the customer has no link into NetSuite")
        codes = {line.tax_code for line in order.lines if line.tax_code}
        return mapping.References(
            customer_id=customer_id,
            currencies=await self.references.currencies([order.currency_code]),
            items=await self._items(order, change.reference_ids),
            tax_codes=await self.references.tax_codes(codes) if codes else {},
            order_status=self.order_status,
            location_id=self.location_id,
        )

    async def _items(self, order: order_pb2.Order, linked: Mapping[str, str]) -> dict[str, str]:
        """Item ids by SKU: links that came with the change, the rest from NetSuite."""
        items = {line.sku: linked[line.sku] for line in order.lines if line.sku in linked}
        missing = {line.sku for line in order.lines} - items.keys()
        if missing:
            items |= {sku: row["id"] for sku, row in (await self.references.items(missing)).items()}
        return items

    async def _identity(self, id_: str) -> JsonObject:
        """Number and version. The order is saved whatever becomes of this call, so a failure leaves them out."""
        try:
            found = await self.client.read(RECORD_TYPE, id_, fields=_IDENTITY)
        except (NotDone, Refused):
            return {}
        return {} if found is None else found[0]


def _lines(order: JsonObject) -> list[JsonObject]:
    sublist = order.get("item")
    items = sublist.get("items") if isinstance(sublist, dict) else None
    return items if isinstance(items, list) else []


def _number(line: JsonObject, name: str) -> Decimal:
    return Decimal(str(line.get(name) or 0))


def _text(record: JsonObject, name: str) -> str:
    value = record.get(name)
    if isinstance(value, dict):  # an enum of an account that ignores simpleEnumFormat
        value = value.get("id")
    return "" if value is None else str(value)
