"""The org itself, its users, accounts and contacts: open this when one of them misses a field."""

from __future__ import annotations

from .fields import Field, SObject, address, currency_code, erp_key, owner

_ORGANIZATION = SObject.of(
    "Organization",
    "00D",
    (
        Field(name="Name", length=80),
        Field(name="IsSandbox", type="boolean", default=True),
        Field(name="OrganizationType", type="picklist", values=("Developer Edition",)),
        Field(name="InstanceName", length=5),
    ),
    read_only=True,
)

_USER = SObject.of(
    "User",
    "005",
    (
        Field(name="Username", length=80),
        Field(name="LastName", length=80),
        Field(name="FirstName", length=40),
        Field(name="Name", length=121),
        Field(name="Email", type="email", length=128),
        Field(name="IsActive", type="boolean", default=True),
    ),
    read_only=True,
)

_ACCOUNT = SObject.of(
    "Account",
    "001",
    (
        Field(name="Name", required=True),
        Field(name="AccountNumber", length=40),
        Field(
            name="Type",
            type="picklist",
            values=("Prospect", "Customer - Direct", "Other"),
        ),
        Field(
            name="ParentId",
            type="reference",
            refers_to="Account",
            children="ChildAccounts",
        ),
        Field(name="Phone", type="phone", length=40),
        Field(name="Fax", type="phone", length=40),
        Field(name="Website", type="url"),
        Field(name="Industry", type="picklist"),
        Field(name="Rating", type="picklist"),
        Field(name="AnnualRevenue", type="currency", scale=0),
        Field(name="NumberOfEmployees", type="int", precision=8),
        Field(name="Description", type="textarea", length=32000),
        Field(name="Site", length=80),
        currency_code(),
        owner(),
        *address("Billing"),
        *address("Shipping"),
        erp_key(),
        Field(name="ERP_Payment_Terms__c", label="ERP Payment Terms", length=40),
        Field(name="ERP_Credit_Status__c", label="ERP Credit Status", length=40),
        Field(name="ERP_Credit_Limit__c", label="ERP Credit Limit", type="currency"),
        Field(name="ERP_Tax_Number__c", label="ERP Tax Number", length=40),
        Field(name="ERP_Customer_Number__c", label="ERP Customer Number", length=80),
    ),
)

_CONTACT = SObject.of(
    "Contact",
    "003",
    (
        Field(name="AccountId", type="reference", refers_to="Account", children="Contacts"),
        Field(name="LastName", length=80, required=True),
        Field(name="FirstName", length=40),
        Field(name="Salutation", type="picklist"),
        Field(name="Name", type="string", write="never", length=121, computed=True),
        Field(name="Email", type="email", length=80),
        Field(name="Phone", type="phone", length=40),
        Field(name="MobilePhone", type="phone", length=40),
        Field(name="Title", length=128),
        owner(),
        *address("Mailing"),
        # External id that is *not* unique: the one key in this org that can find several records (HTTP 300).
        Field(
            name="ERP_Contact_Key__c",
            label="ERP Contact Key",
            length=80,
            external_id=True,
        ),
    ),
)

PARTY_OBJECTS = (_ORGANIZATION, _USER, _ACCOUNT, _CONTACT)
