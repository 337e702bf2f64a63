"""Creating, changing, upserting and deleting one record: open this to see what a write is checked for, in which order.

Every function works inside the caller's transaction and raises SalesforceError as the org words it.
"""

from __future__ import annotations

from typing import NamedTuple

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator.ids import to_id18

from . import errors, rules
from .catalog import Field, SObject, find_object
from .catalog.fields import Values
from .org import Transaction
from .values import to_stored


class Upserted(NamedTuple):
    record_id: str
    created: bool


def create(tx: Transaction, sobject: SObject, body: JsonObject) -> str:
    """The new record's id."""
    if sobject.read_only:
        raise errors.not_allowed(sobject.name, "create")
    given = _given(tx, sobject, body, creating=True)
    record_id = tx.next_id(sobject)
    values: Values = {name: field.default for name, field in sobject.fields.items() if not field.computed}
    values |= given
    values |= {
        "Id": record_id,
        "CreatedDate": tx.now,
        "CreatedById": tx.session.user_id,
    }
    if "OwnerId" in values:
        values["OwnerId"] = values["OwnerId"] or tx.session.user_id
    missing = [f.name for f in sobject.fields.values() if f.required and values.get(f.name) is None]
    if missing:
        raise errors.required_missing(missing)
    _check_references(tx, sobject, given)
    _check_unique(tx, sobject, values, set(given))
    for rule in rules.WHEN_CREATED.get(sobject.name, ()):
        rule(tx, values)
    for field in sobject.fields.values():
        if field.auto_number:
            values[field.name] = tx.next_number(sobject, field)
    _save(tx, sobject, values)
    return record_id


def update(tx: Transaction, sobject: SObject, record_id: str, body: JsonObject) -> None:
    if sobject.read_only:
        raise errors.not_allowed(sobject.name, "update")
    old = locate(tx, sobject, record_id)
    given = _given(tx, sobject, body, creating=False)
    new: Values = {**old, **given}
    changed = rules.changed_names(old, new)
    emptied = sorted(name for name in changed if sobject.fields[name].required and new[name] is None)
    if emptied:
        raise errors.required_missing(emptied)
    _check_references(tx, sobject, {name: new[name] for name in changed})
    _check_unique(tx, sobject, new, changed)
    for rule in rules.WHEN_CHANGED.get(sobject.name, ()):
        rule(tx, old, new, changed)
    _save(tx, sobject, new)


def would_change(tx: Transaction, sobject: SObject, record_id: str, body: JsonObject) -> bool:
    """Whether an update with this body would alter anything."""
    old = locate(tx, sobject, record_id)
    return bool(rules.changed_names(old, {**old, **_given(tx, sobject, body, creating=False)}))


def upsert(
    tx: Transaction,
    sobject: SObject,
    key: Field,
    value: str,
    body: JsonObject,
    *,
    update_only: bool = False,
) -> Upserted:
    """Changes the one record with this key or creates it; several matches write nothing (status 300)."""
    if any(name.lower() in ("id", key.name.lower()) for name in body):
        raise errors.key_in_upsert_body(key.name)
    if key.name == "Id":
        update(tx, sobject, value, body)
        return Upserted(str(to_id18(value)), created=False)
    found = tx.find(sobject.name, key.name, value)
    if len(found) > 1:
        raise errors.SeveralMatch(sobject.name, [str(each["Id"]) for each in found])
    if found:
        record_id = str(found[0]["Id"])
        update(tx, sobject, record_id, body)
        return Upserted(record_id, created=False)
    if update_only:
        raise errors.key_not_found(value)
    return Upserted(create(tx, sobject, {**body, key.name: value}), created=True)


def delete(tx: Transaction, sobject: SObject, record_id: str) -> None:
    """Moves the record, and what belongs to it, to the recycle bin."""
    if sobject.read_only:
        raise errors.not_allowed(sobject.name, "delete")
    values = locate(tx, sobject, record_id)
    for rule in rules.WHEN_DELETED.get(sobject.name, ()):
        rule(tx, values)
    for child_name, field in rules.DELETED_ALONG.get(sobject.name, ()):
        child = find_object(child_name)
        assert child is not None
        for each in tx.find(child_name, field, str(values["Id"])):
            _save(tx, child, {**each, "IsDeleted": True})
    _save(tx, sobject, {**values, "IsDeleted": True})


