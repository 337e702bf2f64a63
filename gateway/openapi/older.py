"""The same document in OpenAPI 3.0.3, cut to what importers such as Salesforce External Services read.

Open this file when an importer stumbles. What goes: response headers, keywords beside `$ref`, problem+json as a media
type of its own (the body is the same), and the words JSON Schema got after 2017.
"""

from collections.abc import Mapping

from gateway.fields import JsonValue
from gateway.openapi.schemas import Schema

DESCRIPTION_CHARACTERS_MAX = 1333
"""External Services cuts longer ones off."""
_DROPPED = frozenset({"maxProperties", "minProperties", "x-roles"})


def in_3_0(document: Schema) -> Schema:
    """A copy; the document stays as it is."""
    older = _object(document, in_names=False)
    older["openapi"] = "3.0.3"
    info, components = older["info"], older["components"]
    assert isinstance(info, dict)
    assert isinstance(components, dict)
    info["license"] = {"name": "Apache-2.0"}
    components.pop("headers")
    return older


def _value(value: JsonValue, *, in_names: bool = False) -> JsonValue:
    if isinstance(value, dict):
        return _object(value, in_names=in_names)
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    return value


def _object(stated: Mapping[str, JsonValue], *, in_names: bool) -> Schema:
    """in_names: the keys are names of ours, such as properties, and no keywords."""
    if in_names:
        return {name: _value(inner) for name, inner in stated.items()}
    if "$ref" in stated:
        return {"$ref": stated["$ref"]}
    older: Schema = {}
    for word, inner in stated.items():
        if (
            word in _DROPPED
            or (word, inner) == ("additionalProperties", False)
            or (word == "headers" and "description" in stated)
        ):
            continue
        names = word in ("properties", "schemas", "responses", "paths", "parameters") and isinstance(
            inner, dict
        )
        older[word] = _value(inner, in_names=names)
    _rename(older)
    return older


def _rename(older: Schema) -> None:
    """Words that 3.0 spells otherwise."""
    if older.pop("contentEncoding", None) is not None:
        older["format"] = "byte"
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = older.get(word)
        if isinstance(value, int | float) and not isinstance(value, bool):
            older[bound], older[word] = value, True
    content = older.get("content")
    if isinstance(content, dict) and "application/problem+json" in content:
        older["content"] = {"application/json": content["application/problem+json"]}
    description = older.get("description")
    if isinstance(description, str):
        older["description"] = description[:DESCRIPTION_CHARACTERS_MAX]
