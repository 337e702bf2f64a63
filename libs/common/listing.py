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

TERM = re.compile(r'\s*([A-Za-z_]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s"]+)\s*')
CONJUNCTION = re.compile(r"\s+AND\s+")
PAGE_DEFAULT = 50
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
    return Page(size or PAGE_DEFAULT, _after(token, binding), _terms(text, columns), binding)


def _terms(text: str, columns: Mapping[str, str]) -> dict[str, str]:
    if not text.strip():
        return {}
    terms = CONJUNCTION.split(text.strip())
    if len(terms) > TERMS_MAX:
        raise Refused.field("FILTER_INVALID", "filter", f"has more than {TERMS_MAX} terms")
    where: dict[str, str] = {}
    for term in terms:
        match = TERM.fullmatch(term)
        if match is None:
            raise Refused.field("FILTER_INVALID", "filter", "is not `field = value` joined by AND")
        name, value = match.groups()
        if name not in columns:
            known = ", ".join(sorted(columns))
            raise Refused.field("FILTER_INVALID", "filter", f"knows {known} and not {name}")
        where[columns[name]] = json.loads(value) if value.startswith('"') else value
    return where


def _after(token: str, binding: str) -> str:
    if not token:
        return ""
    try:
        bound, last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        bound, last = "", ""
    if bound != binding or not isinstance(last, str):
        raise Refused.field("PAGE_TOKEN_INVALID", "page_token", "is not a token of this list")
    return last
