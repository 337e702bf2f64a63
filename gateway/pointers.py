"""From a field's path in the contract to a place in what the caller sent. Open this file when an error points wrong.

order.lines[0].unit_price    in the body of SubmitOrder, which is the order    #/lines/0/unitPrice
links["net/suite"].number    map keys are escaped as RFC 6901 wants it         #/links/net~1suite/number
"""

import json
import re
from collections.abc import Iterator

from protobuf import DescField, DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage

from gateway.rules import WHOLE_BODY, field_of

_STEP = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\[(true|false|-\d+)\]')


def pointer_of(path: str, request: DescMessage, body: str) -> str:
    """JSON pointer into the body. path: as `Violation.field` has it, or a pointer already; body: as the rule says."""
    if path.startswith("#"):
        return path
    steps = list(_steps(path))
    if body not in ("", WHOLE_BODY) and steps and steps[0] == body:
        inner = field_of(request, body)
        steps = steps[1:]
        return _joined(_named(steps, _message_in(inner)))
    return _joined(_named(steps, request))


def pointer_into(*steps: str | int) -> str:
    """JSON pointer of steps that are names already."""
    return _joined(steps)


def _steps(path: str) -> Iterator[str | int]:
    """Field names, indexes and map keys; what cannot be read becomes one step, so that nothing is lost."""
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            yield path[position:]
            return
        name, index, quoted, bare = match.groups()
        if index is not None:
            yield int(index)
        elif quoted is not None:
            yield _unquoted(quoted)
        else:
            yield name or bare
        position = match.end()


def _unquoted(quoted: str) -> str:
    try:
        return str(json.loads(f'"{quoted}"'))
    except ValueError:
        return quoted


def _named(steps: list[str | int], desc: DescMessage | None) -> Iterator[str | int]:
    """Contract names become JSON names; where the contract is left, camel case is the best guess."""
    is_key = False
    for step in steps:
        if isinstance(step, int) or is_key:
            yield step
            is_key = False
            continue
        field = field_of(desc, step) if desc is not None else None
        yield field.json_name if field is not None else _camel(step)
        desc = _message_in(field)
        is_key = field is not None and isinstance(field.value, DescFieldValueMap)


def _message_in(field: DescField | None) -> DescMessage | None:
    if field is None:
        return None
    match field.value:
        case DescFieldValueMessage(message=message):
            return message
        case DescFieldValueList(element=DescMessage() as message):
            return message
        case DescFieldValueMap(value=DescMessage() as message):
            return message
    return None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _joined(steps: "Iterator[str | int] | tuple[str | int, ...]") -> str:
    return "#" + "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
