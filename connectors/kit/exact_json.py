"""JSON whose numbers never pass through a float: open this when an amount leaves or arrives with other digits."""

import json
import re
from decimal import Decimal

JsonObject = dict[str, object]
"""A JSON object whose values are checked where they are read."""

# The standard encoder cannot print a Decimal as a number, so it prints a marked text, which is then unquoted. The mark
# begins with NUL, which no text that came through the contracts' validation contains.
_MARK = "\x00exact:"
_MARKED = re.compile(r'"\\u0000exact:(-?[0-9]+(?:\.[0-9]+)?)"')


def dumps(value: object) -> bytes:
    """Compact JSON; a Decimal becomes a number with just its digits."""
    text = json.dumps(value, default=_marked, separators=(",", ":"), allow_nan=False)
    return _MARKED.sub(r"\1", text).encode()


def loads(text: bytes) -> object:
    """The value, fractions and whole numbers as Decimal. Raises ValueError for what is not JSON, `NaN` included."""
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_object(text: bytes) -> JsonObject:
    """The object in an answer; whole numbers stay int. Raises ValueError for anything else."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _marked(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return _MARK + format(value, "f")
    raise TypeError(f"not JSON: {type(value).__name__}")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"not JSON: {name}")
