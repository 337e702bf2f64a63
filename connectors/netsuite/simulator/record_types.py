"""The record types and their fields, as tables; open it to teach the simulator a field.

Names and types are those of the REST API Browser, record v1, release 2026.1: what an order integration can
meet, not all of them. Left out means unknown: NetSuite warns about such a name, or refuses it when asked to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.netsuite.simulator.schema import Shape, shape

SALES_ORDER_STATUS = {
    "A": "Pending Approval",
    "B": "Pending Fulfillment",
    "C": "Cancelled",
    "D": "Partially Fulfilled",
    "E": "Pending Billing/Partially Fulfilled",
    "F": "Pending Billing",
    "G": "Billed",
    "H": "Closed",
}
FULFILMENT_STATUS = {"A": "Picked", "B": "Packed", "C": "Shipped"}
INVOICE_STATUS = {"A": "Open", "B": "Paid In Full", "V": "Voided"}
PAYMENT_STATUS = {"A": "Unapproved Payment", "B": "Not Deposited", "C": "Deposited"}
CREDIT_HOLD = {"AUTO": "Auto", "ON": "On", "OFF": "Off"}
ITEM_TYPE = {"InvtPart": "Inventory Item", "NonInvtPart": "Non-inventory Item"}
_COUNTRY: dict[str, str] = {}  # any two letters

ADDRESS = shape(
    text="addressee attention addr1 addr2 addr3 city state zip addrPhone addrText externalId refName",
    enum={"country": _COUNTRY},
    boolean="override",
    datetime="lastModifiedDate",
    read_only="addrText refName lastModifiedDate",
)

_LINE_REFS = {
    "item": "item",
    "price": "",
    "location": "location",
    "department": "",
    "class": "",
    "taxCode": "salesTaxItem",
    "shipMethod": "",
    "inventorylocation": "location",
    "inventorysubsidiary": "subsidiary",
}

ORDER_LINE = shape(
    integer="line",
    number="""
        quantity rate amount grossAmt tax1Amt taxRate1 quantityAvailable quantityOnHand
        quantityCommitted quantityBackOrdered quantityFulfilled quantityPicked quantityPacked
        quantityBilled
    """,
    text="description units lineUniqueKey options taxDetailsReference refName",
    date="expectedShipDate requestedDate",
    boolean="isClosed isOpen isTaxable linked itemIsFulfilled commitmentFirm printItems",
    ref=_LINE_REFS,
    enum={
        "itemType": ITEM_TYPE,
        "commitInventory": {"1": "Available Qty", "2": "Complete Qty", "3": "Do Not Commit"},
    },
    read_only="""
        quantityAvailable quantityOnHand quantityCommitted quantityBackOrdered quantityFulfilled
        quantityPicked quantityPacked quantityBilled tax1Amt taxRate1 grossAmt lineUniqueKey refName
        isOpen linked itemIsFulfilled itemType
    """,
)

_TAX_DETAIL = shape(
    text="taxDetailsReference taxType",
    number="taxBasis taxRate taxAmount",
    ref={"taxCode": "salesTaxItem"},
)

_TRANSACTION_REFS = {
    "subsidiary": "subsidiary",
    "currency": "currency",
    "location": "location",
    "department": "",
    "class": "",
    "customForm": "",
}

SALES_ORDER = shape(
    text="""
        id externalId tranId transactionNumber memo message otherRefNum email fax fob vatRegNum
        refName linkedTrackingNumbers shipAddress billAddress
    """,
    date="tranDate startDate endDate shipDate actualShipDate salesEffectiveDate taxPointDate",
    datetime="createdDate lastModifiedDate",
    number="""
        subtotal total taxTotal totalAfterTaxes discountTotal discountRate shippingCost
        altShippingCost handlingCost exchangeRate
    """,
    boolean="shipComplete isTaxable toBeEmailed toBeFaxed toBePrinted taxDetailsOverride shipIsResidential",
    ref=_TRANSACTION_REFS
    | {
        "entity": "customer",
        "terms": "term",
        "salesRep": "",
        "shipMethod": "",
        "createdFrom": "",
        "nexus": "",
    },
    enum={
        "orderStatus": {"A": SALES_ORDER_STATUS["A"], "B": SALES_ORDER_STATUS["B"]},
        "status": SALES_ORDER_STATUS,
        "source": {"restWebServices": "REST Web Services"},
    },
    subrecord={"billingAddress": ADDRESS, "shippingAddress": ADDRESS},
    sublist={"item": ORDER_LINE, "taxDetails": _TAX_DETAIL},
    read_only="""
        id transactionNumber refName linkedTrackingNumbers createdDate lastModifiedDate subtotal
        total taxTotal totalAfterTaxes discountTotal altShippingCost status source createdFrom
        actualShipDate nexus
    """,
)

FULFILMENT_LINE = shape(
    integer="line orderLine",
    number="quantity quantityRemaining",
    text="description units itemName",
    boolean="itemReceive",
    ref={"item": "item", "location": "location", "orderDoc": ""},
    read_only="line quantityRemaining itemName orderDoc",
)

_PACKAGE = shape(text="packageDescr packageTrackingNumber", number="packageWeight")

ITEM_FULFILMENT = shape(
    text="id externalId tranId memo refName shipPhone shipCompany",
    date="tranDate pickedDate packedDate shippedDate",
    datetime="createdDate lastModifiedDate",
    number="shippingCost handlingCost exchangeRate",
    boolean="shipIsResidential",
    ref={
        "entity": "customer",
        "subsidiary": "subsidiary",
        "createdFrom": "salesOrder",
        "shipMethod": "",
        "customForm": "",
        "inventoryLocation": "location",
    },
    enum={"shipStatus": FULFILMENT_STATUS, "status": FULFILMENT_STATUS},
    subrecord={"shippingAddress": ADDRESS},
    sublist={"item": FULFILMENT_LINE, "package": _PACKAGE},
    read_only="id refName createdDate lastModifiedDate status entity subsidiary createdFrom",
)

INVOICE_LINE = shape(
    integer="line orderLine",
    number="quantity rate amount grossAmt tax1Amt taxRate1",
    text="description units taxDetailsReference lineUniqueKey",
    ref=_LINE_REFS | {"orderDoc": ""},
    read_only="grossAmt tax1Amt taxRate1 lineUniqueKey orderDoc",
)

INVOICE = shape(
    text="id externalId tranId transactionNumber memo message otherRefNum email refName trackingNumbers",
    date="tranDate dueDate shipDate startDate endDate salesEffectiveDate",
    datetime="createdDate lastModifiedDate",
    number="""
        subtotal total taxTotal totalAfterTaxes discountTotal amountPaid amountRemaining
        amountRemainingTotalBox shippingCost exchangeRate
    """,
    boolean="toBeEmailed toBePrinted taxDetailsOverride",
    ref=_TRANSACTION_REFS
    | {"entity": "customer", "terms": "term", "createdFrom": "salesOrder", "account": ""},
    enum={"status": INVOICE_STATUS},
    subrecord={"billingAddress": ADDRESS, "shippingAddress": ADDRESS},
    sublist={"item": INVOICE_LINE, "taxDetails": _TAX_DETAIL},
    read_only="""
        id transactionNumber refName trackingNumbers createdDate lastModifiedDate subtotal total
        taxTotal totalAfterTaxes discountTotal amountPaid amountRemaining amountRemainingTotalBox
        status createdFrom
    """,
)

_APPLY = shape(
    integer="line",
    number="amount due total",
    boolean="apply",
    text="refNum type",
    date="applyDate dueDate",
    ref={"doc": "invoice", "currency": "currency"},
    read_only="line due total refNum type applyDate dueDate currency",
)

CUSTOMER_PAYMENT = shape(
    text="id externalId tranId memo checkNum refName",
    date="tranDate",
    datetime="createdDate lastModifiedDate",
    number="payment total applied unapplied exchangeRate balance",
    boolean="autoApply undepFunds",
    ref=_TRANSACTION_REFS | {"customer": "customer", "account": "", "arAcct": "", "paymentMethod": ""},
    enum={"status": PAYMENT_STATUS},
    sublist={"apply": _APPLY},
    read_only="id refName createdDate lastModifiedDate total applied unapplied balance status",
)

_ADDRESS_BOOK = shape(
    integer="id",
    text="label internalId",
    boolean="defaultBilling defaultShipping isResidential",
    subrecord={"addressBookAddress": ADDRESS},
)

CUSTOMER = shape(
    text="""
        id externalId entityId companyName altName firstName lastName phone altPhone fax email
        accountNumber comments defaultAddress defaultTaxReg resaleNumber refName
        custentity_ordermesh_account_owner custentity_ordermesh_segment custentity_ordermesh_engagement
    """,
    number="balance creditLimit depositBalance overdueBalance consolBalance consolUnbilledOrders",
    integer="daysOverdue",
    boolean="isPerson isInactive taxable taxExempt autoName shipComplete emailTransactions",
    date="startDate endDate firstOrderDate lastOrderDate",
    datetime="dateCreated lastModifiedDate",
    ref={
        "subsidiary": "subsidiary",
        "currency": "currency",
        "terms": "term",
        "priceLevel": "priceLevel",
        "category": "",
        "entityStatus": "",
        "salesRep": "",
        "parent": "customer",
        "customForm": "",
        "taxItem": "salesTaxItem",
    },
    enum={"creditHoldOverride": CREDIT_HOLD},
    sublist={"addressBook": _ADDRESS_BOOK},
    read_only="""
        id refName altName balance depositBalance overdueBalance consolBalance consolUnbilledOrders
        daysOverdue dateCreated lastModifiedDate firstOrderDate lastOrderDate defaultAddress
    """,
)

_PRICE = shape(
    ref={"currencyPage": "currency", "priceLevel": "priceLevel"},
    number="price",
    subrecord={"quantity": shape(text="value")},
)
_LOCATION = shape(
    text="locationId",
    number="quantityAvailable quantityOnHand quantityCommitted quantityBackOrdered",
    ref={"location": "location"},
)


def _item(*, text: str = "", datetime: str = "", sublist: Mapping[str, Shape]) -> Shape:
    """An item's shape: what all items have, and the read-only `text` and `datetime` of those with stock."""
    return shape(
        text="id externalId itemId displayName salesDescription upcCode vendorName mpn refName " + text,
        datetime="createdDate lastModifiedDate " + datetime,
        boolean="isInactive isFulfillable isOnline",
        ref={
            "taxSchedule": "",
            "saleUnit": "unit",
            "unitsType": "",
            "location": "location",
            "customForm": "",
        },
        enum={"itemType": ITEM_TYPE},
        sublist=sublist,
        read_only=" ".join(
            [
                "id refName createdDate lastModifiedDate itemType",
                text,
                datetime,
                *(sublist.keys() - {"price"}),
            ]
        ),
    )


