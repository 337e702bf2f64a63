"""Filters and page tokens of list methods. Open this file to learn which filters are understood.

A small part of AIP-160: `field = value` joined by `AND`; values may be quoted. A page token names the last record seen
and is bound to tenant and filter, so it cannot be carried elsewhere.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from libs.common.errors import Refused

TERM = re.compile(r'\s*([A-Za-z_]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s"]+)(?:\s+(AND)\s+|\s*$)')
PAGE_DEFAULT = 50
PAGE_MAX = 1000
TERMS_MAX = 10


@dataclass(frozen=True, slots=True)
class Page:
    """What a list method is asked for."""

    size: int
    after: str
    """Last key of the page before; empty for the first."""
    where: Mapping[str, str]
    """Column to value."""
    binding: str

    def token(self, last: str) -> str:
        """Token of the page after the one that ends with `last`."""
        return base64.urlsafe_b64encode(json.dumps([self.binding, last]).encode()).decode().rstrip("=")


def parse_page(tenant: str, size: int, token: str, text: str, columns: Mapping[str, str]) -> Page:
    """`columns`: field of the filter to column. Refused with FILTER_INVALID or PAGE_TOKEN_INVALID."""
    binding = hashlib.sha256(json.dumps([tenant, text]).encode()).hexdigest()[:16]
    bounded = min(size, PAGE_MAX) if size > 0 else PAGE_DEFAULT
    return Page(bounded, _after(token, binding), _terms(text, columns), binding)


def _terms(text: str, columns: Mapping[str, str]) -> dict[str, str]:
    where: dict[str, str] = {}
    at, end = 0, len(text.rstrip())
    while at < end:
        match = TERM.match(text, at)
        if match is None or len(where) == TERMS_MAX:
            raise _invalid(f"is not `field = value`, at most {TERMS_MAX} times, joined by AND")
        name, value, conjunction = match.groups()
        if name not in columns:
            raise _invalid(f"knows {', '.join(sorted(columns))} and not {name}")
        if columns[name] in where:
            raise _invalid(f"names {name} twice")
        where[columns[name]] = _unquoted(value) if value.startswith('"') else value
        at = match.end()
        if bool(conjunction) is (at >= end):
            raise _invalid("ends with AND")
    return where


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value))
    except ValueError:
        raise _invalid("has a quoted value that is not written as in JSON") from None


def _invalid(description: str) -> Refused:
    return Refused.field("FILTER_INVALID", "filter", description)


def _after(token: str, binding: str) -> str:
    if not token:
        return ""
    try:
        bound, last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):
        bound, last = "", ""
    if bound != binding or not isinstance(last, str):
        raise Refused.field("PAGE_TOKEN_INVALID", "page_token", "is not a token of this list")
    return last
