"""Opportunities, quotes and their lines: open this when something before the order misses a field."""

from __future__ import annotations

from .fields import Field, SObject, address, currency_code, owner

_OPPORTUNITY = SObject.of(
    "Opportunity",
    "006",
    (
        Field(name="Name", length=120, required=True),
        Field(
            name="StageName",
            type="picklist",
            required=True,
            values=(
                "Prospecting",
                "Qualification",
                "Proposal/Price Quote",
                "Closed Won",
                "Closed Lost",
            ),
        ),
        Field(name="CloseDate", type="date", required=True),
        Field(
            name="AccountId",
            type="reference",
            refers_to="Account",
            children="Opportunities",
        ),
        Field(name="Amount", type="currency"),
        Field(name="Probability", type="percent", precision=3, scale=0),
        Field(
            name="Pricebook2Id",
            type="reference",
            refers_to="Pricebook2",
            children="Opportunities",
        ),
        Field(name="SyncedQuoteId", type="reference", refers_to="Quote"),
        Field(name="Type", type="picklist"),
        Field(name="LeadSource", type="picklist"),
        Field(name="NextStep"),
        Field(name="Description", type="textarea", length=32000),
        Field(name="IsClosed", type="boolean", write="never", computed=True, default=False),
        Field(name="IsWon", type="boolean", write="never", computed=True, default=False),
        currency_code(),
        owner(),
        Field(name="ERP_Key__c", label="ERP Key", length=80, external_id=True, unique=True),
    ),
    plural="Opportunities",
)

_QUOTE_STATUSES = (
    "Draft",
    "Needs Review",
    "In Review",
    "Approved",
    "Rejected",
    "Presented",
    "Accepted",
    "Denied",
)

_QUOTE = SObject.of(
    "Quote",
    "0Q0",
    (
        Field(name="Name", length=225, required=True),
        Field(
            name="OpportunityId",
            type="reference",
            refers_to="Opportunity",
            children="Quotes",
            required=True,
            write="once",
        ),
        Field(
            name="AccountId",
            type="reference",
            write="never",
            refers_to="Account",
            children="Quotes",
            computed=True,
        ),
        Field(name="ContactId", type="reference", refers_to="Contact"),
        Field(name="Pricebook2Id", type="reference", refers_to="Pricebook2"),
        Field(
            name="QuoteNumber",
            type="string",
            write="never",
            length=30,
            auto_number="{:08d}",
        ),
        Field(
            name="Status",
            type="picklist",
            values=_QUOTE_STATUSES,
            restricted=True,
            default="Draft",
        ),
        Field(name="ExpirationDate", type="date"),
        Field(name="LineItemCount", type="int", write="never", computed=True),
        Field(name="Subtotal", type="currency", write="never", computed=True),
        Field(name="TotalPrice", type="currency", write="never", computed=True),
        Field(name="Tax", type="currency"),
        Field(name="ShippingHandling", type="currency"),
        Field(name="GrandTotal", type="currency", write="never", computed=True),
        Field(name="Email", type="email", length=80),
        Field(name="Phone", type="phone", length=40),
        Field(name="Description", type="textarea", length=32000),
        currency_code(),
        *address("Billing"),
        *address("Shipping"),
        Field(
            name="Ordermesh_Quote_Id__c",
            label="Ordermesh Quote Id",
            length=80,
            external_id=True,
            unique=True,
        ),
    ),
)

_QUOTE_LINE = SObject.of(
    "QuoteLineItem",
    "0QL",
    (
        Field(
            name="QuoteId",
            type="reference",
            refers_to="Quote",
            children="QuoteLineItems",
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
        Field(name="Discount", type="percent", precision=5),
        Field(name="ListPrice", type="currency", write="never", computed=True),
        Field(name="Subtotal", type="currency", write="never", computed=True),
        Field(name="TotalPrice", type="currency", write="never", computed=True),
        Field(
            name="LineNumber",
            type="string",
            write="never",
            length=30,
            auto_number="{:08d}",
        ),
        Field(name="ServiceDate", type="date"),
        Field(name="SortOrder", type="int", precision=9),
        Field(name="Description", length=225),
    ),
    plural="Quote Line Items",
)

QUOTE_OBJECTS = (_OPPORTUNITY, _QUOTE, _QUOTE_LINE)
