"""Parties that wait for the same places take turns, and a backlog stands before nobody else's work."""

import asyncio
from collections import deque

from libs.common.turns import ALONE_AFTER, LONG_SECONDS, Places, Turn, Turns, in_stretches


class Line:
    """Turns of numbered items; what is in `left` nobody waits for any more."""

    def __init__(self, further_min: int = 1) -> None:
        self.left: set[str] = set()
        self.begun: deque[Turn[str]] = deque()
        self.has_begun = asyncio.Event()
        places = Places(
            batches_max=4, of_party_max=2, items_max=50, in_company_max=10, further_min=further_min
        )
        self.turns: Turns[str] = Turns(places, self.begin, lambda item: item not in self.left)

    def begin(self, turn: Turn[str]) -> None:
        self.begun.append(turn)
        self.has_begun.set()

    def add(self, party: str, count: int) -> None:
        for number in range(count):
            self.turns.add(party, f"{party}{number}")

    def taken(self) -> Turn[str]:
        turn = self.begun.popleft() if self.begun else self.turns.take()
        assert turn is not None
        return turn


async def test_what_one_party_has_waiting_leaves_in_order() -> None:
    line = Line()
    line.add("a", 105)
    turns = [line.taken(), line.taken()]
    line.turns.ended(turns[0])
    turns.append(line.taken())

    assert [len(turn.items) for turn in turns] == [50, 50, 5]
    assert [item for turn in turns for item in turn.items] == [f"a{number}" for number in range(105)]
    assert len(line.turns) == 0


async def test_a_party_alone_never_takes_all_places() -> None:
    line = Line()
    line.add("a", 200)

    assert [line.taken().parties, line.taken().parties] == [("a",), ("a",)]
    assert line.turns.take() is None


async def test_a_backlog_does_not_stand_before_a_party_that_comes_later() -> None:
    line = Line()
    line.add("a", 200)
    line.taken(), line.taken()
    line.add("b", 1)

    assert line.taken().items == ["b0"]


async def test_no_more_batches_are_under_way_than_there_are_places() -> None:
    line = Line()
    for party in "abc":
        line.add(party, 200)
        line.taken()
    line.taken()
    line.add("d", 1)

    assert line.turns.take() is None


async def test_those_with_nothing_under_way_share_a_batch() -> None:
    line = Line()
    line.add("a", 8)
    line.add("b", 1)
    line.add("c", 5)

    assert line.taken().items == ["a0", "a1", "a2", "b0", "c0", "c1", "c2"]
    assert line.taken().items == ["a3", "a4", "a5", "a6", "a7"]


async def test_of_many_with_nothing_under_way_each_gets_something_in_turn() -> None:
    line = Line()
    for number in range(25):
        line.add(f"party {number} item ", 1)

    taken = [line.taken().items for _ in range(3)]
    assert [len(items) for items in taken] == [10, 10, 5]
    assert len({item for items in taken for item in items}) == 25


async def test_batches_are_large_for_a_party_that_is_alone_and_short_as_soon_as_it_is_not() -> None:
    line = Line()
    line.add("a", 10_000)
    under_way = deque([line.taken(), line.taken()])
    assert [len(turn.items) for turn in under_way] == [50, 50]
    line.add("b", 1)
    line.turns.ended(line.taken())

    def next_size() -> int:
        line.turns.ended(under_way.popleft())
        under_way.append(line.taken())
        return len(under_way[-1].items)

    assert [next_size() for _ in range(ALONE_AFTER + 2)] == [10] * ALONE_AFTER + [50, 50]


async def test_who_has_nothing_under_way_goes_before_who_has_and_the_others_in_turn() -> None:
    line = Line()
    line.add("a", 200)
    first = line.taken()
    line.add("b", 200)
    second = line.taken()
    line.taken()
    line.add("c", 1)

    assert line.taken().parties == ("c",)
    line.turns.ended(second)
    assert line.taken().parties == ("b",)
    line.turns.ended(first)
    assert line.taken().parties == ("a",)


async def test_a_party_that_waits_gets_its_turn_however_many_others_keep_coming() -> None:
    line = Line()
    line.add("a", 200)
    under_way = [line.taken()]
    served: list[str] = []
    for number in range(12):
        line.add(f"newcomer {number} item ", 3)
        under_way.append(line.taken())
        served += under_way[-1].items
        if len(under_way) == 4:
            line.turns.ended(under_way.pop(0))

    assert [item for item in served if item.startswith("a")]


async def test_what_nobody_waits_for_any_more_leaves_no_trace() -> None:
    line = Line()
    line.add("a", 3)
    line.add("b", 2)
    line.left = {"a0", "a1", "a2", "b0"}

    assert line.taken().items == ["b1"]
    assert (line.turns.take(), len(line.turns)) == (None, 0)


async def test_a_party_whose_work_was_all_given_up_holds_no_place() -> None:
    line = Line()
    line.add("a", 2)
    line.left = {"a0", "a1"}
    assert line.turns.take() is None
    line.add("b", 200)
    line.taken(), line.taken()
    line.add("a", 3)

    assert line.taken().items == ["a2"]


async def test_work_in_stretches_lets_others_have_their_turn() -> None:
    heard: list[str] = []

    async def work() -> None:
        async for word in in_stretches(["one", "two", "three", "four", "five"], 2):
            heard.append(word)  # noqa: PERF401  (what comes between is the point)

    async def another() -> None:
        heard.append("another")

    await asyncio.gather(work(), another())

    assert heard == ["one", "two", "another", "three", "four", "five"]


async def test_the_first_of_a_party_leaves_at_once_and_a_further_batch_only_when_it_is_worth_it() -> None:
    line = Line(further_min=16)
    line.add("a", 1)
    await asyncio.sleep(0)
    assert [turn.items for turn in line.begun] == [["a0"]]

    line.add("a", 15)
    await asyncio.sleep(0)
    assert len(line.begun) == 1
    line.add("a", 1)
    await asyncio.sleep(0)
    assert [len(turn.items) for turn in line.begun] == [1, 16]


async def test_what_waited_for_a_batch_to_end_leaves_when_it_has() -> None:
    line = Line(further_min=16)
    line.add("a", 1)
    first = line.taken()
    line.add("a", 3)
    assert line.turns.take() is None

    line.turns.ended(first)
    assert [len(turn.items) for turn in line.begun] == [3]


async def test_behind_a_batch_that_takes_long_few_are_worth_another() -> None:
    line = Line(further_min=16)
    line.add("a", 1)
    line.taken()
    line.add("a", 2)
    async with asyncio.timeout(100 * LONG_SECONDS):
        await line.has_begun.wait()

    assert [turn.items for turn in line.begun] == [["a0", "a1"]]


async def test_others_never_wait_for_a_number_worth_a_batch() -> None:
    line = Line(further_min=16)
    line.add("a", 200)
    line.taken(), line.taken()
    line.add("b", 1)

    assert line.taken().items == ["b0"]
