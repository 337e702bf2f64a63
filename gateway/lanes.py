"""How many requests may be under way at a time, and whose. Open this file when somebody is refused for being too many.

    all lanes    `requests_max`; `places_for_orders` of these only submissions can take
    bulk         lists, exports, replays of many: `bulk_requests_max`
    a tenant     `tenant_requests_max`
    a client     `client_requests_max`

The lane of a method is declared in its contract. A lane at its bound refuses at once; nothing queues here.
"""

from dataclasses import dataclass, field
from typing import TypeVar

from libs.common.errors import NotDone
from libs.common.metrics import HTTP_UNDER_WAY
from libs.common.rpc.contract import BULK, SUBMISSION

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class Places:
    """Bounds on requests under way in this process."""

    requests_max: int = 1000
    for_orders: int = 250
    """Of `requests_max`, kept free for submissions."""
    bulk_max: int = 64
    tenant_max: int = 800
    client_max: int = 600


@dataclass(slots=True)
class Load:
    """How many requests are under way, and whether the process is about to stop."""

    places: Places
    under_way: int = 0
    """In all lanes, refused ones included until they are answered."""
    draining: bool = False
    _others: int = 0
    """In all lanes but the submissions'."""
    _bulk: int = 0
    _tenants: dict[str, int] = field(default_factory=dict)
    """Requests under way, of those who have any."""
    _clients: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def requests_max(self) -> int:
        return self.places.requests_max

    async def tell(self) -> None:
        """How many are under way now, for whoever asks for metrics."""
        HTTP_UNDER_WAY.at().set(self.under_way)

    def enter(self, lane: str, tenant: str, client: str) -> None:
        """Takes a place, which `leave` gives back. NotDone OVERLOADED, CONCURRENCY_LIMITED when there is none."""
        places = self.places
        if lane != SUBMISSION and self._others >= max(1, places.requests_max - places.for_orders):
            raise NotDone("OVERLOADED", "too many requests are under way besides submissions")
        if lane == BULK and self._bulk >= places.bulk_max:
            raise NotDone("OVERLOADED", "too many lists and bulk requests are under way")
        of_tenant = self._tenants.get(tenant, 0)
        if of_tenant >= places.tenant_max:
            raise _too_many("tenant", places.tenant_max)
        whose = (tenant, client)
        of_client = self._clients.get(whose, 0)
        if of_client >= places.client_max:
            raise _too_many("client", places.client_max)
        self._tenants[tenant] = of_tenant + 1
        self._clients[whose] = of_client + 1
        if lane != SUBMISSION:
            self._others += 1
        if lane == BULK:
            self._bulk += 1

    def leave(self, lane: str, tenant: str, client: str) -> None:
        _count_down(self._tenants, tenant)
        _count_down(self._clients, (tenant, client))
        if lane != SUBMISSION:
            self._others -= 1
        if lane == BULK:
            self._bulk -= 1


def _count_down(counted: dict[KeyT, int], key: KeyT) -> None:
    """Forgets who has nothing under way, so that the table stays as small as the load."""
    left = counted[key] - 1
    if left:
        counted[key] = left
    else:
        del counted[key]


def _too_many(whose: str, places: int) -> NotDone:
    return NotDone(
        "CONCURRENCY_LIMITED",
        f"this {whose} has {places} requests under way",
        metadata={"scope": whose, "requestsMax": str(places)},
    )
