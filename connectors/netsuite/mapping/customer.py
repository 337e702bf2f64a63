"""Customers both ways. Pure."""

from collections.abc import Callable, Mapping, Sequence

from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.customer.v1 import customer_pb2

from connectors.kit.exact_json import JsonObject
from connectors.netsuite.mapping.values import Row, address_of, decimal_of, render_address
from libs.common.errors import Refused
from libs.common.money import Money, render_money

READ = "netsuite.customer@1"
_HOLD = "ON"

_FIELDS = {
    "companyname": "name",
    "email": "email",
    "phone": "phone",
    "currency": "currency_code",
    "entityid": "number",
}
_WRITABLE = {
    "name": "companyName",
    "email": "email",
    "phone": "phone",
    "account_owner": "custentity_ordermesh_account_owner",
    "segment": "custentity_ordermesh_segment",
    "engagement": "custentity_ordermesh_engagement",
}
"""Fields of ours that NetSuite takes one by one. What the CRM owns stands in custom entity fields."""


def customer_of(row: Row) -> customer_pb2.Customer:
    """A row of the customer feed; ids and links of ours are empty."""
    currency = row.get("currency", "")
    inactive = row.get("isinactive") == "T"
    return customer_pb2.Customer(
        number=row.get("entityid", ""),
        name=_name(row),
        legal_name=row.get("companyname", ""),
        tax_id=row.get("taxid", ""),
        email=row.get("email", ""),
        phone=row.get("phone", ""),
        state=customer_pb2.CUSTOMER_STATE_INACTIVE if inactive else customer_pb2.CUSTOMER_STATE_ACTIVE,
        currency_code=currency,
        payment_terms=row.get("terms", ""),
        credit_limit=_amount(row, "creditlimit", currency),
        credit_used=_used(row, currency),
        credit_hold=row.get("creditholdoverride") == _HOLD,
        price_level=row.get("pricelevel", ""),
        legal_entity=row.get("subsidiary", ""),
        bill_to=address_of(row, "bill_"),
        ship_to=address_of(row, "ship_"),
    )


def _name(row: Row) -> str:
    person = f"{row.get('firstname', '')} {row.get('lastname', '')}".strip()
    return row.get("companyname") or person or row.get("entityid", "")


def _amount(row: Row, name: str, currency: str) -> MoneyMessage | None:
    return render_money(Money(decimal_of(row, name), currency)) if name in row and currency else None


def _used(row: Row, currency: str) -> MoneyMessage | None:
    """Open invoices and orders not yet billed."""
    if not currency:
        return None
    used = decimal_of(row, "balance") + decimal_of(row, "unbilled")
    return render_money(Money(used, currency))


def customer_upsert_v1(customer: customer_pb2.Customer, currencies: Mapping[str, str]) -> JsonObject:
    """The body of an upsert: what a sales system may know first. Credit, terms and hold are NetSuite's own."""
    if not customer.name:
        raise Refused.field("INVALID_FIELD", "customer.name", "NetSuite wants a company name")
    body: JsonObject = {"companyName": customer.name, "isPerson": False}
    named = {"email": customer.email, "phone": customer.phone, "entityId": customer.number}
    body |= {name: value for name, value in named.items() if value}
    if customer.currency_code:
        if customer.currency_code not in currencies:
            raise Refused.field("CURRENCY_UNKNOWN", "customer.currency_code", "NetSuite has no such currency")
        body["currency"] = {"id": currencies[customer.currency_code]}
    addresses: list[JsonObject] = []
    for present, purpose, address in (
        (customer.HasField("bill_to"), "defaultBilling", customer.bill_to),
        (customer.HasField("ship_to"), "defaultShipping", customer.ship_to),
    ):
        if present:
            addresses.append({purpose: True, "addressBookAddress": render_address(address)})
    if addresses:
        body["addressBook"] = {"items": addresses}
    return body


def customer_fields_v1(customer: customer_pb2.Customer, fields: Sequence[str]) -> JsonObject:
    """The body of a change of single fields of a customer that NetSuite has. Refused with NOT_SUPPORTED."""
    unknown = [name for name in fields if name not in _WRITABLE]
    if unknown:
        raise Refused.field(
            "NOT_SUPPORTED", f"customer.{unknown[0]}", "NetSuite takes no word on it from others"
        )
    return {_WRITABLE[name]: getattr(customer, name) for name in fields}


FIELDS: Mapping[str, Callable[[customer_pb2.Customer, Sequence[str]], JsonObject]] = {
    "netsuite.customer_fields@1": customer_fields_v1
}
"""Every version that a replay may pin; the last is the current one."""

UPSERTS: Mapping[str, Callable[[customer_pb2.Customer, Mapping[str, str]], JsonObject]] = {
    "netsuite.customer_upsert@1": customer_upsert_v1
}
"""Every version that a replay may pin; the last is the current one."""


def field_of(path: str) -> str:
    """Where in our customer the field is that NetSuite names."""
    field = _FIELDS.get(path.split(".", maxsplit=1)[0].lower(), "")
    return f"customer.{field}" if field else path
