"""What a delivery carries, as people read and edit it. Open this file to learn what an edited payload must keep.

Only types that this process has compiled in are known; the bytes of any other are shown to nobody.
"""

from functools import cache

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from libs.common.errors import Refused, Violation
from libs.common.masking import masked_json, unmasked
from libs.common.rpc.interceptors.validation import refusal_of, violation_of

NESTING_MAX = 32
"""Levels of JSON that are read."""


def message_of(type_name: str, data: bytes) -> Message | None:
    """The message, or None for a type that is not known here."""
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(type_name)
        return message_factory.GetMessageClass(descriptor).FromString(data)
    except (KeyError, DecodeError):
        return None


def same_type_in(message: Message, wanted: Message) -> Message | None:
    """The part of an event that is of the same type as `wanted`."""
    for _, value in message.ListFields():
        if isinstance(value, Message) and value.DESCRIPTOR.full_name == wanted.DESCRIPTOR.full_name:
            return value
    return None


def masked_payload(type_name: str, data: bytes) -> str:
    """JSON with sensitive values masked; empty for a type that is not known here."""
    message = message_of(type_name, data)
    return masked_json(message) if message is not None else ""


def clear_payload(type_name: str, data: bytes) -> str:
    """JSON with every value in the clear; empty for a type that is not known here."""
    message = message_of(type_name, data)
    if message is None:
        return ""
    text: str = json_format.MessageToJson(message, preserving_proto_field_name=False, indent=2)
    return text


def parse_payload(type_name: str, text: str, original: bytes) -> Message:
    """An edited payload, complete: what the caller saw masked and left so is the original's.

    Refused with NOT_SUPPORTED for a type that is not known, MALFORMED_BODY, INVALID_FIELD.
    """
    known = message_of(type_name, original)
    if known is None:
        raise Refused("NOT_SUPPORTED", f"{type_name} cannot be edited")
    edited = type(known)()
    try:
        json_format.Parse(text, edited, max_recursion_depth=NESTING_MAX)
    except (json_format.ParseError, RecursionError, UnicodeError) as error:
        said = str(error)[:200]
        raise Refused(
            "MALFORMED_BODY", said, violations=[Violation("payload", said, "MALFORMED_BODY")]
        ) from error
    unmasked(edited, known)
    broken = _validator().collect_violations(edited)
    if broken:
        raise refusal_of([violation_of(each) for each in broken[:50]])
    return edited


@cache
def _validator() -> Validator:
    return Validator()
