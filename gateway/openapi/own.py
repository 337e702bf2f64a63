"""Operations that no contract declares: systems, payloads, health. Open this file when one of them changes."""

from gateway.fields import JsonValue
from gateway.openapi.parts import COMMON_PROBLEMS, parameter_reference, problem_references
from gateway.openapi.paths import Paths, response, submitted
from gateway.openapi.schemas import SCHEMAS, Schema

_TEXT: Schema = {"type": "string"}

OWN_SCHEMAS: dict[str, Schema] = {
    "System": {
        "type": "object",
        "title": "System",
        "description": "An outside system.",
        "required": ["system", "role", "reachable"],
        "properties": {
            "system": {**_TEXT, "description": "Its name, for example `netsuite`."},
            "role": {**_TEXT, "description": "What it is.", "enum": ["erp", "crm"]},
            "reachable": {"type": "boolean", "description": "True when its connector serves."},
            "simulator": {**_TEXT, "description": "Address of its simulator. Only in development."},
        },
    },
    "ListSystemsResponse": {
        "type": "object",
        "title": "ListSystemsResponse",
        "description": "The systems of the tenant.",
        "required": ["systems"],
        "properties": {
            "systems": {
                "type": "array",
                "description": "In order of name.",
                "items": {"$ref": SCHEMAS + "System"},
            }
        },
    },
    "OwnedField": {
        "type": "object",
        "title": "OwnedField",
        "description": "A field of a record, or of one of its parts.",
        "required": ["path", "jsonPath", "owner", "updaters", "policy"],
        "properties": {
            "path": {**_TEXT, "description": "As the contract names it, for example `lines[].unit_price`."},
            "jsonPath": {**_TEXT, "description": "As REST names it, for example `lines[].unitPrice`."},
            "owner": {**_TEXT, "description": "Whose value counts.", "enum": ["erp", "crm", "mesh"]},
            "updaters": {
                "type": "array",
                "description": "Whose values are taken, the owner first.",
                "items": _TEXT,
            },
            "policy": {
                **_TEXT,
                "description": "What happens to a write by anybody else.",
                "enum": ["refuse", "drop", "propose"],
            },
        },
    },
    "ResourceOwnership": {
        "type": "object",
        "title": "ResourceOwnership",
        "description": "Who owns the fields of one kind of record.",
        "required": ["resource", "owner", "syncCadenceSeconds", "fields"],
        "properties": {
            "resource": {**_TEXT, "description": "The kind, for example `Customer`."},
            "owner": {**_TEXT, "description": "System of record.", "enum": ["erp", "crm", "mesh"]},
            "syncCadenceSeconds": {
                "type": "integer",
                "description": "Longest planned time between two readings of the owner's changes.",
            },
            "fields": {
                "type": "array",
                "description": "In the order of the contract.",
                "items": {"$ref": SCHEMAS + "OwnedField"},
            },
        },
    },
    "GetOwnershipResponse": {
        "type": "object",
        "title": "GetOwnershipResponse",
        "description": "Who owns which field.",
        "required": ["resources"],
        "properties": {
            "resources": {
                "type": "array",
                "description": "One for each kind of record.",
                "items": {"$ref": SCHEMAS + "ResourceOwnership"},
            }
        },
    },
    "Health": {
        "type": "object",
        "title": "Health",
        "description": "Whether the gateway serves.",
        "required": ["status"],
        "properties": {
            "status": {**_TEXT, "description": "`live`, `ready`, `not ready`, `draining`."},
            "services": {
                "type": "object",
                "description": "Each service: SERVING, NOT_SERVING, UNREACHABLE.",
                "additionalProperties": _TEXT,
            },
            "systems": {
                "type": "object",
                "description": "Each connector: SERVING, NOT_SERVING, UNREACHABLE.",
                "additionalProperties": _TEXT,
            },
        },
    },
    "NativePayload": {
        "type": "object",
        "title": "NativePayload",
        "description": "A record in the vendor's own shape.",
    },
}


def add_own(paths: Paths, submitted_answer: Schema) -> None:
    """submitted_answer: the answer of SubmitOrder, which a payload's answer is too."""
    paths.add_operation("GET", "/v1/systems", _list_systems())
    paths.add_operation("GET", "/v1/ownership", _get_ownership())
    paths.add_operation("POST", "/v1/systems/{system}/inbound", _inbound(submitted_answer))
    paths.add_operation("GET", "/health/live", _health("getLiveness", "Tells that the process runs."))
    ready = _health("getReadiness", "Tells whether everything behind the gateway serves.")
    ready["responses"] = {**_responses_of(ready), "503": _health_answer("Not ready, or about to stop.")}
    paths.add_operation("GET", "/health/ready", ready)


def _list_systems() -> Schema:
    answered = response({"$ref": SCHEMAS + "ListSystemsResponse"}, "The systems of the tenant.", ())
    return {
        "operationId": "listSystems",
        "summary": "Lists the outside systems of the tenant",
        "description": "Lists the outside systems of the tenant with role and reachability.",
        "tags": ["systems"],
        "parameters": [parameter_reference("CorrelationId"), parameter_reference("Traceparent")],
        "responses": {"200": answered, **problem_references(*COMMON_PROBLEMS)},
    }


def _get_ownership() -> Schema:
    answered = response({"$ref": SCHEMAS + "GetOwnershipResponse"}, "Who owns which field.", ())
    listed = _list_systems()
    return {
        **listed,
        "operationId": "getOwnership",
        "summary": "Tells who owns which field",
        "description": "Tells who owns which field, who else may change it, and what happens to others' writes.",
        "tags": ["ownership"],
        "responses": {**_responses_of(listed), "200": answered},
    }


def _inbound(submitted_answer: Schema) -> Schema:
    native: JsonValue = {"schema": {"$ref": SCHEMAS + "NativePayload"}}
    return {
        "operationId": "submitNativePayload",
        "summary": "Takes a record in the vendor's own shape",
        "description": (
            "Takes a record in the vendor's own shape and carries out what it stands for, as SubmitOrder would."
            " Refused with SYSTEM_UNKNOWN, PAYLOAD_UNTRANSLATABLE and everything SubmitOrder refuses."
        ),
        "tags": ["systems"],
        "parameters": [
            {
                "name": "system",
                "in": "path",
                "required": True,
                "description": "Name of the system, for example `salesforce`.",
                "schema": _TEXT,
            },
            {
                "name": "nativeType",
                "in": "query",
                "description": "Type of the payload, where it does not say so itself, for example `Order`.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 100},
            },
            *map(parameter_reference, ("OptionalIdempotencyKey", "Prefer", "CorrelationId", "Traceparent")),
        ],
        "requestBody": {"required": True, "content": {"application/json": native}},
        "responses": {
            **submitted(submitted_answer),
            **problem_references(*COMMON_PROBLEMS, 404, 409, 413, 415, 422, 501),
        },
    }


def _health(operation_id: str, description: str) -> Schema:
    return {
        "operationId": operation_id,
        "summary": description.rstrip("."),
        "description": description,
        "tags": ["health"],
        "security": [],
        "responses": {"200": _health_answer(description)},
    }


def _health_answer(description: str) -> Schema:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": SCHEMAS + "Health"}}},
    }


def _responses_of(operation: Schema) -> Schema:
    responses = operation["responses"]
    assert isinstance(responses, dict)
    return responses
