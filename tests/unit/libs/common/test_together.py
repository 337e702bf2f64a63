"""Reads that wait at the same time are one statement; each asker gets its own answer or failure."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from libs.common.errors import NotDone, Refused
from libs.common.rpc.interceptors.deadline import ending_in, seconds_for
from libs.common.together import IN_FLIGHT, KEYS_MAX, Together


class Shelf:
    """Answers with the length of each key, but refuses `bad` and does not know `missing`."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self.asked: list[Sequence[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Semaphore(0)
        self.error: Exception | None = None
        self.together = Together(self._ask, keys_max=keys_max)

    async def _ask(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(keys)
        self.entered.release()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        if "bad" in keys:
            raise Refused("INVALID_FIELD")
        return {key: len(key) for key in keys if key != "missing"}

    async def length(self, key: str) -> int | None:
        return (await self.together.get([key])).get(key)


async def test_what_is_asked_at_the_same_time_is_asked_once() -> None:
    shelf = Shelf()

    assert await asyncio.gather(*map(shelf.length, ["a", "bb", "a", "missing"])) == [1, 2, 1, None]
    assert shelf.asked == [["a", "bb", "missing"]]


async def test_what_comes_while_answers_are_awaited_travels_together_next() -> None:
    shelf = Shelf()
    shelf.open.clear()
    first = []
    for number in range(IN_FLIGHT):
        first.append(asyncio.create_task(shelf.length("a" * number)))
        await shelf.entered.acquire()
    later = [asyncio.create_task(shelf.length(key)) for key in ("x", "yy")]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(shelf.asked) == IN_FLIGHT

    shelf.open.set()

    assert await asyncio.gather(*first, *later) == [*range(IN_FLIGHT), 1, 2]
    assert shelf.asked[IN_FLIGHT:] == [["x", "yy"]]


async def test_a_key_that_is_refused_is_refused_to_its_asker_alone() -> None:
    shelf = Shelf()

    good, bad = await asyncio.gather(shelf.length("good"), shelf.length("bad"), return_exceptions=True)

    assert good == 4
    assert isinstance(bad, Refused)


async def test_where_nothing_can_be_read_all_learn_it_and_later_ones_are_answered() -> None:
    shelf = Shelf()
    shelf.error = NotDone("STORE_UNAVAILABLE")
    told = await asyncio.gather(shelf.length("a"), shelf.length("b"), return_exceptions=True)
    assert [type(error) for error in told] == [NotDone, NotDone]
    assert len(shelf.asked) == 1

    shelf.error = None

    assert await shelf.length("a") == 1


async def test_an_asker_that_gives_up_leaves_the_others_their_answer() -> None:
    shelf = Shelf()
    shelf.open.clear()
    gone, stays = (asyncio.create_task(shelf.length(key)) for key in ("a", "b"))
    await shelf.entered.acquire()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone

    shelf.open.set()

    assert await stays == 1


async def test_no_statement_asks_for_more_than_its_bound() -> None:
    shelf = Shelf()
    keys = [f"key-{number}" for number in range(KEYS_MAX + 1)]

    await asyncio.gather(*map(shelf.length, keys))

    assert [len(asked) for asked in shelf.asked] == [KEYS_MAX, 1]


async def test_a_question_that_would_pass_the_bound_waits_for_the_next_statement() -> None:
    shelf = Shelf(keys_max=3)

    await asyncio.gather(*map(shelf.together.get, (["a", "b"], ["c", "d"], ["e"], ["f", "g", "h", "i"])))

    assert shelf.asked == [["a", "b"], ["c", "d", "e"], ["f", "g", "h", "i"]]


async def test_what_is_asked_for_several_has_the_deadline_of_none() -> None:
    deadlines: list[float | None] = []

    async def ask(keys: Sequence[str]) -> Mapping[str, int]:
        deadlines.append(seconds_for(None))
        return {}

    together = Together(ask)

    async def hurried(key: str) -> None:
        with ending_in(0.5):
            await together.get([key])

    await asyncio.gather(*map(hurried, "abc"))

    assert deadlines == [None]
