"""Describe: open this when a client trips over the metadata of an object or a field."""

from __future__ import annotations

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator.catalog import Field, SObject, objects
from connectors.salesforce.simulator.catalog.fields import NUMBER_TYPES, TEXT_TYPES
from connectors.salesforce.simulator.org import Transaction

from .calls import Call, Reply

_RECENT_MAX = 5
_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}


def everything(call: Call) -> Reply:
    listed = [_object(call, sobject) for sobject in objects().values()]
    return Reply(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def basics(tx: Transaction, call: Call, sobject: SObject) -> Reply:
    """The object's description and the records changed last."""
    live = [values for values in tx.scan(sobject.name) if not values["IsDeleted"]]
    live.sort(key=lambda values: str(values["LastModifiedDate"]), reverse=True)
    recent = []
    for values in live[:_RECENT_MAX]:
        url = f"{call.base}sobjects/{sobject.name}/{values['Id']}"
        recent.append(
            {"attributes": {"type": sobject.name, "url": url}, "Id": values["Id"], "Name": values.get("Name")}
        )
    return Reply(200, {"objectDescribe": _object(call, sobject), "recentItems": recent})


def one(call: Call, sobject: SObject) -> Reply:
    body = _object(call, sobject) | {
        "fields": [_field(field) for field in sobject.fields.values()],
        "childRelationships": _children(sobject),
        "recordTypeInfos": [],
        "supportedScopes": [{"label": f"All {sobject.plural.lower()}", "name": "everything"}],
    }
    return Reply(200, body)


def _object(call: Call, sobject: SObject) -> JsonObject:
    url = f"{call.base}sobjects/{sobject.name}"
    writable = not sobject.read_only
    return {
        "name": sobject.name,
        "label": _label(sobject.name),
        "labelPlural": sobject.plural,
        "keyPrefix": sobject.key_prefix,
        "custom": sobject.custom,
        "createable": writable,
        "updateable": writable,
        "deletable": writable,
        "undeletable": writable,
        "queryable": True,
        "retrieveable": True,
        "replicateable": True,
        "searchable": True,
        "layoutable": True,
        "triggerable": writable,
        "mergeable": False,
        "feedEnabled": False,
        "activateable": False,
        "customSetting": False,
        "deprecatedAndHidden": False,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def _label(name: str) -> str:
    return name.removesuffix("__c").removesuffix("2").replace("_", " ")


def _children(sobject: SObject) -> list[JsonObject]:
    return [
        {
            "childSObject": child.name,
            "field": field.name,
            "relationshipName": field.children or None,
            "cascadeDelete": False,
            "restrictedDelete": False,
            "deprecatedAndHidden": False,
        }
        for child in objects().values()
        for field in child.fields.values()
        if field.refers_to == sobject.name
    ]


def _field(field: Field) -> JsonObject:
    number = field.type in NUMBER_TYPES or field.type == "int"
    text = field.type in TEXT_TYPES
    reference = bool(field.refers_to)
    length = field.length if text else 18 if reference or field.type == "id" else 0
    return {
        "name": field.name,
        "label": field.label or _label(field.name),
        "type": field.type,
        "soapType": _SOAP_TYPES.get(field.type, "xsd:double" if number else "xsd:string"),
        "length": length,
        "byteLength": length * 3 if text else length,
        "precision": field.precision if number and field.type != "int" else 0,
        "scale": field.scale if number and field.type != "int" else 0,
        "digits": field.precision if field.type == "int" else 0,
        "createable": field.createable,
        "updateable": field.updateable,
        "nillable": field.nillable,
        "defaultedOnCreate": field.default is not None or field.name == "OwnerId" or field.type == "id",
        "defaultValue": field.default,
        "custom": field.custom,
        "externalId": field.external_id,
        "unique": field.unique,
        "idLookup": field.external_id or field.type == "id",
        "nameField": field.name == "Name",
        "autoNumber": bool(field.auto_number),
        "calculated": field.computed and field.type != "address",
        "calculatedFormula": None,
        "defaultValueFormula": None,
        "caseSensitive": False,
        "filterable": field.type not in ("textarea", "address"),
        "sortable": field.type not in ("textarea", "address"),
        "groupable": not number and field.type not in ("textarea", "address", "datetime"),
        "picklistValues": [
            {
                "active": True,
                "defaultValue": value == field.default,
                "label": value,
                "validFor": None,
                "value": value,
            }
            for value in field.values
        ],
        "restrictedPicklist": field.restricted,
        "dependentPicklist": False,
        "controllerName": None,
        "referenceTo": [field.refers_to] if reference else [],
        "relationshipName": field.relationship or None,
        "relationshipOrder": None,
        "namePointing": False,
        "htmlFormatted": False,
        "deprecatedAndHidden": False,
        "inlineHelpText": None,
        "writeRequiresMasterRead": False,
    }
