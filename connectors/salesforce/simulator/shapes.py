"""Stored records to JSON: open this when a record in an answer looks wrong."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.kit.simulator import JsonObject

from . import computed
from .catalog import Field, SObject
from .catalog.fields import Values
from .org import Transaction


def attributes(sobject: str, record_id: str, base: str) -> JsonObject:
    """The start of every record: its type and its own URL. base: `/services/data/vXX.0/`."""
    return {"attributes": {"type": sobject, "url": f"{base}sobjects/{sobject}/{record_id}"}}


def field_value(tx: Transaction, sobject: SObject, field: Field, values: Values) -> object:
    if field.type == "address":
        return computed.address_of(field, values)
    return computed.value_of(tx, sobject, field, values)


def record(
    tx: Transaction, sobject: SObject, values: Values, base: str, fields: Iterable[Field] | None = None
) -> JsonObject:
    """A record as a read by id answers it: the named fields, or all of them."""
    shaped = attributes(sobject.name, str(values["Id"]), base)
    for field in sobject.fields.values() if fields is None else fields:
        shaped[field.name] = field_value(tx, sobject, field, values)
    return shaped
