"""Whether a JSON text states a field twice. Open this file to see why most bodies cost nothing to check.

The parser keeps the last of two values, silently. A message that has lost a value is written out again with fewer
colons than the text had; a text with as many colons as its message states nothing twice. Only where the count differs
(empty and null fields lower it too) is the text read once more, at the speed of the standard library.
"""

import json
from collections.abc import Iterator
from functools import cache

from protobuf import DescFieldValueMap, DescMessage

from gateway.fields import fields_by_name, kind_of, oneof_of

HIDDEN_COLON = b"\\u003"
"""Begin of the escape for a colon. A text that has it is not counted."""


class _Suspect(Exception):
    """A repeated name, or two names that may stand for one field."""


def may_repeat(text: bytes, desc: DescMessage, written: str) -> bool:
    """False when the text, which the parser took, surely states nothing twice; true when a closer look is needed.

    desc, written: what the parser made of it, and that written out again."""
    hidden = b"\\" in text and HIDDEN_COLON in text
    if not hidden and text.count(b":") == written.count(":"):
        return False
    rivals = _rivals(desc)
    underscores = b"_" in text or b"\\" in text

    def look(pairs: list[tuple[str, object]]) -> bool:
        values = dict(pairs)
        if len(values) != len(pairs) or (underscores and any("_" in name for name in values)):
            raise _Suspect
        if not rivals.isdisjoint(values):
            rivals_here = values.keys() & rivals
            if len(rivals_here) > 1 and sum(values[name] is not None for name in rivals_here) > 1:
                raise _Suspect
        return True

    try:
        json.loads(text, object_pairs_hook=look)
    except (_Suspect, ValueError):
        return True
    return False


@cache
def _rivals(desc: DescMessage) -> frozenset[str]:
    """Names of fields that exclude others, of this message and of those inside it."""
    return frozenset(
        name
        for message in _inside(desc, set())
        for name, field in fields_by_name(message).items()
        if oneof_of(field) is not None
    )


def _inside(desc: DescMessage, seen: set[str]) -> Iterator[DescMessage]:
    if desc.type_name in seen:
        return
    seen.add(desc.type_name)
    yield desc
    for field in desc.fields:
        kind = field.value.value if isinstance(field.value, DescFieldValueMap) else kind_of(field)
        if isinstance(kind, DescMessage):
            yield from _inside(kind, seen)
