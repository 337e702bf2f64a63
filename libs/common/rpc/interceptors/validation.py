"""Requests are read and checked against the rules in the contracts, here and nowhere else behind the gateway."""

import json
from collections.abc import Callable, Sequence

import protovalidate
from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from libs.common.errors import Refused, Violation

VIOLATIONS_MAX = 50
IDEMPOTENCY_FIELD = "idempotency_key"


class Reading:
    """Bytes to a valid request; one per server, because the engine keeps compiled rules."""

    def __init__(self) -> None:
        self._validator = Validator()

    def request(self, decode: Callable[[bytes], Message], raw: bytes) -> Message:
        """Refused MALFORMED_BODY, INVALID_FIELD with one violation per broken rule."""
        try:
            message = decode(raw)
        except DecodeError as error:
            raise Refused("MALFORMED_BODY", "the request is not a message of its type") from error
        broken = self._validator.collect_violations(message)
        if broken:
            raise refusal_of([violation_of(entry) for entry in broken[:VIOLATIONS_MAX]])
        return message


def violation_of(broken: protovalidate.Violation) -> Violation:
    """Field path and rule as the contracts name them. The value is left out: it may be personal."""
    proto = broken.proto
    path = field_path(proto.field)
    missing_key = path == IDEMPOTENCY_FIELD and proto.rule_id == "string.min_len"
    reason = "IDEMPOTENCY_KEY_MISSING" if missing_key else "INVALID_FIELD"
    return Violation(path, proto.message or f"breaks the rule {proto.rule_id}", reason, rule=proto.rule_id)


def refusal_of(violations: Sequence[Violation]) -> Refused:
    """A missing key has its own reason, unless something else is wrong as well."""
    reasons = {violation.reason for violation in violations}
    reason = reasons.pop() if len(reasons) == 1 else "INVALID_FIELD"
    return Refused(reason, f"{violations[0].field}: {violations[0].description}", violations=violations)


def field_path(path: protovalidate.FieldPathPb | None) -> str:
    """`order.lines[0].quantity`, `reference_ids["prd_…"]`."""
    elements = path.elements if path is not None else []
    return ".".join(element.field_name + _subscript(element) for element in elements)


def _subscript(element: protovalidate.FieldPathElementPb) -> str:
    if element.subscript is None:
        return ""
    value = element.subscript.value
    return f"[{json.dumps(value) if isinstance(value, str) else str(value).lower()}]"
