"""One list made of the lists of all services, page by page. Open this file to learn what a page token of ours holds.

Each service lists its items oldest first, in order of their numbers, and has page tokens of its own. A page of ours
takes the oldest of all; the token remembers for each service which of its pages was open and the last number taken:

    {"for": "…", "at": {"order": ["<its token>", 17], "invoice": ["", 0]}}

Services that have nothing left are not in it. `for` binds the token to tenant and filter.
"""

import base64
import hashlib
import heapq
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jsonpb.ordermesh.operations.v1.operations_pb import Delivery

from libs.common.errors import Refused


@dataclass(frozen=True, slots=True)
class Position:
    """How far one service's list is shown."""

    token: str = ""
    """Of the page that is open; empty for the first."""
    last: int = 0
    """Number of the last item taken from it; 0 = none."""


Positions = Mapping[str, Position]


@dataclass(frozen=True, slots=True)
class ServicePage:
    """One page of one service."""

    token: str
    """With which it was asked for."""
    items: tuple[Delivery, ...]
    next_token: str


Found = Mapping[str, tuple[ServicePage, ...]]
"""Pages of each service that could be reached, one after the other."""


def missing_pages(found: Found, positions: Positions, size: int) -> Mapping[str, str]:
    """Tokens of pages to ask for before merging, by service: where what is left of the open page is less than a page
    of ours, an older item may stand on the next one."""
    return {
        service: pages[-1].next_token
        for service, pages in found.items()
        if pages[-1].next_token and len(_fresh(pages, positions[service])) < size
    }


def merge(found: Found, positions: Positions, size: int) -> tuple[list[Delivery], Positions]:
    """The oldest `size` items not shown yet, and where each service stands then; those at their end are left out.

    A service without pages could not be reached; it keeps its place as long as others have more to show.
    """
    fresh = {service: _fresh(pages, positions[service]) for service, pages in found.items()}
    lists = (
        [(_age(item), service, token, item) for token, item in entries] for service, entries in fresh.items()
    )
    merged = heapq.merge(*lists, key=lambda entry: entry[:2])
    taken = [entry for entry, _ in zip(merged, range(size), strict=False)]
    after: dict[str, Position] = {}
    for service, pages in found.items():
        of_service = [(token, item) for _, name, token, item in taken if name == service]
        if len(of_service) < len(fresh[service]):
            after[service] = _position_after(of_service) or positions[service]
        elif pages[-1].next_token:
            after[service] = Position(pages[-1].next_token)
    if after:
        after.update({service: positions[service] for service in positions if service not in found})
    return [item for _, _, _, item in taken], after


def _fresh(pages: tuple[ServicePage, ...], position: Position) -> list[tuple[str, Delivery]]:
    """Items not shown yet, each with the token of its page."""
    return [(page.token, item) for page in pages for item in page.items if number_of(item) > position.last]


def _position_after(taken: list[tuple[str, Delivery]]) -> Position | None:
    return Position(taken[-1][0], number_of(taken[-1][1])) if taken else None


def number_of(item: Delivery) -> int:
    """`order.17` is 17."""
    number = item.delivery_id.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def write_token(positions: Positions, tenant: str, text: str) -> str:
    """Token of the next page; empty when there is none. text: the filter."""
    if not positions:
        return ""
    at = {service: [position.token, position.last] for service, position in positions.items()}
    content = json.dumps({"for": _binding(tenant, text), "at": at}, separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_token(token: str, tenant: str, text: str, services: Iterable[str]) -> Positions:
    """Where to go on; the beginning of every list without a token. Refused PAGE_TOKEN_INVALID."""
    if not token:
        return {service: Position() for service in services}
    try:
        content = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        bound = content["for"] == _binding(tenant, text)
        at = {service: Position(str(page), int(last)) for service, (page, last) in content["at"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        bound, at = False, {}
    if not bound or not at or not set(at) <= set(services):
        raise Refused.field("PAGE_TOKEN_INVALID", "page_token", "is not a token of this list")
    return at


def _binding(tenant: str, text: str) -> str:
    return hashlib.sha256(json.dumps([tenant, text]).encode()).hexdigest()[:16]


def _age(item: Delivery) -> tuple[int, int]:
    """Older items have the smaller value."""
    time = item.create_time
    return (time.seconds, time.nanos) if time is not None else (0, 0)
