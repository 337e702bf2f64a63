"""Whose turn it is, where the work of several parties waits for the same few places. Open this file when one tenant
waits behind another.

Each party waits in a queue of its own and leaves in batches, of which a few are under way at a time.

    first       who has nothing under way: all of them together, each with a part of the batch
    then        the others in turn, each with a batch of its own that is worth its cost

No party has more than some of the places, so a backlog, however long, does not stand before another's work. Batches are
short while several parties are about, because whatever comes waits for the batch that is worked on; a party that is
alone for some time has them as large as they come. Nobody starves: what holds a party back is batches of its own, and
once they have ended the party is among the first.

A batch costs much besides what it carries. So a party that has one under way sends another only when enough waits for
it, and nobody waits for a timer: the first that comes leaves at once, and what comes after it leaves when it has ended.
Only behind a batch that takes long, few are enough.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
ALONE_AFTER = 32
"""Turns in a row after which a party is taken to be alone."""
LONG_SECONDS = 0.1
"""What is under way for longer holds up nobody, however few wait."""


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """A batch that may leave."""

    parties: Sequence[str]
    items: Sequence[T]


@dataclass(frozen=True, slots=True)
class Places:
    """How much is under way at a time."""

    batches_max: int
    of_party_max: int
    """Batches of one party."""
    items_max: int
    """In a batch of a party that is alone."""
    in_company_max: int
    """In a batch while there are others."""
    further_min: int
    """Items that are worth a further batch of a party that has one under way."""


class Neighbours:
    """Whether several parties are about. One is alone when it has come so many times in a row."""

    def __init__(self, alone_after: int) -> None:
        self._alone_after = alone_after
        self._last: Sequence[str] = ()
        self._left = 0

    @property
    def are_about(self) -> bool:
        return self._left > 0

    def note(self, parties: Sequence[str]) -> None:
        """These come now."""
        if len(parties) > 1 or parties != (self._last or parties):
            self._left = self._alone_after
        elif self._left:
            self._left -= 1
        self._last = parties


class Turns(Generic[T]):
    """What waits, and how much is under way."""

    def __init__(
        self, places: Places, start: Callable[[Turn[T]], None], is_wanted: Callable[[T], bool]
    ) -> None:
        """start: begins a batch; `ended` gives its place back.
        is_wanted: False for what nobody waits for any more; it is dropped when its turn comes."""
        self._places = places
        self._start = start
        self._is_wanted = is_wanted
        self._waiting: dict[str, deque[T]] = {}
        """In the order of their turns; nobody without anything waiting."""
        self._batches: Counter[str] = Counter()
        """Under way, of those who have any."""
        self._under_way = 0
        self._count = 0
        self._neighbours = Neighbours(ALONE_AFTER)
        self._is_asked = False
        self._later: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def in_company(self) -> bool:
        """True while several parties are about: what one does then holds up another."""
        return self._neighbours.are_about

    def add(self, party: str, item: T) -> None:
        """`item` waits behind what its party has waiting, and leaves with what is ready at the same moment."""
        self._waiting.setdefault(party, deque()).append(item)
        self._count += 1
        if not self._is_asked:
            self._is_asked = True
            # Once what is ready now has run: what came together leaves together. Begun at the first, a batch of 32
            # would become batches of 1, 1 and 30, at a tenth to a fifth more CPU for each.
            asyncio.get_running_loop().call_soon(self.go_on)

    def ended(self, turn: Turn[T]) -> None:
        """The batch has; the next one begins."""
        self._under_way -= 1
        for party in turn.parties:
            self._batches[party] -= 1
            if not self._batches[party]:
                del self._batches[party]
        self.go_on()

    def go_on(self, *, few: bool = False) -> None:
        """Begins what may begin now. few: any number is worth a batch."""
        self._is_asked = False
        while turn := self.take(few=few):
            self._start(turn)
        if not self._waiting:
            self._look_no_more()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(LONG_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._later = None
        self.go_on(few=True)

    def _look_no_more(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def take(self, *, few: bool = False) -> Turn[T] | None:
        """A batch that may leave now, and is under way from here on. None when nothing may."""
        further_min = 1 if few else self._places.further_min
        while parties := self._next_parties(further_min):
            each = self._items_of_each(parties)
            items = [item for party in parties for item in self._taken(party, each)]
            if items:
                self._under_way += 1
                self._batches.update(parties)
                return Turn(parties, items)
        return None

    def _items_of_each(self, parties: Sequence[str]) -> int:
        self._neighbours.note(parties)
        places = self._places
        return places.in_company_max // len(parties) if self.in_company else places.items_max

    def _next_parties(self, further_min: int) -> Sequence[str]:
        if self._under_way >= self._places.batches_max:
            return ()
        idle = tuple(party for party in self._waiting if party not in self._batches)
        if idle:
            return idle[: self._places.in_company_max]
        for party, waiting in self._waiting.items():
            if self._batches[party] < self._places.of_party_max and len(waiting) >= further_min:
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
