"""/composite/tree: parents with their children in one call, all or nothing."""

from __future__ import annotations

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors, records
from connectors.salesforce.simulator.catalog import SObject, child_relationship, find_object
from connectors.salesforce.simulator.org import Transaction
from connectors.salesforce.simulator.rest.calls import Call, Reply, objects_in

RECORDS_MAX = 200
LEVELS_MAX = 5


class _Culprit(Exception):
    """The record that spoiled the tree."""

    def __init__(self, reference: object, error: errors.SalesforceError) -> None:
        super().__init__()
        self.reference = reference
        self.error = error


def answer(tx: Transaction, call: Call) -> Reply:
    """201 with every id, or 400 that names only the culprit and nothing written."""
    sobject = find_object(call.segments[2])
    if sobject is None:
        raise errors.resource_not_found()
    results: list[JsonObject] = []
    try:
        with tx.savepoint():
            for given in objects_in(call.object_body().get("records"), "records"):
                _plant(tx, sobject, given, {}, results, level=1)
    except _Culprit as culprit:
        failure: JsonObject = {"referenceId": culprit.reference, "errors": [culprit.error.item()]}
        return Reply(400, {"hasErrors": True, "results": [failure]})
    return Reply(201, {"hasErrors": False, "results": results})


def _plant(
    tx: Transaction,
    sobject: SObject,
    given: JsonObject,
    parent: JsonObject,
    results: list[JsonObject],
    *,
    level: int,
) -> None:
    """Creates one record and then its children. parent: the reference to the record above."""
    attributes = given.get("attributes")
    reference = attributes.get("referenceId") if isinstance(attributes, dict) else None
    own = {name: value for name, value in given.items() if child_relationship(sobject.name, name) is None}
    try:
        if len(results) >= RECORDS_MAX or level > LEVELS_MAX:
            raise errors.too_many("records or levels in a tree", RECORDS_MAX)
        record_id = records.create(tx, sobject, {**own, **parent})
    except errors.SalesforceError as error:
        raise _Culprit(reference, error) from error
    results.append({"referenceId": reference, "id": record_id})
    for name, value in given.items():
        found = child_relationship(sobject.name, name)
        if found is None or not isinstance(value, dict):
            continue
        child, field = found
        for each in objects_in(value.get("records"), name):
            _plant(tx, child, each, {field.name: record_id}, results, level=level + 1)
