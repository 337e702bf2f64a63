"""What a request says in its path and query. Open this file to learn how a parameter finds its field and its type.

?pageSize=20&filter=state%20%3D%20POSTED     names in either spelling, `page_size` too
?wait=5s                                     a span; plain seconds are taken as well
?updateMask=accountOwner,segment             field names, comma-separated
?address.locality=Paris                      a dot leads into a message; lists repeat the parameter
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from urllib.parse import parse_qsl

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueMap,
    DescMessage,
    Message,
    ScalarType,
    message_from_json_value,
)

from gateway.fields import WELL_KNOWN, JsonValue, Kind, fields_by_name, is_list, kind_of
from gateway.rules import HEADER_FIELDS, WHOLE_BODY, Rule
from libs.common.errors import Refused, Violation

PARAMETERS_MAX = 50
NAME_CHARACTERS_MAX = 100
_TRUTH: Mapping[str, bool] = {"true": True, "false": False}


class _Misfit(Exception):
    """The text is not of the field's type; the message says what is expected."""


def fill_from_query(request: Message, rule: Rule, query: bytes) -> None:
    """Sets the fields that the query names. Refused INVALID_FIELD for unknown, repeated and mistyped parameters."""
    if not query:
        return
    stated: dict[str, list[str]] = {}
    for name, text in query_pairs(query):
        stated.setdefault(name, []).append(text)
    faults: list[Violation] = []
    for name, texts in stated.items():
        chain = _chain(rule.desc.input, name)
        if not chain or chain[0].name in _bound_elsewhere(rule):
            faults.append(Violation(name[:NAME_CHARACTERS_MAX], "there is no such parameter"))
            continue
        try:
            _set(request, chain, _json_value(chain[-1], texts))
        except _Misfit as misfit:
            faults.append(Violation(".".join(field.name for field in chain), str(misfit)))
    if faults:
        raise Refused("INVALID_FIELD", f"{faults[0].field}: {faults[0].description}", violations=faults)


def fill_from_path(request: Message, variables: Mapping[str, str]) -> None:
    """Sets the fields that the path names; a body may repeat them, but not contradict."""
    for path, text in variables.items():
        chain = _chain(request.desc(), path)
        assert chain, f"the template names {path}, which {request.desc()} does not have"
        fill_once(_holder(request, chain), chain[-1], text, "the path says otherwise", path)


def fill_once(message: Message, field: DescField, text: str, contradiction: str, path: str) -> None:
    """Sets a text field unless it already says the same. Refused INVALID_FIELD when it says something else."""
    stated = message[field]
    if stated == text:
        return
    if stated:
        raise Refused.field("INVALID_FIELD", path, contradiction)
    message[field] = text


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """Names and texts of the query. Refused INVALID_FIELD when it cannot be read."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX, errors="strict"
        )
    except ValueError:
        detail = f"the query cannot be read, or has more than {PARAMETERS_MAX} parameters"
        raise Refused("INVALID_FIELD", detail) from None
    for name, text in pairs:
        if not (name.isprintable() and text.isprintable()):
            raise Refused("INVALID_FIELD", "the query holds control characters")
    return pairs


@cache
def _bound_elsewhere(rule: Rule) -> Collection[str]:
    """Fields of the request that path, body and headers fill."""
    variables = re.findall(r"\{([a-z0-9_]+)", rule.template)
    if rule.body == WHOLE_BODY:
        return frozenset(field.name for field in rule.desc.input.fields)
    return frozenset({*variables, rule.body, *HEADER_FIELDS})


def _chain(desc: DescMessage, name: str) -> Sequence[DescField]:
    """Fields from the request down to the one named; empty when there is none."""
    chain: list[DescField] = []
    inside: DescMessage | None = desc
    for part in name.split("."):
        field = fields_by_name(inside).get(part) if inside is not None else None
        if field is None or isinstance(field.value, DescFieldValueMap):
            return ()
        chain.append(field)
        kind = kind_of(field)
        inside = kind if isinstance(kind, DescMessage) and not is_list(field) else None
    last = kind_of(chain[-1])
    if isinstance(last, DescMessage) and not last.type_name.startswith(WELL_KNOWN):
        return ()
    return chain


def _holder(request: Message, chain: Sequence[DescField]) -> Message:
    """The message that holds the last field; those on the way are made where they are missing."""
    message = request
    for field in chain[:-1]:
        inner = message[field]
        if inner is None:
            kind = kind_of(field)
            assert isinstance(kind, DescMessage)
            inner = kind.type()
            message[field] = inner
        message = inner
    return message


def _set(request: Message, chain: Sequence[DescField], value: JsonValue) -> None:
    field = chain[-1]
    try:
        read = message_from_json_value(field.parent.type, {field.json_name: value})
    except (ValueError, TypeError, OverflowError):
        raise _Misfit(_expectation(kind_of(field))) from None
    _holder(request, chain)[field] = read[field]


def _json_value(field: DescField, texts: list[str]) -> JsonValue:
    kind = kind_of(field)
    if is_list(field):
        return [_single(kind, text) for text in texts]
    if len(texts) > 1:
        raise _Misfit("the parameter is stated twice")
    return _single(kind, texts[0])


def _single(kind: Kind | None, text: str) -> JsonValue:
    if kind is ScalarType.BOOL:
        if text not in _TRUTH:
            raise _Misfit(_expectation(kind))
        return _TRUTH[text]
    if (
        isinstance(kind, DescMessage)
        and kind.name == "Duration"
        and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text)
    ):
        return f"{text}s"
    if isinstance(kind, DescMessage) and kind.name == "FieldMask":
        return ",".join(_camel_paths(text))
    is_integer = isinstance(kind, ScalarType) and kind not in (ScalarType.STRING, ScalarType.BYTES)
    if is_integer and not re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
        raise _Misfit(_expectation(kind))
    return text


def _camel_paths(text: str) -> Iterator[str]:
    for path in text.split(","):
        yield re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), path.strip())


def _expectation(kind: Kind | None) -> str:
    if isinstance(kind, DescEnum):
        return f"one of {', '.join(value.name for value in kind.values[:20])} is expected"
    if isinstance(kind, DescMessage):
        return {"Duration": "a span such as 5s is expected", "FieldMask": "field names are expected"}.get(
            kind.name, "a time as in RFC 3339 is expected"
        )
    return "true or false is expected" if kind is ScalarType.BOOL else "an integer is expected"
