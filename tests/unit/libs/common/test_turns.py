"""Parties that wait for the same places take turns, and a backlog stands before nobody else's work."""

import asyncio

from libs.common.turns import ALONE_AFTER, Turn, Turns, in_stretches


class Line:
    """Turns of numbered items; what is in `left` nobody waits for any more."""

    def __init__(self) -> None:
        self.left: set[str] = set()
        self.turns: Turns[str] = Turns(
            lambda item: item not in self.left, batches_max=4, of_party_max=2, items_max=50, in_company_max=10
        )

    def add(self, party: str, count: int) -> None:
        for number in range(count):
            self.turns.add(party, f"{party}{number}")

    def taken(self) -> Turn[str]:
        turn = self.turns.take()
        assert turn is not None
        return turn


def test_what_one_party_has_waiting_leaves_in_order() -> None:
    line = Line()
    line.add("a", 105)
    turns = [line.taken(), line.taken()]
    line.turns.ended(turns[0])
    turns.append(line.taken())

    assert [len(turn.items) for turn in turns] == [50, 50, 5]
    assert [item for turn in turns for item in turn.items] == [f"a{number}" for number in range(105)]
    assert len(line.turns) == 0


def test_a_party_alone_never_takes_all_places() -> None:
    line = Line()
    line.add("a", 200)

    assert [line.taken().parties, line.taken().parties] == [("a",), ("a",)]
    assert line.turns.take() is None


def test_a_backlog_does_not_stand_before_a_party_that_comes_later() -> None:
    line = Line()
    line.add("a", 200)
    line.taken(), line.taken()
    line.add("b", 1)

    assert line.taken().items == ["b0"]


def test_no_more_batches_are_under_way_than_there_are_places() -> None:
    line = Line()
    for party in "abc":
        line.add(party, 200)
        line.taken()
    line.taken()
    line.add("d", 1)

    assert line.turns.take() is None


def test_those_with_nothing_under_way_share_a_batch() -> None:
    line = Line()
    line.add("a", 8)
    line.add("b", 1)
    line.add("c", 5)

    assert line.taken().items == ["a0", "a1", "a2", "b0", "c0", "c1", "c2"]
    assert line.taken().items == ["a3", "a4", "a5", "a6", "a7"]


def test_of_many_with_nothing_under_way_each_gets_something_in_turn() -> None:
    line = Line()
    for number in range(25):
        line.add(f"party {number} item ", 1)

    taken = [line.taken().items for _ in range(3)]
    assert [len(items) for items in taken] == [10, 10, 5]
    assert len({item for items in taken for item in items}) == 25


def test_batches_are_large_for_a_party_that_is_alone_and_short_as_soon_as_it_is_not() -> None:
    line = Line()
    line.add("a", 10_000)

    def next_size() -> int:
        turn = line.taken()
        line.turns.ended(turn)
        return len(turn.items)

    assert [next_size(), next_size()] == [50, 50]
    under_way = line.taken()
    line.add("b", 1)
    assert next_size() == 1
    line.turns.ended(under_way)
    assert [next_size() for _ in range(ALONE_AFTER + 2)] == [10] * ALONE_AFTER + [50, 50]


def test_who_has_nothing_under_way_goes_before_who_has_and_the_others_in_turn() -> None:
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


def test_a_party_that_waits_gets_its_turn_however_many_others_keep_coming() -> None:
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


def test_what_nobody_waits_for_any_more_leaves_no_trace() -> None:
    line = Line()
    line.add("a", 3)
    line.add("b", 2)
    line.left = {"a0", "a1", "a2", "b0"}

    assert line.taken().items == ["b1"]
    assert (line.turns.take(), len(line.turns)) == (None, 0)


def test_a_party_whose_work_was_all_given_up_holds_no_place() -> None:
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
