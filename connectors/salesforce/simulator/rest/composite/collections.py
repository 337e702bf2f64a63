"""/composite/sobjects: up to 200 records in one call. Open this for partial success and all-or-none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias, cast

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors, records, shapes
from connectors.salesforce.simulator.catalog import Field, SObject, find_object, objects
from connectors.salesforce.simulator.ids import to_id18
from connectors.salesforce.simulator.org import Transaction
from connectors.salesforce.simulator.rest.calls import Call, Reply, objects_in
from connectors.salesforce.simulator.rest.sobjects import key_field

RECORDS_MAX = 200
RETRIEVED_MAX = 2_000
CHUNKS_MAX = 10  # Runs of consecutive records of one type.

One: TypeAlias = Callable[
    [], JsonObject
]  # Does one record's work and gives its result; raises SalesforceError.


def answer(tx: Transaction, call: Call) -> Reply:
    below = call.segments[2:]
    if not below:
        return _many(tx, call)
    sobject = find_object(below[0])
    if sobject is None:
        raise errors.resource_not_found()
    if len(below) == 2 and call.method == "PATCH":
        return _upsert(tx, call, sobject, below[1])
    if len(below) == 1 and call.method in ("GET", "POST"):
        return _retrieve(tx, call, sobject)
    raise errors.method_not_allowed(call.method, "GET,POST,PATCH")


def _many(tx: Transaction, call: Call) -> Reply:
    if call.method == "DELETE":
        ids = [each for each in call.query.get("ids", "").split(",") if each]
        _at_most(ids)
        works: list[One] = [lambda each=each: _delete(tx, each) for each in ids]  # type: ignore[misc]
        return Reply(200, _each(tx, works, all_or_none=call.flag("allOrNone")))
    if call.method not in ("POST", "PATCH"):
        raise errors.method_not_allowed(call.method, "POST,PATCH,DELETE")
    given, all_or_none = _records(call)
    act = _create if call.method == "POST" else _update
    works = [lambda each=each: act(tx, each) for each in given]  # type: ignore[misc]
    return Reply(200, _each(tx, works, all_or_none=all_or_none))


def _upsert(tx: Transaction, call: Call, sobject: SObject, key_name: str) -> Reply:
    key = key_field(sobject, key_name)
    given, all_or_none = _records(call)
    times = Counter(str(_pop_key(dict(each), key)) for each in given)
    works: list[One] = [lambda each=each: _upsert_one(tx, sobject, key, each, times) for each in given]  # type: ignore[misc]
    return Reply(200, _each(tx, works, all_or_none=all_or_none))


def _records(call: Call) -> tuple[list[JsonObject], bool]:
    body = call.object_body()
    given = objects_in(body.get("records"), "records")
    _at_most(given)
    types = [_type_name(each) for each in given]
    if sum(before != after for before, after in pairwise(types)) >= CHUNKS_MAX:
        raise errors.too_many("chunks of one type", CHUNKS_MAX)
    return given, body.get("allOrNone") is True


def _at_most(given: Sequence[object]) -> None:
    if len(given) > RECORDS_MAX:
        raise errors.too_many("records", RECORDS_MAX)


def _each(tx: Transaction, works: list[One], *, all_or_none: bool) -> list[JsonObject]:
    """The results in request order. With all_or_none one failure undoes the others, which say so."""
    results: list[JsonObject] = []
    try:
        with tx.savepoint():
            for work in works:
                try:
                    with tx.savepoint():
                        results.append(work())
                except errors.SalesforceError as error:
                    results.append({"success": False, "errors": [error.item()]})
            if all_or_none and not all(result["success"] for result in results):
                raise errors.rolled_back_with_others()
    except errors.SalesforceError as undone:
        blameless: JsonObject = {"success": False, "errors": [undone.item()]}
        return [blameless if result["success"] else result for result in results]
    return results


def _success(record_id: str) -> JsonObject:
    return {"id": record_id, "success": True, "errors": []}


def _create(tx: Transaction, given: JsonObject) -> JsonObject:
    return _success(records.create(tx, _type(given), given))


def _update(tx: Transaction, given: JsonObject) -> JsonObject:
    record_id = str(next((value for name, value in given.items() if name.lower() == "id"), ""))
    if not record_id:
        raise errors.id_required()
    records.update(tx, _type(given), record_id, given)
    return _success(str(to_id18(record_id)))


def _delete(tx: Transaction, record_id: str) -> JsonObject:
    sobject = next((each for each in objects().values() if record_id.startswith(each.key_prefix)), None)
    if sobject is None:
        raise errors.malformed_id("id", record_id)
    records.delete(tx, sobject, record_id)
    return _success(str(to_id18(record_id)))


def _upsert_one(
    tx: Transaction, sobject: SObject, key: Field, given: JsonObject, times: Counter[str]
) -> JsonObject:
    body = {name: value for name, value in given.items() if name.lower() not in ("attributes", "id")}
    value = str(_pop_key(body, key))
    if times[value] > 1:
        raise errors.duplicate_external_id(key.name, value)
    done = records.upsert(tx, sobject, key, value, body)
    return {**_success(done.record_id), "created": done.created}


def _pop_key(body: JsonObject, key: Field) -> object:
    for name in list(body):
        if name.lower() == key.name.lower():
            return body.pop(name)
    raise errors.required_missing([key.name])


def _type_name(given: JsonObject) -> str:
    attributes = given.get("attributes")
    return str(attributes.get("type", "")) if isinstance(attributes, dict) else ""


def _type(given: JsonObject) -> SObject:
    sobject = find_object(_type_name(given))
    if sobject is None:
        raise errors.invalid_type(_type_name(given))
    return sobject


def _retrieve(tx: Transaction, call: Call, sobject: SObject) -> Reply:
    """Records by id, in the order asked for; null for one that is missing."""
    if call.method == "POST":
        body = call.object_body()
        ids, names = cast(list[str], body.get("ids", [])), cast(list[str], body.get("fields", []))
    else:
        ids, names = call.query.get("ids", "").split(","), call.query.get("fields", "").split(",")
    if len(ids) > RETRIEVED_MAX:
        raise errors.too_many("ids", RETRIEVED_MAX)
    fields = [field for name in names if (field := sobject.find_field(name))]
    found = [tx.live(sobject.name, to_id18(record_id)) for record_id in ids]
    shaped = [values and shapes.record(tx, sobject, values, call.base, fields) for values in found]
    return Reply(200, shaped)
