"""JSON without floats; open it when an amount must leave or arrive with every digit it had.

Numbers with a fraction are `Decimal` in memory, whole numbers `int`. A `Decimal` is always written with a
fraction (`12` as `12.0`, which is also how the vendors' own servers print it), so that it comes back as a
`Decimal`.
"""

import json
import re
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response

JsonObject = dict[str, object]
"""A JSON object whose values are checked where they are read."""

# The standard encoder cannot print a Decimal as a number, so it prints a marked text, which is then unquoted.
# The mark begins with NUL, which no vendor accepts inside a text.
_MARK = "\x00exact:"
_MARKED = re.compile(r'"\\u0000exact:(-?[0-9]+\.[0-9]+)"')


def _mark(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        digits = format(value, "f")
        return _MARK + (digits if "." in digits else digits + ".0")
    raise TypeError(f"not JSON: {type(value).__name__}")


def dumps(value: object) -> str:
    """Compact JSON text, ASCII only."""
    return _MARKED.sub(r"\1", json.dumps(value, default=_mark, separators=(",", ":"), allow_nan=False))


def loads(text: str | bytes) -> object:
    """The value in `text`. Raises ValueError for anything that is not JSON, `NaN` included."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"not JSON: {name}")


class Malformed(ValueError):
    """Not the JSON that was asked for; the text says what is wrong."""


async def read_object(request: Request) -> JsonObject:
    """The request's body, which must be a JSON object; an empty body counts as `{}`. Raises ValueError."""
    body = await request.body()
    value = loads(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise Malformed("the body must be a JSON object")
    return value


class ExactJSONResponse(Response):
    """A response whose Decimals are printed digit for digit."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return dumps(content).encode()
