"""What a test may look at: the ledger's facts and the body of an Apex callout."""

from __future__ import annotations

from typing import cast

from connectors.kit.simulator import Document, JsonObject
from connectors.salesforce.simulator.ids import to_id18

from . import computed, soql
from .auth import Users
from .catalog import find_object
from .catalog.fields import Values
from .org import HISTORY, Org, Session, Transaction

_BASE = "/services/data/v59.0/"

_SHOWN = {
    "Account": ("Name", "ERP_Key__c", "ERP_Customer_Number__c", "ERP_Credit_Status__c"),
    "Product2": ("Name", "ProductCode", "ERP_Key__c"),
    "ERP_Invoice__c": (
        "ERP_Key__c",
        "Invoice_Number__c",
        "Order__c",
        "Status__c",
        "Gross_Amount__c",
        "Open_Amount__c",
        "CurrencyIsoCode",
    ),
    "ERP_Payment__c": (
        "ERP_Key__c",
        "Payment_Number__c",
        "Order__c",
        "Invoice__c",
        "Amount__c",
        "CurrencyIsoCode",
    ),
    "ERP_Shipment__c": ("ERP_Key__c", "Shipment_Number__c", "Order__c", "Tracking_Number__c", "Quantity__c"),
    "Order": (
        "OrderNumber",
        "Ordermesh_Order_Id__c",
        "ERP_Order_Number__c",
        "ERP_Status__c",
        "Status",
        "StatusCode",
        "PoNumber",
        "OrderReferenceNumber",
        "ERP_Reason__c",
        "ERP_Shipped_Quantity__c",
        "ERP_Invoice_Number__c",
        "ERP_Amount_Due__c",
        "ERP_Amount_Paid__c",
        "TotalAmount",
        "CurrencyIsoCode",
    ),
}

# What an Apex trigger selects before it calls ordermesh; the callout's body is one record of this query.
CALLOUT_QUERY = """
SELECT Id, OrderNumber, AccountId, Account.Name, Account.ERP_Key__c, EffectiveDate, EndDate, CurrencyIsoCode,
    PoNumber, OrderReferenceNumber, Status, StatusCode, TotalAmount, Description,
    Region__c, Business_Unit__c, Ordermesh_Order_Id__c, CreatedDate,
    LastModifiedDate, SystemModstamp, BillingAddress, ShippingAddress,
    (SELECT Id, OrderItemNumber, Quantity, UnitPrice, TotalPrice, ServiceDate, Description, TaxCode__c, Product2Id,
        Product2.ProductCode, Product2.Name, Product2.QuantityUnitOfMeasure, Product2.ERP_Key__c
     FROM OrderItems ORDER BY OrderItemNumber)
FROM Order WHERE Id = '{order_id}'
"""


class Sights:
    """Reads for the operator: they change nothing and count as no call."""

    def __init__(self, org: Org, users: Users) -> None:
        self._org = org
        self._session = Session(users.sales)

    def facts(self, document: Document) -> JsonObject | None:
        """The ledger's fields of one record; None for objects the ledger leaves out."""
        names = _SHOWN.get(document.kind)
        if names is None:
            return None
        values = cast(Values, document.body)
        with self._org.transaction(self._session, counted=False) as tx:
            shown = _named(tx, document.kind, values, names)
        if document.kind == "Order":
            history = values.get(HISTORY)
            shown["history"] = str(history).split("\n") if history else []
        if values["IsDeleted"]:
            shown["IsDeleted"] = True
        return shown

    def callout(self, order_id: str) -> JsonObject | None:
        """The body with which Apex would hand this Order to ordermesh; None when there is no such Order."""
        id18 = to_id18(order_id)
        if id18 is None:
            return None
        query = soql.parse(CALLOUT_QUERY.format(order_id=id18))
        with self._org.transaction(self._session, counted=False) as tx:
            found = soql.run(tx, query, _BASE).records
        return found[0] if found else None


def _named(tx: Transaction, kind: str, values: Values, names: tuple[str, ...]) -> JsonObject:
    sobject = find_object(kind)
    assert sobject is not None
    return {name: computed.value_of(tx, sobject, sobject.fields[name], values) for name in names}