def locate(tx: Transaction, sobject: SObject, record_id: str) -> Values:
    """The live record behind an id from a URL or a collection."""
    id18 = to_id18(record_id)
    values = tx.get(sobject.name, id18) if id18 else None
    if values is None:
        raise errors.key_not_found(record_id)
    if values["IsDeleted"]:
        raise errors.entity_is_deleted()
    return values


def locate_by_key(tx: Transaction, sobject: SObject, key: Field, value: str) -> Values:
    """The one live record with this key."""
    found = tx.find(sobject.name, key.name, value)
    if len(found) > 1:
        raise errors.SeveralMatch(sobject.name, [str(each["Id"]) for each in found])
    if not found:
        raise errors.key_not_found(value)
    return found[0]


# the body


def _given(tx: Transaction, sobject: SObject, body: JsonObject, *, creating: bool) -> Values:
    """The fields the caller sent, in stored form; parents named by external id are resolved."""
    given: Values = {}
    for name, value in body.items():
        if name.lower() in ("attributes", "id"):
            continue
        if isinstance(value, dict):
            reference = sobject.find_relationship(name)
            if reference is None:
                raise errors.no_such_column(name, sobject.name)
            given[reference.name] = _parent_id(tx, sobject, reference, value)
            continue
        field = sobject.find_field(name)
        if field is None:
            raise errors.no_such_column(name, sobject.name)
        if not (field.createable if creating else field.updateable):
            raise errors.not_writable(field.name)
        given[field.name] = to_stored(field, value)
    return given


def _parent_id(tx: Transaction, sobject: SObject, reference: Field, named: JsonObject) -> str:
    """The parent meant by `{"ERP_Key__c": "…"}`: exactly one external id of the parent's object."""
    parent = find_object(reference.refers_to)
    assert parent is not None
    pairs = [(name, value) for name, value in named.items() if name.lower() != "attributes"]
    key = parent.find_field(pairs[0][0]) if len(pairs) == 1 else None
    if key is None or not (key.external_id or key.name == "Id"):
        raise errors.no_such_column(reference.relationship, sobject.name)
    value = str(pairs[0][1])
    if key.name == "Id":
        return str(to_stored(reference, value))
    found = tx.find(parent.name, key.name, value)
    if len(found) != 1:
        raise errors.foreign_key_not_found(key.name, value, parent.name)
    return str(found[0]["Id"])


# checks


def _check_references(tx: Transaction, sobject: SObject, given: Values) -> None:
    for name, value in given.items():
        field = sobject.fields[name]
        if not field.refers_to or value is None:
            continue
        parent = find_object(field.refers_to)
        assert parent is not None
        if not str(value).startswith(parent.key_prefix):
            raise errors.malformed_id(name, str(value))
        if tx.live(parent.name, value) is None:
            raise errors.invalid_cross_reference(name)


def _check_unique(tx: Transaction, sobject: SObject, values: Values, changed: set[str]) -> None:
    for field in sobject.fields.values():
        value = values.get(field.name)
        if not field.unique or field.name not in changed or not isinstance(value, str):
            continue
        for other in tx.find(sobject.name, field.name, value):
            if other["Id"] != values["Id"]:
                raise errors.duplicate_value(field.name, str(other["Id"]))


def _save(tx: Transaction, sobject: SObject, values: Values) -> None:
    tx.lock(sobject, str(values["Id"]))
    values |= {
        "LastModifiedDate": tx.now,
        "LastModifiedById": tx.session.user_id,
        "SystemModstamp": tx.now,
    }
    tx.put(sobject, values)
    touched = rules.PARENT_TOUCHED.get(sobject.name)
    if touched is not None:
        parent = find_object(touched[0])
        record = tx.live(touched[0], values[touched[1]])
        if parent is not None and record is not None:
            tx.put(parent, {**record, "SystemModstamp": tx.now, "LastModifiedDate": tx.now})