INVENTORY_ITEM = _item(
    text="quantityAvailable quantityOnHand quantityCommitted quantityBackOrdered",
    datetime="lastQuantityAvailableChange",
    sublist={"price": _PRICE, "locations": _LOCATION},
)
NON_INVENTORY_ITEM = _item(sublist={"price": _PRICE})

_LIST_ENTRY = shape(
    text="id externalId name symbol itemId",
    number="rate exchangeRate",
    integer="currencyPrecision daysUntilNetDue",
    read_only="id externalId name symbol itemId rate exchangeRate currencyPrecision daysUntilNetDue",
)


@dataclass(frozen=True, slots=True)
class RecordType:
    """A record type as the REST service and SuiteQL know it.

    suiteql_type: the value of `transaction.type`, empty for what is no transaction.
    created: the name under which the time of creation is printed.
    """

    name: str
    shape: Shape
    suiteql_type: str = ""
    created: str = "createdDate"


RECORD_TYPES: Mapping[str, RecordType] = {
    kind.name: kind
    for kind in (
        RecordType("customer", CUSTOMER, created="dateCreated"),
        RecordType("inventoryItem", INVENTORY_ITEM),
        RecordType("nonInventorySaleItem", NON_INVENTORY_ITEM),
        RecordType("salesOrder", SALES_ORDER, "SalesOrd"),
        RecordType("itemFulfillment", ITEM_FULFILMENT, "ItemShip"),
        RecordType("invoice", INVOICE, "CustInvc"),
        RecordType("customerPayment", CUSTOMER_PAYMENT, "CustPymt"),
        RecordType("currency", _LIST_ENTRY),
        RecordType("term", _LIST_ENTRY),
        RecordType("salesTaxItem", _LIST_ENTRY),
        RecordType("subsidiary", _LIST_ENTRY),
        RecordType("location", _LIST_ENTRY),
        RecordType("priceLevel", _LIST_ENTRY),
    )
}

ITEM_TYPES = ("inventoryItem", "nonInventorySaleItem")
TRANSACTION_TYPES = ("salesOrder", "itemFulfillment", "invoice", "customerPayment")
