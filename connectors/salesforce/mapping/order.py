"""A native Order with its lines, as an Apex callout sends it, to the order that is to be submitted.

Pure and exact: numbers are read as decimals and never rounded. A part that is missing, unknown or of another type is
refused with its path in the payload; nothing is guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2

from connectors.kit.exact_json import JsonObject, loads
from connectors.salesforce.mapping import values
from connectors.salesforce.record_ids import to_id18
from libs.common.errors import Refused
from libs.common.money import (
    CURRENCY_DECIMALS,
    Money,
    decimals_of,
    parse_decimal,
    render_decimal,
    render_money,
)

NANO_DECIMALS = 9
LINES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Sender:
    """The org that sends. default_currency: of orders that name none; empty = such orders are refused."""

    system: str
    default_currency: str = ""


def submission_from_order(payload: bytes, sender: Sender) -> order_service_pb2.SubmitOrderRequest:
    """The order to be submitted, under a key that names the record: handing it in twice is one order.

    The key does not name the record's version, because our own write-backs move that. Refused PAYLOAD_UNTRANSLATABLE,
    CURRENCY_UNKNOWN, UNIT_UNKNOWN, QUANTITY_INVALID, PRICE_INVALID, LINES_INVALID.
    """
    record = _order_record(payload)
    order_id = _id(record.get("Id"), "Id")
    currency = _currency(record, sender)
    order = order_pb2.Order(
        sold_to=order_pb2.PartyRef(external=_reference(sender, _account_id(record))),
        purchase_order_number=_text(record, "PoNumber", 45),
        currency_code=currency,
        lines=_lines(record, currency),
        memo=_text(record, "Description", 999),
        region=_text(record, "Region__c", 20),
        business_unit=_text(record, "Business_Unit__c", 40),
        source=_reference(sender, order_id),
    )
    if record.get("TotalAmount") is not None:
        order.total.CopyFrom(_money(record.get("TotalAmount"), currency, "TotalAmount"))
    shipping = record.get("ShippingAddress")
    address = values.parse_address(cast(JsonObject, shipping)) if isinstance(shipping, dict) else None
    if address is not None:
        order.ship_to.CopyFrom(address)
    wanted = _day(record, "EffectiveDate")
    if wanted is not None:
        order.requested_date.CopyFrom(wanted)
    return order_service_pb2.SubmitOrderRequest(
        order=order, idempotency_key=f"{sender.system}:order:{order_id}"
    )


def _order_record(payload: bytes) -> JsonObject:
    try:
        body = loads(payload)
    except (ValueError, UnicodeDecodeError):
        raise Refused("PAYLOAD_UNTRANSLATABLE", "the payload is not JSON") from None
    if not isinstance(body, dict):
        raise Refused("PAYLOAD_UNTRANSLATABLE", "the payload is not a JSON object")
    record = cast(JsonObject, body)
    attributes = record.get("attributes")
    if isinstance(attributes, dict) and attributes.get("type", "Order") != "Order":
        raise _untranslatable("attributes.type", "is not Order")
    return record


# Parts of the head


def _id(value: object, path: str) -> str:
    """Salesforce ids on 18 characters, however they were written: they are compared on that form."""
    found = to_id18(value) if isinstance(value, str) else None
    if found is None:
        raise _untranslatable(path, "is not a Salesforce id")
    return found


def _account_id(record: JsonObject) -> str:
    account = record.get("Account")
    nested = account.get("Id") if isinstance(account, dict) else None
    return _id(record.get("AccountId") or nested, "AccountId")


def _reference(sender: Sender, record_id: str) -> external_ref_pb2.ExternalRef:
    return external_ref_pb2.ExternalRef(system=sender.system, external_id=record_id)


def _currency(record: JsonObject, sender: Sender) -> str:
    code = values.text(record.get("CurrencyIsoCode")) or sender.default_currency
    if not code:
        raise _untranslatable("CurrencyIsoCode", "is missing, and no default currency is configured")
    if code not in CURRENCY_DECIMALS:
        raise Refused.field("CURRENCY_UNKNOWN", "CurrencyIsoCode", "is not an ISO 4217 code in use")
    return code


def _text(record: JsonObject, name: str, characters_max: int, at: str = "") -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _untranslatable(at + name, "is not text")
    text = value.strip()
    if len(text) > characters_max:
        raise _untranslatable(at + name, f"has more than {characters_max} characters")
    return text


def _day(record: JsonObject, name: str) -> Date | None:
    if record.get(name) is None:
        return None
    found = values.parse_day(record.get(name))
    if found is None:
        raise _untranslatable(name, "is not a date such as 2026-01-31")
    return found


# Lines


def _lines(record: JsonObject, currency: str) -> list[order_pb2.OrderLine]:
    """All lines, numbered in the order in which they came. Refuses a list that Salesforce cut off."""
    items = record.get("OrderItems")
    if isinstance(items, dict):
        found = items.get("records")
        complete = items.get("done") is not False
        stated = items.get("totalSize")
    else:
        found, complete, stated = items, True, None
    if not isinstance(found, list):
        raise _untranslatable("OrderItems.records", "is missing")
    if not complete or (stated is not None and stated != len(found)):
        raise _untranslatable("OrderItems.records", "does not hold all lines of the order")
    if not 1 <= len(found) <= LINES_MAX:
        raise Refused.field("LINES_INVALID", "OrderItems.records", f"must hold 1 to {LINES_MAX} lines")
    return [_line(each, number, currency) for number, each in enumerate(found, start=1)]


def _line(value: object, number: int, currency: str) -> order_pb2.OrderLine:
    at = f"OrderItems.records[{number - 1}]."
    if not isinstance(value, dict):
        raise _untranslatable(at[:-1], "is not an object")
    line = cast(JsonObject, value)
    return order_pb2.OrderLine(
        line_number=number,
        sku=_sku(line, at),
        quantity=render_decimal(_quantity(line.get("Quantity"), at + "Quantity")),
        unit_code=_unit(line, at),
        unit_price=_money(line.get("UnitPrice"), currency, at + "UnitPrice"),
        tax_code=_text(line, "TaxCode__c", 40, at),
        description=_text(line, "Description", 999, at),
        source_line_id=_id(line.get("Id"), at + "Id") if line.get("Id") is not None else "",
    )


def _product(line: JsonObject) -> Mapping[str, object]:
    product = line.get("Product2")
    if isinstance(product, dict):
        return product
    entry = line.get("PricebookEntry")
    nested = entry.get("Product2") if isinstance(entry, dict) else None
    return nested if isinstance(nested, dict) else {}


def _sku(line: JsonObject, at: str) -> str:
    """The product's number in the ERP; its code in Salesforce where that is the same and no other is kept."""
    product = _product(line)
    sku = values.text(product.get("ERP_Key__c")) or values.text(product.get("ProductCode"))
    if not sku:
        raise _untranslatable(at + "Product2.ERP_Key__c", "is missing, and so is Product2.ProductCode")
    if len(sku) > 60:
        raise _untranslatable(at + "Product2.ERP_Key__c", "has more than 60 characters")
    return sku


