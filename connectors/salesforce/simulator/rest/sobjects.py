"""One record at a time: /sobjects and below. Open this for the status and body of a create, read, update or upsert."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

from connectors.salesforce.simulator import errors, records, shapes
from connectors.salesforce.simulator.catalog import Field, SObject, find_object
from connectors.salesforce.simulator.catalog.fields import Values
from connectors.salesforce.simulator.org import Transaction
from connectors.salesforce.simulator.values import parse_time, print_time

from . import describe
from .calls import Call, Reply

_SUCCESS_SINCE_46 = 46.0  # From v46 on an upsert that matched answers 200 with a body, before that 204.


def answer(tx: Transaction, call: Call) -> Reply:
    rest = call.segments[1:]
    if not rest:
        return describe.everything(call)
    sobject = find_object(rest[0])
    if sobject is None:
        raise errors.resource_not_found()
    if len(rest) == 1:
        return _collection(tx, call, sobject)
    if len(rest) == 2:
        return _member(tx, call, sobject, rest[1])
    if len(rest) == 3:
        return _by_key(tx, call, sobject, rest[1], rest[2])
    raise errors.resource_not_found()


def created(call: Call, sobject: SObject, record_id: str) -> Reply:
    body = {"id": record_id, "success": True, "errors": []}
    return Reply(201, body, {"Location": f"{call.base}sobjects/{sobject.name}/{record_id}"})


def _collection(tx: Transaction, call: Call, sobject: SObject) -> Reply:
    if call.method == "POST":
        return created(call, sobject, records.create(tx, sobject, call.object_body()))
    if call.method == "GET":
        return describe.basics(tx, call, sobject)
    raise errors.method_not_allowed(call.method, "HEAD,GET,POST")


def _member(tx: Transaction, call: Call, sobject: SObject, name: str) -> Reply:
    word = name.lower()
    if call.method == "GET" and word == "describe":
        return describe.one(call, sobject)
    if call.method == "GET" and word in ("updated", "deleted"):
        return _changed(tx, call, sobject, deleted=word == "deleted")
    if call.method == "POST" and word == "id":
        return created(call, sobject, records.create(tx, sobject, call.object_body()))
    if call.method == "GET":
        return _read(tx, call, sobject, records.locate(tx, sobject, name))
    if call.method == "PATCH":
        _refuse_stale(call, records.locate(tx, sobject, name))
        records.update(tx, sobject, name, call.object_body())
        return Reply(204)
    if call.method == "DELETE":
        records.delete(tx, sobject, name)
        return Reply(204)
    raise errors.method_not_allowed(call.method, "HEAD,GET,PATCH,DELETE")


def key_field(sobject: SObject, name: str) -> Field:
    """The field a record may be addressed by: an external id, or Id itself."""
    field = sobject.find_field(name)
    if field is None or not (field.external_id or field.name == "Id"):
        raise errors.key_not_found(name)
    return field


def _by_key(tx: Transaction, call: Call, sobject: SObject, name: str, value: str) -> Reply:
    key = key_field(sobject, name)
    if call.method == "GET":
        return _read(tx, call, sobject, _found_by_key(tx, sobject, key, value))
    if call.method == "PATCH":
        return _upsert(tx, call, sobject, key, value)
    if call.method == "DELETE":
        records.delete(tx, sobject, str(_found_by_key(tx, sobject, key, value)["Id"]))
        return Reply(204)
    raise errors.method_not_allowed(call.method, "HEAD,GET,PATCH,DELETE")


def _found_by_key(tx: Transaction, sobject: SObject, key: Field, value: str) -> Values:
    """simple-salesforce writes a blank in a key as `+`, so a value that is not found is tried that way too."""
    if key.name == "Id":
        return records.locate(tx, sobject, value)
    if "+" in value and not tx.find(sobject.name, key.name, value):
        value = value.replace("+", " ")
    return records.locate_by_key(tx, sobject, key, value)


def _upsert(tx: Transaction, call: Call, sobject: SObject, key: Field, value: str) -> Reply:
    update_only = call.flag("updateOnly")
    done = records.upsert(tx, sobject, key, value, call.object_body(), update_only=update_only)
    if done.created:
        reply = created(call, sobject, done.record_id)
        return Reply(201, {**dict(reply.body), "created": True}, reply.headers)  # type: ignore[call-overload]
    if float(call.version) < _SUCCESS_SINCE_46:
        return Reply(204)
    return Reply(200, {"id": done.record_id, "success": True, "errors": [], "created": False})


def _read(tx: Transaction, call: Call, sobject: SObject, values: Values) -> Reply:
    since = _header_time(call, "if-modified-since")
    modified = parse_time(str(values["LastModifiedDate"]))
    if since is not None and modified is not None and modified.replace(microsecond=0) <= since:
        return Reply(304)
    names = [name for name in call.query.get("fields", "").split(",") if name.strip()]
    fields = [_named_field(sobject, name.strip()) for name in names] or None
    return Reply(200, shapes.record(tx, sobject, values, call.base, fields))


def _named_field(sobject: SObject, name: str) -> Field:
    field = sobject.find_field(name)
    if field is None:
        raise errors.no_such_column_in_query(name, sobject.name)
    return field


def _refuse_stale(call: Call, values: Values) -> None:
    """`If-Unmodified-Since`: the only optimistic lock most objects have, precise to the second."""
    since = _header_time(call, "if-unmodified-since")
    modified = parse_time(str(values["LastModifiedDate"]))
    if since is not None and modified is not None and modified.replace(microsecond=0) > since:
        raise errors.precondition_failed()


def _header_time(call: Call, name: str) -> datetime | None:
    text = call.headers.get(name)
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        raise errors.bad_header_date(name) from None


def _changed(tx: Transaction, call: Call, sobject: SObject, *, deleted: bool) -> Reply:
    """Ids changed, or deleted, from `start` up to but not including `end`."""
    start, end = parse_time(call.query.get("start", "")), parse_time(call.query.get("end", ""))
    if start is None or end is None:
        raise errors.bad_header_date("start or end")
    first, last = print_time(start), print_time(end)
    found = [
        values
        for values in tx.changed_since(sobject.name, first)
        if str(values["SystemModstamp"]) < last and values["IsDeleted"] is deleted
    ]
    if not deleted:
        return Reply(200, {"ids": [each["Id"] for each in found], "latestDateCovered": min(last, tx.now)})
    gone = [{"id": each["Id"], "deletedDate": each["SystemModstamp"]} for each in found]
    covered = {"earliestDateAvailable": first, "latestDateCovered": min(last, tx.now)}
    return Reply(200, {"deletedRecords": gone, **covered})
