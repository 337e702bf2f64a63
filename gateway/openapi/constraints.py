"""Rules of the contracts as JSON Schema keywords. Open this file when a rule does not show up in the document.

Rules that JSON Schema has no word for (spans, CEL) stay in the field's comment.
"""

from collections.abc import Mapping

from jsonpb.buf.validate import validate_pb
from jsonpb.google.api import field_behavior_pb
from protobuf import DescField, Message

from gateway.fields import JsonValue, oneof_of

Keywords = dict[str, JsonValue]

_WORDS: Mapping[str, str] = {
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "gte": "minimum",
    "lte": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique": "uniqueItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
}


def rules_of(field: DescField) -> validate_pb.FieldRules | None:
    """What `buf.validate` declares on a field."""
    options = field.proto.options
    if options is None or validate_pb.ext_field not in options:
        return None
    return options[validate_pb.ext_field]


def keywords_of(rules: validate_pb.FieldRules | None) -> Keywords:
    """Keywords for the value itself, or for the list as a whole."""
    if rules is None or rules.type is None or not isinstance(rules.type.value, Message):
        return {}
    stated = rules.type.value
    if rules.type.field == "duration":
        return {}
    found: Keywords = {}
    for declared in stated:
        value = stated[declared]
        if declared.name in _WORDS and isinstance(value, str | int | float):
            found[_WORDS[declared.name]] = value
    return found


def item_rules_of(rules: validate_pb.FieldRules | None) -> validate_pb.FieldRules | None:
    """Rules for each element of a list."""
    if rules is None or rules.type is None or not isinstance(rules.type.value, validate_pb.RepeatedRules):
        return None
    return rules.type.value.items


def is_required(field: DescField) -> bool:
    """True when a request without the field is refused: the contract says so, or empty text breaks a rule."""
    if oneof_of(field) is not None or field.proto.proto3_optional:
        return False
    rules = rules_of(field)
    if rules is not None and rules.required:
        return True
    keywords = keywords_of(rules)
    if keywords.get("minLength") or keywords.get("minItems"):
        return True
    return _behaves(field, field_behavior_pb.FieldBehavior.REQUIRED)


def is_output_only(field: DescField) -> bool:
    """True for what the mesh or the ERP states and callers may not."""
    return _behaves(field, field_behavior_pb.FieldBehavior.OUTPUT_ONLY)


def is_deprecated(field: DescField) -> bool:
    """True for what callers should no longer send or look at."""
    options = field.proto.options
    return options is not None and options.deprecated


def _behaves(field: DescField, behaviour: field_behavior_pb.FieldBehavior) -> bool:
    options = field.proto.options
    if options is None or field_behavior_pb.ext_field_behavior not in options:
        return False
    return behaviour in options[field_behavior_pb.ext_field_behavior]