def _unit(line: JsonObject, at: str) -> str:
    """Empty takes the product's sales unit; a word that nobody mapped is refused."""
    word = values.text(_product(line).get("QuantityUnitOfMeasure"))
    if not word:
        return ""
    code = values.unit_code(word)
    if code is None:
        path = at + "Product2.QuantityUnitOfMeasure"
        raise Refused.field("UNIT_UNKNOWN", path, "has no counterpart in UN/ECE Recommendation 20")
    return code


def _quantity(value: object, path: str) -> Decimal:
    quantity = _decimal(value, path)
    if quantity <= 0:
        raise Refused.field("QUANTITY_INVALID", path, "must be more than 0")
    # 2.0, as Salesforce prints two, is 2.
    return quantity.normalize() if quantity != quantity.to_integral_value() else quantity.quantize(Decimal(1))


def _money(value: object, currency: str, path: str) -> MoneyMessage:
    amount = _decimal(value, path)
    if decimals_of(amount) > NANO_DECIMALS:
        raise Refused.field("PRICE_INVALID", path, f"has more than {NANO_DECIMALS} decimals")
    return render_money(Money(amount, currency))


def _decimal(value: object, path: str) -> Decimal:
    if value is None:
        raise _untranslatable(path, "is missing")
    found = values.exact_decimal(value)
    if found is None:
        raise _untranslatable(path, "is not a number")
    return parse_decimal(str(found), "PAYLOAD_UNTRANSLATABLE", path)


def _untranslatable(path: str, description: str) -> Refused:
    return Refused.field("PAYLOAD_UNTRANSLATABLE", path, description)
