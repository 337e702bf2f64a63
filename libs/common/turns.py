"""Whose turn it is, where the work of several parties waits for the same few places. Open this file when one tenant
waits behind another.

Each party waits in a queue of its own and leaves in batches, of which a few are under way at a time.

    first       who has nothing under way: all of them together, each with a part of the batch
    then        the others in turn, each with a batch of its own

No party has more than some of the places, so a backlog, however long, does not stand before another's work. Batches are
short while several parties are about, because whatever comes waits for the batch that is worked on; a party that is
alone for some time has them as large as they come. Nobody starves: what holds a party back is batches of its own, and
once they have ended the party is among the first.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
ALONE_AFTER = 32
"""Turns in a row after which a party is taken to be alone."""


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """A batch that may leave."""

    parties: Sequence[str]
    items: Sequence[T]


class Turns(Generic[T]):
    """What waits, and how much is under way."""

    def __init__(
        self,
        is_wanted: Callable[[T], bool],
        *,
        batches_max: int,
        of_party_max: int,
        items_max: int,
        in_company_max: int,
    ) -> None:
        """is_wanted: False for what nobody waits for any more; it is dropped when its turn comes.
        batches_max, of_party_max: under way at a time, of all and of one.
        items_max, in_company_max: in one batch, of a party alone and while there are others."""
        self._is_wanted = is_wanted
        self._batches_max = batches_max
        self._of_party_max = of_party_max
        self._items_max = items_max
        self._in_company_max = in_company_max
        self._waiting: dict[str, deque[T]] = {}
        """In the order of their turns; nobody without anything waiting."""
        self._batches: Counter[str] = Counter()
        """Under way, of those who have any."""
        self._under_way = 0
        self._count = 0
        self._last: Sequence[str] = ()
        self._in_company = 0
        """Further turns that are short because there were others."""

    def __len__(self) -> int:
        return self._count

    @property
    def in_company(self) -> bool:
        """True while several parties are about: what one does then holds up another."""
        return self._in_company > 0

    def add(self, party: str, item: T) -> None:
        """`item` waits behind what its party has waiting."""
        self._waiting.setdefault(party, deque()).append(item)
        self._count += 1

    def take(self) -> Turn[T] | None:
        """What may leave now; `ended` gives its place back. None when nothing waits or all places are taken."""
        while parties := self._next_parties():
            each = self._items_of_each(parties)
            items = [item for party in parties for item in self._taken(party, each)]
            if items:
                self._under_way += 1
                self._batches.update(parties)
                return Turn(parties, items)
        return None

    def _items_of_each(self, parties: Sequence[str]) -> int:
        if len(parties) > 1 or parties != (self._last or parties):
            self._in_company = ALONE_AFTER
        elif self._in_company:
            self._in_company -= 1
        self._last = parties
        return self._in_company_max // len(parties) if self._in_company else self._items_max

    def ended(self, turn: Turn[T]) -> None:
        self._under_way -= 1
        for party in turn.parties:
            self._batches[party] -= 1
            if not self._batches[party]:
                del self._batches[party]

    def _next_parties(self) -> Sequence[str]:
        if self._under_way >= self._batches_max:
            return ()
        idle = tuple(party for party in self._waiting if party not in self._batches)
        if idle:
            return idle[: self._in_company_max]
        for party in self._waiting:
            if self._batches[party] < self._of_party_max:
                return (party,)
        return ()

    def _taken(self, party: str, items_max: int) -> Iterable[T]:
        """The oldest; the party's next turn comes after everybody else's."""
        queue = self._waiting.pop(party)
        taken: list[T] = []
        while queue and len(taken) < items_max:
            item = queue.popleft()
            self._count -= 1
            if self._is_wanted(item):
                taken.append(item)
        if queue:
            self._waiting[party] = queue
        return taken


async def in_stretches(items: Iterable[T], length: int) -> AsyncIterator[T]:
    """The items; after each `length` of them everything else that is ready gets a turn, so that whoever comes while a
    large batch is worked on waits for a stretch of it and not for the whole."""
    for number, item in enumerate(items, 1):
        yield item
        if number % length == 0:
            await asyncio.sleep(0)
