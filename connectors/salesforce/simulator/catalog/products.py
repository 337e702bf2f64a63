"""Products, price books and prices: open this when a product or a price misses a field."""

from __future__ import annotations

from .fields import Field, SObject, currency_code, erp_key

_PRODUCT = SObject.of(
    "Product2",
    "01t",
    (
        Field(name="Name", required=True),
        Field(name="ProductCode"),
        Field(name="StockKeepingUnit", length=180),
        Field(name="Description", type="textarea", length=4000),
        Field(name="IsActive", type="boolean", default=False),
        Field(name="Family", type="picklist"),
        Field(
            name="QuantityUnitOfMeasure",
            type="picklist",
            values=("Each", "Box", "Kilogram", "Metre"),
        ),
        Field(name="DisplayUrl", type="url", length=1000),
        Field(name="ExternalId"),
        currency_code(),
        erp_key(),
        Field(name="ERP_Description__c", label="ERP Description", type="textarea", length=4000),
        Field(name="ERP_Quantity_Available__c", label="ERP Quantity Available", type="double"),
        Field(name="TaxCode__c", label="Tax Code", length=40),
    ),
    plural="Products",
)

_PRICEBOOK = SObject.of(
    "Pricebook2",
    "01s",
    (
        Field(name="Name", required=True),
        Field(name="IsActive", type="boolean", default=False),
        Field(name="IsStandard", type="boolean", write="never", default=False),
        Field(name="Description"),
    ),
    plural="Price Books",
)

_PRICEBOOK_ENTRY = SObject.of(
    "PricebookEntry",
    "01u",
    (
        Field(name="Name", type="string", write="never", computed=True),
        Field(
            name="Pricebook2Id",
            type="reference",
            refers_to="Pricebook2",
            children="PricebookEntries",
            required=True,
            write="once",
        ),
        Field(
            name="Product2Id",
            type="reference",
            refers_to="Product2",
            children="PricebookEntries",
            required=True,
            write="once",
        ),
        Field(name="UnitPrice", type="currency", required=True),
        Field(name="IsActive", type="boolean", default=False),
        Field(name="UseStandardPrice", type="boolean", default=False),
        Field(name="ProductCode", type="string", write="never", computed=True),
        currency_code("once"),
    ),
    plural="Price Book Entries",
)

PRODUCT_OBJECTS = (_PRODUCT, _PRICEBOOK, _PRICEBOOK_ENTRY)
