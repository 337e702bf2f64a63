"""Page tokens and sizes of list methods. Open this file to change how a list is asked for page by page.

What a filter may say stands in `filtering.py`. A page token names the last record seen and is bound to tenant, list and
filter, so it cannot be carried elsewhere.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.common.errors import Refused
from libs.common.filtering import EQUALS, Filterable, Term, is_storable, parse_filter

PAGE_DEFAULT = 50
PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """What a list method is asked for."""

    size: int
    after: str
    """Last key of the page before; empty for the first."""
    terms: Sequence[Term]
    """What the records must be like, all of it."""
    binding: str

    @property
    def where(self) -> Mapping[str, str]:
        """Column to value, for lists that are filtered by equality alone."""
        return {term.column: term.text for term in self.terms if term.operator == EQUALS}

    def token(self, last: str) -> str:
        """Token of the page after the one that ends with `last`."""
        return base64.urlsafe_b64encode(json.dumps([self.binding, last]).encode()).decode().rstrip("=")


def parse_page(
    tenant: str, size: int, token: str, text: str, fields: Mapping[str, Filterable] | Mapping[str, str]
) -> Page:
    """fields: by name in the filter; a column alone is text that is compared for equality.

    Refused with FILTER_INVALID or PAGE_TOKEN_INVALID.
    """
    binding = hashlib.sha256(json.dumps([tenant, sorted(fields), text]).encode()).hexdigest()[:16]
    bounded = min(size, PAGE_MAX) if size > 0 else PAGE_DEFAULT
    return Page(bounded, _after(token, binding), parse_filter(text, fields), binding)


def _after(token: str, binding: str) -> str:
    if not token:
        return ""
    try:
        bound, last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):
        bound, last = "", ""
    if bound != binding or not isinstance(last, str) or not is_storable(last):
        raise Refused.field("PAGE_TOKEN_INVALID", "page_token", "is not a token of this list")
    return last
