"""SOQL text to tokens: open this when a literal or an operator is not recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from connectors.salesforce.simulator import errors

Kind = Literal["string", "datetime", "date", "number", "name", "operator", "end"]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:?\d{2}))
    | (?P<date>\d{4}-\d{2}-\d{2})
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
    | (?P<operator><=|>=|!=|<>|[=<>(),:])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "N": "\n", "r": "\r", "R": "\r", "t": "\t", "T": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True)
class Token:
    """One piece of a query. A string keeps its backslashes: LIKE and = read them differently."""

    kind: Kind
    text: str
    column: int  # Of the query, counted from 1.


def tokens(query: str) -> list[Token]:
    """All tokens with an `end` behind them. Raises MALFORMED_QUERY for what belongs to no token."""
    found: list[Token] = []
    position, end = 0, len(query.rstrip())
    while position < end:
        match = _TOKEN.match(query, position)
        if match is None or match.lastgroup is None:
            raise unexpected(query[position:].split(maxsplit=1)[0], position + 1)
        kind: Kind = match.lastgroup  # type: ignore[assignment]  # The groups are named for the kinds.
        found.append(Token(kind, match[match.lastgroup], match.start(match.lastgroup) + 1))
        position = match.end()
    found.append(Token("end", "", end + 1))
    return found


def unescape(text: str) -> str:
    """The characters a quoted string stands for. `\\%` and `\\_` lose their backslash."""

    def one(match: re.Match[str]) -> str:
        body = match[1]
        if len(body) == 5:
            return chr(int(body[1:], 16))
        return _ESCAPED.get(body, body)

    return _ESCAPE.sub(one, text[1:-1])


def like_pattern(text: str) -> re.Pattern[str]:
    """The pattern a quoted LIKE operand stands for: % any text, _ one character, both literal behind a backslash."""
    pattern = ""
    for part in re.findall(r"\\.|.", text[1:-1], re.DOTALL):
        if part == "%":
            pattern += ".*"
        elif part == "_":
            pattern += "."
        else:
            pattern += re.escape(unescape(f"'{part}'"))
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def unexpected(text: str, column: int) -> errors.SalesforceError:
    return errors.malformed_query(f"\nERROR at Row:1:Column:{column}\nunexpected token: '{text or '<EOF>'}'")
