"""JSON as NetSuite wants it: amounts as numbers, digit for digit. Open it when a number arrives changed."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal

JsonObject = dict[str, object]

# The standard encoder cannot print a Decimal as a number, so it prints a marked text, which is then unquoted. The mark
# begins with NUL, which no text that came through the contract's validation contains.
_MARKED = re.compile(r'"\\u0000(-?[0-9]+(?:\.[0-9]+)?)"')


def encode(body: Mapping[str, object]) -> bytes:
    """The body; Decimals become numbers."""
    return _MARKED.sub(r"\1", json.dumps(body, default=_mark, separators=(",", ":"))).encode()


def decode(content: bytes) -> JsonObject:
    """The object in an answer; numbers with a fraction are Decimals. Raises ValueError for anything else."""
    value = json.loads(content, parse_float=Decimal)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _mark(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"\x00{value.normalize():f}"
    raise TypeError(type(value).__name__)
