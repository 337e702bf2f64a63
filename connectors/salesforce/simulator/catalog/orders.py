"""Order and its lines, with the fields ordermesh writes back: open this when an Order misses a field.

Custom fields carry everything the ERP says, because an activated Order's standard fields are closed to most users.
"""

from __future__ import annotations

from decimal import Decimal

from .fields import Field, SObject, address, currency_code, owner

# Status is a picklist of the org's own words; each maps to one StatusCode, and only that decides what is allowed.
STATUS_CODES = {"Draft": "Draft", "Activated": "Activated"}

_ORDERMESH_FIELDS = (
    Field(
        name="Ordermesh_Order_Id__c",
        label="Ordermesh Order Id",
        length=80,
        external_id=True,
        unique=True,
    ),
    Field(name="Region__c", label="Region", length=20),
    Field(name="Business_Unit__c", label="Business Unit", length=40),
    Field(name="ERP_Order_Number__c", label="ERP Order Number", length=80),
    Field(name="ERP_Status__c", label="ERP Status", length=40),
    Field(name="ERP_Status_Date__c", label="ERP Status Date", type="datetime"),
    Field(name="ERP_Posted_Date__c", label="ERP Posted Date", type="datetime"),
    Field(name="ERP_Reason__c", label="ERP Reason", length=255),
    Field(name="ERP_Shipped_Quantity__c", label="ERP Shipped Quantity", type="double"),
    Field(name="ERP_Tracking_Number__c", label="ERP Tracking Number", length=255),
    Field(name="ERP_Invoice_Number__c", label="ERP Invoice Number", length=80),
    Field(name="ERP_Amount_Due__c", label="ERP Amount Due", type="currency"),
    Field(name="ERP_Amount_Paid__c", label="ERP Amount Paid", type="currency"),
)

_ORDER = SObject.of(
    "Order",
    "801",
    (
        Field(
            name="AccountId",
            type="reference",
            refers_to="Account",
            children="Orders",
            required=True,
        ),
        Field(name="EffectiveDate", type="date", required=True),
        Field(
            name="Status",
            type="picklist",
            values=tuple(STATUS_CODES),
            restricted=True,
            required=True,
        ),
        Field(
            name="StatusCode",
            type="picklist",
            write="never",
            computed=True,
            values=("Draft", "Activated", "Superseded"),
        ),
        Field(
            name="Pricebook2Id",
            type="reference",
            refers_to="Pricebook2",
            children="Orders",
        ),
        Field(name="QuoteId", type="reference", refers_to="Quote", children="Orders"),
        Field(
            name="OpportunityId",
            type="reference",
            refers_to="Opportunity",
            children="Orders",
        ),
        Field(name="Name", length=80),
        Field(
            name="OrderNumber",
            type="string",
            write="never",
            length=30,
            auto_number="{:08d}",
        ),
        Field(name="OrderReferenceNumber", length=80),
        Field(name="PoNumber", length=80),
        Field(name="PoDate", type="date"),
        Field(name="EndDate", type="date"),
        Field(name="Type", type="picklist"),
        Field(
            name="TotalAmount",
            type="currency",
            write="never",
            computed=True,
            default=Decimal(0),
        ),
        Field(name="ActivatedDate", type="datetime", write="never"),
        Field(name="ActivatedById", type="reference", write="never", refers_to="User"),
        Field(name="BillToContactId", type="reference", refers_to="Contact"),
        Field(name="ShipToContactId", type="reference", refers_to="Contact"),
        currency_code(),
        owner(),
        Field(name="Description", type="textarea", length=32000),
        *address("Billing"),
        *address("Shipping"),
        *_ORDERMESH_FIELDS,
    ),
)

_ORDER_ITEM = SObject.of(
    "OrderItem",
    "802",
    (
        Field(
            name="OrderId",
            type="reference",
            refers_to="Order",
            children="OrderItems",
            required=True,
            write="once",
        ),
        Field(
            name="PricebookEntryId",
            type="reference",
            refers_to="PricebookEntry",
            required=True,
            write="once",
        ),
        Field(name="Product2Id", type="reference", refers_to="Product2", write="once"),
        Field(name="Quantity", type="double", required=True),
        Field(name="UnitPrice", type="currency", required=True),
        Field(name="ListPrice", type="currency", write="never", computed=True),
        Field(name="TotalPrice", type="currency", write="never", computed=True),
        Field(name="QuoteLineItemId", type="reference", refers_to="QuoteLineItem"),
        Field(
            name="OrderItemNumber",
            type="string",
            write="never",
            length=30,
            auto_number="{:010d}",
        ),
        Field(name="ServiceDate", type="date"),
        Field(name="EndDate", type="date"),
        Field(name="Description"),
        currency_code("never"),
        Field(name="TaxCode__c", label="Tax Code", length=40),
    ),
    plural="Order Products",
)

ORDER_OBJECTS = (_ORDER, _ORDER_ITEM)
