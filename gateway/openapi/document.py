"""The OpenAPI 3.1 document, put together. Open this file to change what stands around the operations."""

from collections.abc import Iterable
from importlib.metadata import version

from gateway.fields import JsonValue
from gateway.openapi.comments import Comments
from gateway.openapi.own import OWN_SCHEMAS, add_own
from gateway.openapi.parts import (
    BEARER,
    PROBLEM_SCHEMAS,
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    problem_responses,
)
from gateway.openapi.paths import SUBMIT, Paths, response, security
from gateway.openapi.schemas import Schema, Schemas
from gateway.rules import Rule

DESCRIPTION = (
    "Keeps Salesforce and an ERP telling the same story about customers, products, orders and invoices."
    " Every write carries a key and may be repeated; every refusal says whose move it is."
)


def document(rules: Iterable[Rule], comments: Comments, public_url: str) -> Schema:
    """Everything public, in the order of the contracts."""
    schemas = Schemas(comments)
    paths = Paths(schemas)
    rules = tuple(rules)
    for rule in rules:
        paths.add(rule)
    submit = next(rule for rule in rules if rule.name == SUBMIT)
    add_own(
        paths,
        response(
            schemas.reference(submit.desc.output),
            "The accepted order.",
            ("ETag", "Location", "IdempotentReplayed", "PreferenceApplied"),
        ),
    )
    described: dict[str, JsonValue] = {**schemas.components, **PROBLEM_SCHEMAS, **OWN_SCHEMAS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ordermesh",
            "version": version("ordermesh"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{BEARER: []}],
        "paths": dict(paths.paths),
        "components": {
            "schemas": dict(sorted(described.items())),
            "parameters": dict(REQUEST_HEADERS),
            "headers": dict(RESPONSE_HEADERS),
            "responses": dict(problem_responses()),
            "securitySchemes": dict(security()),
        },
    }
