"""What a write would change in Salesforce, read and not written. Open it when a preview shows the wrong old value."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ordermesh.common.v1 import difference_pb2
from ordermesh.connector.v1 import change_pb2

from connectors.kit.exact_json import JsonObject
from connectors.kit.preview import differences
from connectors.salesforce.client import Client, quoted
from connectors.salesforce.mapping import product
from connectors.salesforce.mapping.records import Fields, Mirrors, Target, Writing
from libs.common.errors import Refused

MIRROR_KEY = "ERP_Key__c"


async def preview(
    client: Client, wanted: Writing, change: change_pb2.Change
) -> tuple[bool, list[difference_pb2.FieldDifference]]:
    """Whether the record is there, and what would differ on it and on what hangs on it."""
    held = await _record(client, wanted.target, _names(wanted.fields))
    if held is None and wanted.waits_for:
        raise Refused("REFERENCE_UNKNOWN", f"{wanted.waits_for} is not known in Salesforce yet")
    fields = wanted.fields if held is not None else {**wanted.fields, **wanted.creating}
    place = f"{wanted.target.sobject} {wanted.target.record_id or wanted.target.key}"
    found = _compared(place, fields, held or {}, wanted.paths, change)
    for mirrors in wanted.mirrors:
        known = await _mirrored(client, mirrors)
        for record in mirrors.records:
            key = str(record[MIRROR_KEY])
            found += _compared(f"{mirrors.sobject} {key}", record, known.get(key, {}), {}, change)
    return held is not None, found


async def preview_prices(
    client: Client, change: change_pb2.Change, wanted: Mapping[str, Decimal], *, multicurrency: bool
) -> list[difference_pb2.FieldDifference]:
    """Of the product's standard prices, by currency; those in other currencies are left alone."""
    target = Target("Product2", product.KEY_FIELD, change.key, change.external_id)
    known = await _record(client, target, [])
    held: JsonObject = {}
    if known is not None:
        currency = "CurrencyIsoCode, " if multicurrency else ""
        where = f"WHERE Product2Id = {quoted(str(known['Id']))} AND Pricebook2.IsStandard = true"
        found = await client.query(f"SELECT {currency}UnitPrice FROM PricebookEntry {where} LIMIT 200")  # noqa: S608
        held = {str(each.get("CurrencyIsoCode") or ""): each.get("UnitPrice") for each in found.records}
    names = {code: code if multicurrency else "" for code in wanted}
    return differences(
        f"salesforce PricebookEntry {change.key}",
        dict(wanted),
        {code: held.get(name) for code, name in names.items()},
        change,
        lambda path: "product.prices",
    )


def _compared(
    place: str, fields: Fields, held: JsonObject, paths: Mapping[str, str], change: change_pb2.Change
) -> list[difference_pb2.FieldDifference]:
    names = _names(fields)
    return differences(
        f"salesforce {place}",
        {name: fields[name] for name in names},
        {name: _plain(held.get(name)) for name in names},
        change,
        lambda path: paths.get(path, ""),
    )


def _names(fields: Fields) -> list[str]:
    """What can be asked for by name; a parent named by its key cannot."""
    return [name for name, value in fields.items() if not isinstance(value, dict)]


def _plain(value: object) -> object:
    """Salesforce writes `+0000` where it takes `Z`."""
    return value.replace("+0000", "Z") if isinstance(value, str) and value.endswith("+0000") else value


async def _record(client: Client, target: Target, names: Sequence[str]) -> JsonObject | None:
    field, value = ("Id", target.record_id) if target.record_id else (target.key_field, target.key)
    columns = ", ".join(dict.fromkeys(["Id", *names]))
    found = await client.query(
        f"SELECT {columns} FROM {target.sobject} WHERE {field} = {quoted(value)} LIMIT 1"  # noqa: S608  Quoted.
    )
    return found.records[0] if found.records else None


async def _mirrored(client: Client, mirrors: Mirrors) -> Mapping[str, JsonObject]:
    """By their key."""
    names = {name: None for record in mirrors.records for name in _names(record)}
    keys = ", ".join(quoted(str(record[MIRROR_KEY])) for record in mirrors.records)
    columns = ", ".join(dict.fromkeys([MIRROR_KEY, *names]))
    found = await client.query(
        f"SELECT {columns} FROM {mirrors.sobject} WHERE {MIRROR_KEY} IN ({keys})"  # noqa: S608  Quoted.
        f" LIMIT {len(mirrors.records)}"
    )
    return {str(record[MIRROR_KEY]): record for record in found.records}
