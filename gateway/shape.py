"""How deep and how large a JSON text is, told before anything parses it. Open this file to change these bounds.

The compiled parser recurses: a text of 20,000 brackets ends the process, so depth is bounded first, at a price of
2 µs for a small order and 0.2 ms for one of 1,000 lines. The trick is to look at brackets and quotes only:

1. drop escapes, then everything but `[ ] { } "`, with `{` counted as `[`;
2. drop pairs of quotes: brackets inside strings stand behind an odd number of quotes and can never meet one outside;
3. drop `[]`; each round takes one level away.

A text that is not gone after a few rounds is deep, odd or broken; it is measured exactly, at ten times the price.
"""

import re
from itertools import accumulate

from gateway.exchange import AtTheEdge

ROUNDS_MAX = 12
"""Levels of an ordinary text; deeper ones are measured exactly. A bound on depth must not be lower than this."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_NOT_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_NOT_COLON = bytes(set(range(256)) - set(b":"))
_STRING = re.compile(rb'"[^"]*(?:"|\Z)')


def check_shape(text: bytes, *, depth_max: int, keys_max: int) -> None:
    """Refuses what is nested deeper or has more keys than allowed. Reads no further than the parser will: broken
    texts may pass and are refused there."""
    openers = text.count(b"{") + text.count(b"[")
    if openers > depth_max and depth_of(text) > depth_max:
        raise AtTheEdge(413, "BODY_TOO_LARGE", f"the body is nested deeper than {depth_max} levels")
    if len(text) > keys_max and text.count(b":") > keys_max and keys_of(text) > keys_max:
        raise AtTheEdge(413, "BODY_TOO_LARGE", f"the body has more than {keys_max} keys")


def depth_of(text: bytes) -> int:
    """Levels of nesting, never fewer than a parser would enter. Up to ROUNDS_MAX it may say too much, since brackets
    inside strings pair up among themselves; beyond, it is exact."""
    bare = _without_escapes(text)
    rest = bare.translate(_ONE_KIND, _NOT_STRUCTURE)
    for level in range(ROUNDS_MAX):
        rest = rest.replace(b'""', b"")
        if not rest:
            return level
        shorter = rest.replace(b"[]", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    brackets = _STRING.sub(b"", bare).translate(_ONE_KIND, _NOT_BRACKET)
    return max(accumulate(1 if bracket == 0x5B else -1 for bracket in brackets), default=0)


def keys_of(text: bytes) -> int:
    """Keys of all objects together."""
    return len(_STRING.sub(b"", _without_escapes(text)).translate(None, _NOT_COLON))


def _without_escapes(text: bytes) -> bytes:
    """Escaped backslashes go first: what then stands before a quote escapes it."""
    return text.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in text else text
