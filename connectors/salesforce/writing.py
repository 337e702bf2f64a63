"""How a record is written: one atomic call by key or by id, looked up again afterwards. Open it to change the steps.

    known by id    PATCH …/{id}                              must exist
    known by key   PATCH …/{key field}/{key}?updateOnly=true  exists already, or …
                   PATCH …/{key field}/{key}                  … is made, with what only a new record needs

The first try by key never makes a record, so that what only a new record needs (an Order's `Draft`) is never written
to an old one. Every step is keyed, so repeating after any outcome leaves one record.
"""

from dataclasses import dataclass
from decimal import Decimal

from ordermesh.connector.v1 import change_pb2

from connectors.kit.exact_json import JsonObject
from connectors.salesforce.client import (
    SUBREQUESTS_MAX,
    Client,
    CompositeAnswer,
    Sub,
    key_path,
    quoted,
    record_path,
)
from connectors.salesforce.errors import STATUS_IS_NEWER
from connectors.salesforce.mapping.records import Mirrors, Target, Writing
from libs.common.errors import NotDone

NUMBER_FIELDS = {
    "Order": "OrderNumber",
    "Account": "ERP_Key__c",
    "Product2": "ProductCode",
    "ERP_Invoice__c": "Invoice_Number__c",
}
"""The number people use, by object."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the org said. existed: the record was there before. verdict: in Salesforce's words."""

    record: JsonObject
    exchange: change_pb2.Exchange
    verdict: str
    existed: bool


async def write(client: Client, writing: Writing) -> Written:
    """Makes the org show it. Raises our error for whatever the org refused; nothing of the call was kept then."""
    answer = await client.composite(_subs(writing, creating=False))
    if _is_absent(answer, writing.target):
        if writing.waits_for:
            raise NotDone("REFERENCE_UNKNOWN", f"{writing.waits_for} is not known in Salesforce yet")
        answer = await client.composite(_subs(writing, creating=True))
    if answer.done:
        return _written(answer)
    _, fault = answer.cause()
    if STATUS_IS_NEWER in fault.message:
        return await _already_newer(client, writing.target, answer)
    answer.raise_cause(writing.paths)
    raise AssertionError("unreachable: the cause was raised")


def _subs(writing: Writing, *, creating: bool) -> list[Sub]:
    fields = {**writing.fields, **writing.creating} if creating else writing.fields
    subs = [Sub("record", "PATCH", _write_path(writing.target, creating=creating), fields)]
    subs += [_mirror(each) for each in writing.mirrors]
    return [*subs, _read(writing.target)]


def _write_path(target: Target, *, creating: bool) -> str:
    if target.record_id:
        return record_path(target.sobject, target.record_id)
    path = key_path(target.sobject, target.key_field, target.key)
    return path if creating else f"{path}?updateOnly=true"


def _mirror(mirrors: Mirrors) -> Sub:
    records = [{"attributes": {"type": mirrors.sobject}, **fields} for fields in mirrors.records]
    body = {"allOrNone": True, "records": records}
    return Sub(mirrors.sobject, "PATCH", f"composite/sobjects/{mirrors.sobject}/ERP_Key__c", body)


def _read(target: Target) -> Sub:
    if target.record_id:
        path = record_path(target.sobject, target.record_id)
    else:
        path = key_path(target.sobject, target.key_field, target.key)
    return Sub("read", "GET", f"{path}?fields=Id,SystemModstamp,{NUMBER_FIELDS[target.sobject]}")


def _is_absent(answer: CompositeAnswer, target: Target) -> bool:
    """The update by key found nothing to update. By id, absence is a refusal: somebody deleted the record."""
    _, fault = answer.cause()
    missing = answer.answers["record"].status == 404 and fault.code == "NOT_FOUND"
    return missing and not target.record_id


def _written(answer: CompositeAnswer) -> Written:
    written = answer.answers["record"]
    made = written.status == 201
    verdict = f"{written.status} {'created' if made else 'updated'}"
    return Written(answer.answers["read"].record(), answer.exchange, verdict, existed=not made)


async def _already_newer(client: Client, target: Target, refused: CompositeAnswer) -> Written:
    """The org shows something newer, so this change has nothing left to do: that is success, not a refusal."""
    record = await find(client, target)
    return Written(record or {}, refused.exchange, "400 a newer status is already shown", existed=True)


async def find(client: Client, target: Target) -> JsonObject | None:
    """The record with this key, by query: an empty answer means that there surely is none.

    A read by key would answer 404 also when the key field does not exist in the org.
    """
    field, value = ("Id", target.record_id) if target.record_id else (target.key_field, target.key)
    columns = f"Id, SystemModstamp, {NUMBER_FIELDS[target.sobject]}"
    where = f"WHERE {field} = {quoted(value)}"
    found = await client.query(f"SELECT {columns} FROM {target.sobject} {where} LIMIT 2")  # noqa: S608  Quoted.
    return found.records[0] if found.records else None


async def standard_pricebook(client: Client) -> str:
    """Id of the org's standard price book; empty when our user may not see it."""
    found = await client.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true LIMIT 1")
    return str(found.records[0]["Id"]) if found.records else ""


async def write_prices(
    client: Client, product_id: str, wanted: dict[str, Decimal], *, multicurrency: bool
) -> None:
    """Brings the product's standard prices to the wanted ones; prices in other currencies are left alone.

    Salesforce has one standard price per product and currency, so the price itself is the key. When somebody else
    makes one at the same moment, the second look finds it.
    """
    for last in (False, True):
        subs = await _price_changes(client, product_id, wanted, multicurrency=multicurrency)
        answer = await client.composite(subs[:SUBREQUESTS_MAX]) if subs else None
        if answer is None or answer.done:
            return
        if last or answer.cause()[1].code != "DUPLICATE_VALUE":
            answer.raise_cause({"UnitPrice": "product.prices", "CurrencyIsoCode": "product.prices"})


async def _price_changes(
    client: Client, product_id: str, wanted: dict[str, Decimal], *, multicurrency: bool
) -> list[Sub]:
    currency = "CurrencyIsoCode, " if multicurrency else ""
    where = f"WHERE Product2Id = {quoted(product_id)} AND Pricebook2.IsStandard = true"
    found = await client.query(f"SELECT Id, {currency}UnitPrice FROM PricebookEntry {where} LIMIT 200")  # noqa: S608
    entries = {str(each.get("CurrencyIsoCode") or ""): each for each in found.records}
    subs: list[Sub] = []
    for number, (code, price) in enumerate(wanted.items()):
        entry = entries.get(code if multicurrency else "")
        if entry is None:
            subs.append(
                await _new_price(client, number, product_id, code, price, multicurrency=multicurrency)
            )
        elif entry.get("UnitPrice") != price:
            path = record_path("PricebookEntry", str(entry["Id"]))
            subs.append(Sub(f"price{number}", "PATCH", path, {"UnitPrice": price, "IsActive": True}))
    return subs


async def _new_price(
    client: Client, number: int, product_id: str, code: str, price: Decimal, *, multicurrency: bool
) -> Sub:
    body: JsonObject = {
        "Pricebook2Id": await standard_pricebook(client),
        "Product2Id": product_id,
        "UnitPrice": price,
        "IsActive": True,
        **({"CurrencyIsoCode": code} if multicurrency else {}),
    }
    return Sub(f"price{number}", "POST", "sobjects/PricebookEntry", body)
