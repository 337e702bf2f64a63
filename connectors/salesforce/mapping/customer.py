"""Customers: what the ERP owns goes out to the Account, what the salespeople do to an Account comes in."""

from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2

from connectors.salesforce.mapping import values
from connectors.salesforce.mapping.records import Fields, Target, Writing

KEY_FIELD = "ERP_Key__c"
"""Holds the ERP's number of the customer, which is the key under which it is written."""

TAX_FIELD = "ERP_Tax_Number__c"

WRITABLE = {"segment": ("Industry", 40), "engagement": ("Rating", 40)}
"""What the CRM owns and takes from us when somebody has changed it here: our field to its field and longest text."""

PATHS = {
    "Industry": "customer.segment",
    "Rating": "customer.engagement",
    "Name": "customer.name",
    "Phone": "customer.phone",
    "CurrencyIsoCode": "customer.currency_code",
    KEY_FIELD: "customer.number",
    "ERP_Credit_Limit__c": "customer.credit_limit",
    "ERP_Payment_Terms__c": "customer.payment_terms",
}

READ_FIELDS = (
    "Id",
    "IsDeleted",
    "Name",
    "Phone",
    "Industry",
    "Rating",
    "Owner.Name",
    KEY_FIELD,
    TAX_FIELD,
    *(
        f"{kind}{part}"
        for kind in ("Billing", "Shipping")
        for part in ("Street", "City", "State", "PostalCode")
    ),
    "BillingCountry",
    "ShippingCountry",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
)
"""What `customer_from_account` reads; CurrencyIsoCode comes on top in an org with several currencies."""


def writing_from_customer(change: change_pb2.Change, *, multicurrency: bool) -> Writing:
    """An Account with this key is the same customer, whoever made it. Refused with NOT_SUPPORTED, see `WRITABLE`."""
    customer = change.customer
    target = Target("Account", KEY_FIELD, change.key, change.external_id)
    if change.fields:
        return Writing(target, values.named_fields(change, "customer", WRITABLE), paths=PATHS)
    fields: Fields = {
        "Name": values.cut(customer.name or customer.legal_name or customer.number, 255),
        "Phone": values.cut(customer.phone, 40),
        "ERP_Customer_Number__c": values.cut(customer.number, 80),
        "ERP_Payment_Terms__c": values.cut(customer.payment_terms, 40),
        "ERP_Credit_Status__c": _credit_status(customer),
        TAX_FIELD: values.cut(customer.tax_id, 40),
        "ERP_Credit_Limit__c": values.amount(customer.credit_limit)
        if customer.HasField("credit_limit")
        else None,
        **(values.address_fields("Billing", customer.bill_to) if customer.HasField("bill_to") else {}),
        **(values.address_fields("Shipping", customer.ship_to) if customer.HasField("ship_to") else {}),
    }
    creating: Fields = {}
    if multicurrency and customer.currency_code:
        creating["CurrencyIsoCode"] = customer.currency_code
    parent = change.reference_ids.get(customer.parent_customer_id, "")
    if parent:
        fields["ParentId"] = parent
    if target.record_id:
        fields[KEY_FIELD] = change.key
    return Writing(target, fields, creating, paths=PATHS)


def _credit_status(customer: customer_pb2.Customer) -> str:
    if customer.state == customer_pb2.CUSTOMER_STATE_INACTIVE:
        return "INACTIVE"
    return "HOLD" if customer.credit_hold else "OK"


def customer_from_account(record: Fields) -> customer_pb2.Customer:
    """What the sales side says of a customer. What only the ERP knows is left out, not repeated back.

    Only an account without the ERP's number tells its tax number: it may be how the account is known.
    """
    owner, key = record.get("Owner"), values.text(record.get(KEY_FIELD))
    return customer_pb2.Customer(
        number=key[:60],
        tax_id="" if key else values.text(record.get(TAX_FIELD))[:40],
        name=values.text(record.get("Name"))[:200],
        phone=values.text(record.get("Phone"))[:40],
        currency_code=values.text(record.get("CurrencyIsoCode")),
        account_owner=values.text(owner.get("Name"))[:120] if isinstance(owner, dict) else "",
        segment=values.text(record.get("Industry"))[:60],
        engagement=values.text(record.get("Rating"))[:60],
        bill_to=values.record_address(record, "Billing"),
        ship_to=values.record_address(record, "Shipping"),
    )
