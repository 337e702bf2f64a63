"""A tenant that sends much is held back while others are about, and never kept from going on."""

import asyncio

import pytest

from gateway import company
from gateway.company import ALONE_AFTER, IN_COMPANY_MAX, YIELDING_MAX, Company, Place


class Door:
    """Orders that are handed in; each stays until it is let go."""

    def __init__(self) -> None:
        self.company = Company()
        self.begun: dict[str, list[Place]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def hand_in(self, tenant: str, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._order(tenant)) for _ in range(count)]
        await settled()

    async def _order(self, tenant: str) -> None:
        place = self.company.place(tenant)
        await place.take()
        self.begun.setdefault(tenant, []).append(place)

    async def end(self, tenant: str, count: int = 1) -> None:
        for _ in range(count):
            self.begun[tenant].pop(0).give_back()
        await settled()

    def under_way(self, tenant: str) -> int:
        return len(self.begun.get(tenant, ()))


async def settled() -> None:
    """Everything that is ready has run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_tenant_alone_has_as_much_under_way_as_it_sends() -> None:
    door = Door()
    await door.hand_in("a", 300)

    assert door.under_way("a") == 300


async def test_a_backlog_waits_while_another_tenant_is_about() -> None:
    door = Door()
    await door.hand_in("b")
    await door.end("b")
    await door.hand_in("a", 40)
    assert door.under_way("a") == IN_COMPANY_MAX

    await door.end("a", 3)
    assert door.under_way("a") == IN_COMPANY_MAX


async def test_who_sends_little_begins_at_once_and_the_other_yields_meanwhile() -> None:
    door = Door()
    await door.hand_in("b")
    await door.end("b")
    await door.hand_in("a", 40)
    await door.hand_in("b")
    assert door.under_way("b") == 1

    await door.end("a", IN_COMPANY_MAX)
    assert door.under_way("a") == YIELDING_MAX
    await door.end("b")
    assert door.under_way("a") == IN_COMPANY_MAX


async def test_two_that_both_send_much_do_not_yield_to_each_other() -> None:
    door = Door()
    await door.hand_in("b")
    await door.end("b")
    await door.hand_in("a", 40)
    await door.hand_in("b", 40)
    await door.end("a", IN_COMPANY_MAX)
    await door.end("b", door.under_way("b"))

    assert (door.under_way("a"), door.under_way("b")) == (IN_COMPANY_MAX, IN_COMPANY_MAX)


async def test_nobody_yields_to_one_that_has_much_under_way() -> None:
    door = Door()
    await door.hand_in("b", 1)
    await door.hand_in("a", 40)
    await door.hand_in("b", IN_COMPANY_MAX - 1)
    await door.end("a", YIELDING_MAX)

    assert door.under_way("b") == IN_COMPANY_MAX
    assert door.under_way("a") == IN_COMPANY_MAX


async def test_everything_handed_in_gets_its_turn_in_order() -> None:
    door = Door()
    await door.hand_in("b")
    await door.hand_in("a", 100)
    for _ in range(100):
        await door.end("a")

    assert all(task.done() for task in door.tasks)
    assert door.company._under_way == {"b": 1}
    assert door.company._waiting == {}


async def test_a_tenant_that_has_been_alone_for_long_is_held_back_no_more() -> None:
    door = Door()
    await door.hand_in("b")
    await door.end("b")
    await door.hand_in("a", ALONE_AFTER + 2 * IN_COMPANY_MAX)

    assert door.under_way("a") == ALONE_AFTER + 2 * IN_COMPANY_MAX


async def test_who_gives_up_waiting_leaves_the_place_to_the_next() -> None:
    door = Door()
    await door.hand_in("b")
    await door.hand_in("a", YIELDING_MAX + 2)
    begun = door.begun["a"][:]
    door.tasks[1 + YIELDING_MAX].cancel()
    await settled()
    await door.end("a")

    assert [place for place in door.begun["a"] if place not in begun] != []
    assert door.under_way("a") == YIELDING_MAX
    await door.end("a", YIELDING_MAX)
    assert door.company._under_way == {"b": 1}


async def test_who_gives_up_just_as_its_turn_comes_hands_the_place_on() -> None:
    door = Door()
    await door.hand_in("b")
    await door.hand_in("a", YIELDING_MAX + 2)
    door.begun["a"].pop(0).give_back()
    door.tasks[1 + YIELDING_MAX].cancel()
    await settled()

    assert door.under_way("a") == YIELDING_MAX
    assert door.tasks[2 + YIELDING_MAX].done()


async def test_what_does_not_end_keeps_nobody_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company, "WAIT_SECONDS_MAX", 0)
    door = Door()
    await door.hand_in("b")
    await door.hand_in("a", 5)
    await asyncio.wait(door.tasks)

    assert door.under_way("a") == 5
    await door.end("a", 5)
    assert door.company._waiting == {}


async def test_a_place_is_given_back_once() -> None:
    there = Company()
    with there.place("a") as place:
        await place.take()
        place.give_back()
        assert there._under_way == {}
        with there.place("a") as other:
            await other.take()

    assert there._under_way == {}


async def test_an_order_that_fails_gives_its_place_back() -> None:
    there = Company()

    async def fails() -> None:
        with there.place("a") as place:
            await place.take()
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await fails()

    assert there._under_way == {}
