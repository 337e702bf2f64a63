"""Custom objects that mirror ERP documents: open this when an invoice, payment or shipment misses a field.

No standard object carries ERP invoices in every org, so ordermesh brings its own three. Each is upserted by ERP_Key__c.
"""

from __future__ import annotations

from .fields import Field, SObject, currency_code, erp_key, owner

_INVOICE = SObject.of(
    "ERP_Invoice__c",
    "a01",
    (
        Field(name="Name", length=80),
        erp_key(),
        Field(
            name="Account__c",
            label="Account",
            type="reference",
            refers_to="Account",
            children="ERP_Invoices__r",
        ),
        Field(
            name="Order__c",
            label="Order",
            type="reference",
            refers_to="Order",
            children="ERP_Invoices__r",
        ),
        Field(name="Invoice_Number__c", label="Invoice Number", length=80),
        Field(name="Invoice_Date__c", label="Invoice Date", type="date"),
        Field(name="Due_Date__c", label="Due Date", type="date"),
        Field(name="Net_Amount__c", label="Net Amount", type="currency"),
        Field(name="Tax_Amount__c", label="Tax Amount", type="currency"),
        Field(name="Gross_Amount__c", label="Gross Amount", type="currency"),
        Field(name="Open_Amount__c", label="Open Amount", type="currency"),
        Field(name="Paid_Amount__c", label="Paid Amount", type="currency"),
        Field(name="Status__c", label="Status", length=40),
        currency_code(),
        owner(),
    ),
    plural="ERP Invoices",
)

_PAYMENT = SObject.of(
    "ERP_Payment__c",
    "a02",
    (
        Field(name="Name", length=80),
        erp_key(),
        Field(
            name="Invoice__c",
            label="Invoice",
            type="reference",
            refers_to="ERP_Invoice__c",
            children="ERP_Payments__r",
        ),
        Field(
            name="Order__c",
            label="Order",
            type="reference",
            refers_to="Order",
            children="ERP_Payments__r",
        ),
        Field(
            name="Account__c",
            label="Account",
            type="reference",
            refers_to="Account",
            children="ERP_Payments__r",
        ),
        Field(name="Payment_Number__c", label="Payment Number", length=80),
        Field(name="Payment_Date__c", label="Payment Date", type="date"),
        Field(name="Amount__c", label="Amount", type="currency"),
        Field(name="Method__c", label="Method", length=40),
        currency_code(),
        owner(),
    ),
    plural="ERP Payments",
)

_SHIPMENT = SObject.of(
    "ERP_Shipment__c",
    "a03",
    (
        Field(name="Name", length=80),
        erp_key(),
        Field(
            name="Order__c",
            label="Order",
            type="reference",
            refers_to="Order",
            children="ERP_Shipments__r",
        ),
        Field(name="Shipment_Number__c", label="Shipment Number", length=80),
        Field(name="Ship_Date__c", label="Ship Date", type="date"),
        Field(name="Carrier__c", label="Carrier", length=80),
        Field(name="Tracking_Number__c", label="Tracking Number", length=255),
        Field(name="Quantity__c", label="Quantity", type="double"),
        Field(name="Status__c", label="Status", length=40),
        owner(),
    ),
    plural="ERP Shipments",
)

ERP_OBJECTS = (_INVOICE, _PAYMENT, _SHIPMENT)
