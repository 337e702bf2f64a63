"""JSON to a request and an answer to JSON. Open this file to see what is checked on the way in, and how cheaply.

A body is parsed once, by the compiled protobuf-py: it refuses unknown fields, wrong types, NaN and broken text. What it
would let pass, or cannot bear, is told by looking at bytes:

    too deep, too many keys              `shape.py`, before the parser sees the text
    a field named twice, a oneof twice   `repeats.py`, by counting colons; if in doubt: look closer
    NUL                                  the text holds `\\u0000`: look closer
    `1_000` for an integer               the parser takes Python's notation: look closer
    `9007199254740993.0`, `1e-400`       the parser reads an integer with a fraction or an exponent as a float, which
                                         rounds it to a number that nobody has stated: look closer

"Look closer" and every refusal go through `diagnosis.py`, which is slow, exact and knows the place.
"""

import json
import re
from collections.abc import Mapping
from functools import cache

from protobuf import DescFieldValueList, DescMessage, Message, message_to_json_value
from protovalidate import Validator

from gateway.diagnosis import diagnose, faults_in, refusal_of_faults
from gateway.limits import Limits
from gateway.parameters import fill_from_path, fill_from_query, fill_once
from gateway.repeats import may_repeat
from gateway.rules import ETAG_FIELD, KEY_FIELD, WHOLE_BODY, Rule
from gateway.shape import check_shape
from libs.common.rpc.interceptors.validation import VIOLATIONS_MAX, refusal_of, violation_of

_UNDERSCORE = re.compile(rb"_(?<=\d_)\d")
"""Every integer in Python's notation has it. It begins with a fixed byte, as the next one does: searching a text then
costs 1 µs and not 20."""
_TINY = re.compile(rb"-(?<=\d[eE]-)\d{3}")
_ALIKE = bytes.maketrans(b"0123456789E", b"0000000000e")
_LONG, _LONG_BEFORE_EXPONENT = b"0" * 16, b"0" * 9 + b"e"
"""A number that a float may round, all its digits alike and without its point; found by these, it costs 2 µs."""
_ROUNDED = re.compile(rb"(?=[\d.]{17})\d+\.\d|(?=[\d.]{9})[\d.]+[eE][+-]?\d")
_PYTHON_INTEGER = re.compile(rb'"[+-]?\d[\d_]*_\d')


class Transcoder:
    """JSON ⇄ messages for every rule; one per process, because the validator keeps compiled rules."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._validator = Validator()

    def request(
        self, rule: Rule, variables: Mapping[str, str], query: bytes, body: bytes
    ) -> tuple[Message, str]:
        """The request as path, query and body state it; headers and rules come later. Raises Refused.

        Second: the body written out again, empty where there is none."""
        written = ""
        if rule.body == WHOLE_BODY:
            request, written = self.parse(rule.desc.input, body) if body else (rule.request(), "")
        else:
            request = rule.request()
            if rule.body_field is not None:
                request[rule.body_field], written = self.parse(rule.body_desc, body)
        fill_from_query(request, rule, query)
        fill_from_path(request, variables)
        return request, written

    def parse(self, desc: DescMessage, text: bytes) -> tuple[Message, str]:
        """A message from JSON, and the same written out again. Refused MALFORMED_BODY, INVALID_FIELD,
        BODY_TOO_LARGE."""
        check_shape(text, depth_max=self._limits.depth_max, keys_max=self._limits.keys_max)
        try:
            message = desc.type.from_json(text)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise diagnose(text, desc) from None
        written = message.to_json()
        if _is_suspicious(text, desc, written):
            faults = faults_in(text, desc)
            if faults:
                raise refusal_of_faults(faults)
        return message, written

    def check(self, request: Message) -> None:
        """Refused INVALID_FIELD with every broken rule of the contract."""
        broken = self._validator.collect_violations(request)
        if broken:
            raise refusal_of([violation_of(entry) for entry in broken[:VIOLATIONS_MAX]])


def fill_key(request: Message, rule: Rule, key: str) -> None:
    """The header's idempotency key; a body may repeat it, but not contradict."""
    if rule.key is not None:
        fill_once(request, rule.key, key, "the header Idempotency-Key says otherwise", KEY_FIELD)


def fill_etag(request: Message, rule: Rule, etag: str) -> None:
    """The version from If-Match; a body may repeat it, but not contradict."""
    if rule.etag is not None and etag:
        fill_once(request, rule.etag, etag, "the header If-Match says otherwise", ETAG_FIELD)


def render(message: Message) -> bytes:
    """An answer in the proto3 JSON mapping. Lists and page tokens of the answer itself are shown even when empty."""
    if not _shows_empty_fields(message.desc()):
        return message.to_json().encode()
    return json.dumps(render_value(message), ensure_ascii=False, separators=(",", ":")).encode()


def render_value(message: Message) -> dict[str, object]:
    """Like `render`, as a value to add to."""
    value = message_to_json_value(message)
    assert isinstance(value, dict)
    return {**_always_shown(message.desc()), **value}


@cache
def _shows_empty_fields(desc: DescMessage) -> bool:
    return bool(_always_shown(desc))


def _always_shown(desc: DescMessage) -> Mapping[str, object]:
    empty: dict[str, object] = {}
    for field in desc.fields:
        if isinstance(field.value, DescFieldValueList):
            empty[field.json_name] = []
        elif field.name == "next_page_token":
            empty[field.json_name] = ""
    return empty


def _is_suspicious(text: bytes, desc: DescMessage, written: str) -> bool:
    if b"\\" in text and b"\\u0000" in text:
        return True
    if b"_" in text and _UNDERSCORE.search(text) and _PYTHON_INTEGER.search(text):
        return True
    return _TINY.search(text) is not None or _may_be_rounded(text) or may_repeat(text, desc, written)


def _may_be_rounded(text: bytes) -> bool:
    alike = text.translate(_ALIKE, b".")
    is_long = _LONG_BEFORE_EXPONENT in alike or (b"." in text and _LONG in alike)
    return is_long and _ROUNDED.search(text) is not None
