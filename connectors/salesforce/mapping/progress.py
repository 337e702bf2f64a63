"""An order's progress as Salesforce shows it: on its Order, and as shipments and invoices that hang on it.

Only custom fields are touched once the Order exists, because an activated Order is closed to most users. The standard
fields are filled when ordermesh itself makes the Order.
"""

from decimal import Decimal

from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2

from connectors.salesforce.mapping import values
from connectors.salesforce.mapping.records import Fields, Mirrors, Target, Writing
from connectors.salesforce.record_ids import to_id18
from libs.common.errors import Refused

KEY_FIELD = "Ordermesh_Order_Id__c"
ORDER_PREFIX, ACCOUNT_PREFIX = "801", "001"
"""First characters of the ids of Orders and Accounts, the same in every org."""
MIRRORED_MAX = 200
"""Of shipments and of invoices, the newest: Salesforce takes no more in one collection."""

PATHS = {
    "AccountId": "order.sold_to",
    "EffectiveDate": "order.create_time",
    "CurrencyIsoCode": "order.currency_code",
    "PoNumber": "order.purchase_order_number",
    "Description": "order.memo",
    "ERP_Status__c": "order.state",
    "ERP_Order_Number__c": "order.erp_number",
    "ERP_Reason__c": "order.reason",
    "ERP_Status_Date__c": "order.update_time",
    "ERP_Posted_Date__c": "order.update_time",
    "ERP_Shipped_Quantity__c": "order.shipments",
    "ERP_Tracking_Number__c": "order.shipments",
    "ERP_Invoice_Number__c": "order.invoices",
    "ERP_Amount_Due__c": "order.invoices",
    "ERP_Amount_Paid__c": "order.invoices",
    KEY_FIELD: "order.order_id",
}


def writing_from_order(change: change_pb2.Change, system: str, *, multicurrency: bool) -> Writing:
    """What the org shall show of the order. Refused MAPPING_FAILED for an order without a state.

    The Order is known by its link or, if it was handed in from this org, by its source; else it is found or made by
    our own id.
    """
    order = change.order
    if order.state == order_pb2.ORDER_STATE_UNSPECIFIED:
        raise Refused.field("MAPPING_FAILED", "order.state", "is not set")
    target = Target("Order", KEY_FIELD, change.key, change.external_id or _handed_in(order, system))
    account = _account(change, system)
    parent = _parent(target)
    return Writing(
        target=target,
        fields=_progress(order, target),
        creating=_made_by_us(change.order, account, multicurrency=multicurrency),
        waits_for="" if account else "order.sold_to",
        mirrors=tuple(
            each
            for each in (_shipments(order, parent), _invoices(order, parent, multicurrency=multicurrency))
            if each.records
        ),
        paths=PATHS,
    )


def _handed_in(order: order_pb2.Order, system: str) -> str:
    """Id of the Order in this org that the order stands for. A source may also be a quote, or another system's."""
    record_id = to_id18(order.source.external_id) if order.source.system == system else None
    return record_id if record_id and record_id.startswith(ORDER_PREFIX) else ""


def _parent(target: Target) -> Fields:
    """How a mirror names the Order it hangs on."""
    if target.record_id:
        return {"Order__c": target.record_id}
    return {"Order__r": {KEY_FIELD: target.key}}


def _progress(order: order_pb2.Order, target: Target) -> Fields:
    fields: Fields = {
        "ERP_Status__c": order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_"),
        "ERP_Reason__c": values.cut(order.reason or order.hold.reason or order.standstill.reason, 255),
    }
    if target.record_id:
        fields[KEY_FIELD] = target.key
    if order.HasField("update_time"):
        # Orders the statuses: the org refuses one that is older than what it shows.
        fields["ERP_Status_Date__c"] = values.moment(order.update_time)
        if order.state == order_pb2.ORDER_STATE_POSTED:
            fields["ERP_Posted_Date__c"] = values.moment(order.update_time)
    if order.erp_number:
        fields["ERP_Order_Number__c"] = values.cut(order.erp_number, 80)
    if order.shipments:
        shipped = (values.number(line.quantity) for each in order.shipments for line in each.lines)
        fields["ERP_Shipped_Quantity__c"] = sum(shipped, Decimal(0))
        fields["ERP_Tracking_Number__c"] = values.joined([s.tracking_number for s in order.shipments], 255)
    if order.invoices:
        due = sum((values.amount(each.amount_due) for each in order.invoices), Decimal(0))
        total = sum((values.amount(each.total) for each in order.invoices), Decimal(0))
        fields["ERP_Invoice_Number__c"] = values.joined([each.number for each in order.invoices], 80)
        fields["ERP_Amount_Due__c"] = due
        fields["ERP_Amount_Paid__c"] = total - due
    return fields


def _made_by_us(order: order_pb2.Order, account: str, *, multicurrency: bool) -> Fields:
    """Standard fields of a Draft Order that no person made. Its price book is added by whoever writes it."""
    fields: Fields = {
        "AccountId": account,
        "Status": "Draft",
        "PoNumber": values.cut(order.purchase_order_number, 80),
        "Description": values.cut(order.memo, 32_000),
        **(values.address_fields("Shipping", order.ship_to) if order.HasField("ship_to") else {}),
    }
    if order.HasField("create_time"):
        fields["EffectiveDate"] = values.moment(order.create_time)[:10]
    elif order.HasField("requested_date"):
        fields["EffectiveDate"] = values.day(order.requested_date)
    if multicurrency:
        fields["CurrencyIsoCode"] = order.currency_code
    return fields


def _account(change: change_pb2.Change, system: str) -> str:
    """Id of the buyer's Account: by link, or the id the order came with. Empty while neither is known."""
    order = change.order
    linked = change.reference_ids.get(order.customer_id or order.sold_to.customer_id, "")
    if not linked and order.sold_to.external.system == system:
        linked = order.sold_to.external.external_id
    return linked if linked.startswith(ACCOUNT_PREFIX) and to_id18(linked) else ""


def _shipments(order: order_pb2.Order, parent: Fields) -> Mirrors:
    records = tuple(
        {
            "ERP_Key__c": f"{each.ref.system}:{each.ref.external_id}"[:80],
            "Name": values.cut(each.number, 80),
            "Shipment_Number__c": values.cut(each.number, 80),
            "Tracking_Number__c": values.cut(each.tracking_number, 255),
            "Ship_Date__c": values.day(each.ship_date),
            "Quantity__c": sum((values.number(line.quantity) for line in each.lines), Decimal(0)),
            "Status__c": "SHIPPED",
            **parent,
        }
        for each in order.shipments[-MIRRORED_MAX:]
        if each.ref.external_id
    )
    return Mirrors("ERP_Shipment__c", records)


def _invoices(order: order_pb2.Order, parent: Fields, *, multicurrency: bool) -> Mirrors:
    """What does not change of an invoice. What is still due is written by the invoice's own change alone, so that two
    writers never overtake each other."""
    records: list[Fields] = []
    for each in order.invoices[-MIRRORED_MAX:]:
        if not each.invoice_id:
            continue
        record: Fields = {
            "ERP_Key__c": each.invoice_id,
            "Name": values.cut(each.number, 80),
            "Invoice_Number__c": values.cut(each.number, 80),
            "Gross_Amount__c": values.amount(each.total),
            **parent,
        }
        if each.HasField("net_total"):
            record["Net_Amount__c"] = values.amount(each.net_total)
        if multicurrency:
            record["CurrencyIsoCode"] = each.total.currency_code or order.currency_code
        records.append(record)
    return Mirrors("ERP_Invoice__c", tuple(records))
