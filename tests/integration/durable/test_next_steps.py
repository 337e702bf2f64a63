"""Next steps that are held by the commit which makes them due: in line, within bounds, and lost in no crash."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from libs.common.durable.lanes import LanePolicy
from libs.common.durable.model import Delivered, Delivery, Outcome, Tried
from libs.common.durable.reads import Reads, at_hand
from libs.common.durable.relay import AFTER_FAULT, LEASE, POLL, Relay
from libs.common.durable.settling import Onward
from libs.common.errors import NotDone, OrdermeshError
from libs.common.testing.clock import START
from libs.common.testing.faults import DatabaseLink, MemorySystem
from libs.common.testing.records import NOTE, NoteEvent, NoteTx
from tests.integration.durable.test_relay_loop import Gate, all_delivered, at_rest, running
from tests.integration.durable.world import ERP, Recorder, World, connector_target, until

STAGE = "stage:next"
OTHER = "stage:other"
STEPS_MAX = 4


class Stepping:
    """A stage whose answer changes the note, which hears of that again, so many times."""

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.steps = steps
        self.seen: list[Delivery] = []

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.seen.append(delivery)

        async def follow(tx: NoteTx) -> None:
            note = await tx.notes.get(delivery.event.record_id)
            assert note is not None
            if note.sequence <= self.steps:
                await tx.notes.put(replace(note, text=f"{note.text}.").telling(NoteEvent.CHANGED))

        return Delivered(follow=follow)


async def a_step(relay: Relay[NoteTx]) -> list[Tried]:
    """What is due is tried, and not settled yet."""
    return [await relay._try(delivery) for delivery in await relay.claim()]


async def settled(relay: Relay[NoteTx], tried: list[Tried]) -> list[Delivery]:
    """Settles; what is held of what is due next."""
    onward = Onward(holds=True)
    await relay.settle(tried, onward)
    return onward.held


async def test_a_next_step_begins_without_a_bell_and_leaves_what_any_try_leaves(world: World) -> None:
    await world.write("x", STAGE)
    target = Stepping()
    relay = world.new_relay({STAGE: target})

    async with running(relay):
        await until(lambda: finished(world, STEPS_MAX + 1))

    assert [delivery.event.sequence for delivery in target.seen] == list(range(1, STEPS_MAX + 2))
    assert world.woken == [{STAGE}], "only the write has rung"
    assert [row["number"] for row in await world.attempts()] == [1] * (STEPS_MAX + 1)
    assert relay.lanes[STAGE].in_flight == 0


async def finished(world: World, count: int) -> bool:
    return await world.count("attempt") == count and await all_delivered(world)


async def test_what_is_held_is_what_a_claim_would_have_held(world: World) -> None:
    await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Stepping()})

    (held,) = await settled(relay, await a_step(relay))

    row = await world.delivery(sequence=2)
    assert (row["state"], row["attempt"], row["lease_id"]) == ("PENDING", 1, held.lease_id)
    assert row["due_time"] == world.clock.now()
    assert row["lease_end"] == held.lease_end == world.clock.now() + LEASE
    assert (held.delivery_id, held.attempt, held.target) == (row["delivery_id"], 1, STAGE)
    (event,) = await world.rows("SELECT * FROM event WHERE sequence = 2")
    assert {name: getattr(held.event, name) for name in held.event.__slots__} == {
        name: event[name] for name in held.event.__slots__
    }
    assert await relay.claim() == []
    assert relay.lanes[STAGE].in_flight == 1


async def test_a_process_that_dies_with_a_next_step_leaves_it_in_doubt_where_it_writes_outside(
    world: World,
) -> None:
    note_id = await world.write("x", ERP)
    system = MemorySystem()

    async def grow(tx: NoteTx) -> None:
        note = await tx.notes.get(note_id)
        assert note is not None
        await tx.notes.put(replace(note, text="y").telling(NoteEvent.CHANGED))

    died = world.new_relay({ERP: connector_target(system, follow=lambda receipt: grow)})
    (held,) = await settled(died, await a_step(died))
    assert held.target == ERP

    world.clock.advance(LEASE)
    successor = world.new_relay({ERP: connector_target(system)}, unit=world.new_unit())
    assert await successor.run_once() == 1
    assert system.calls == [f"apply {note_id}", f"find {note_id}"]
    assert (await world.delivery(sequence=2))["attempt"] == 2


async def test_nothing_is_held_behind_an_open_delivery_of_its_line(world: World) -> None:
    await world.write("x", STAGE, ERP)
    relay = world.new_relay({STAGE: Stepping(), ERP: Recorder(NotDone("RECORD_LOCKED"))})

    held = await settled(relay, await a_step(relay))

    assert [(delivery.target, delivery.event.sequence) for delivery in held] == [(STAGE, 2)]
    (behind,) = await world.rows("SELECT * FROM delivery WHERE target = $1 AND sequence = 2", ERP)
    assert (behind["lease_id"], behind["attempt"]) == (None, 0)
    assert relay.lanes[ERP].in_flight == 0


async def test_of_two_new_events_of_a_record_only_the_first_is_held(world: World) -> None:
    note_id = await world.write("x", STAGE)

    async def twice(tx: NoteTx) -> None:
        note = await tx.notes.get(note_id)
        assert note is not None
        await tx.notes.put(replace(note, text="y").telling(NoteEvent.CHANGED, NoteEvent.CHANGED))

    relay = world.new_relay({STAGE: Recorder(follow=twice)})

    (held,) = await settled(relay, await a_step(relay))

    assert held.event.sequence == 2
    assert (await world.delivery(sequence=3))["lease_id"] is None


async def test_what_waited_behind_a_settled_delivery_is_asked_for_at_once(world: World) -> None:
    note_id = await world.write("x", STAGE)
    await world.change(note_id, "y")
    relay = world.new_relay({STAGE: Recorder()})
    tried = await a_step(relay)
    relay.bell.answer()

    await relay.settle(tried)
    assert relay.bell.is_set()
    relay.bell.answer()
    await relay.settle(await a_step(relay))
    assert not relay.bell.is_set()


async def test_a_commit_that_fails_keeps_no_place_in_a_lane(world: World) -> None:
    async with DatabaseLink(world.postgres.folder) as link:
        await world.write("x", STAGE)
        relay = world.new_relay({STAGE: Stepping()}, unit=world.new_unit(url=link.url))
        tried = await a_step(relay)
        await link.cut()

        with pytest.raises(OrdermeshError):
            await settled(relay, tried)

        assert relay.lanes[STAGE].in_flight == 0
        await world.close()


class Stopping(Stepping):
    """A stage in which the process is told to stop while a try is under way."""

    stop = asyncio.Event()

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.stop.set()
        return await super().deliver(delivery)


async def test_a_relay_that_stops_holds_nothing_new(world: World) -> None:
    await world.write("x", STAGE)
    target = Stopping()

    async with running(world.new_relay({STAGE: target})) as target.stop:
        await target.stop.wait()

    row = await world.delivery(sequence=2)
    assert (row["state"], row["attempt"], row["lease_id"]) == ("PENDING", 0, None)


async def test_no_more_than_its_bound_runs_at_once_where_steps_follow_by_themselves(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE, OTHER) for number in range(12)))
    gate = Gate()
    relay = world.new_relay({STAGE: Stepping(2), OTHER: gate}, policy=LanePolicy(concurrency_max=4))

    async with running(relay):
        await gate.wait_for(4)
        gate.open.set()
        while not await finished(world, 72):
            await at_rest(world, relay)

    assert gate.in_flight_max == 4
    assert {lane.in_flight for lane in relay.lanes.values()} == {0}


async def test_the_record_a_step_was_made_with_is_not_read_again(world: World) -> None:
    await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Stepping()})
    (held,) = await settled(relay, await a_step(relay))
    reads = Reads(world.unit.store, NOTE)
    record_id = held.event.record_id

    with at_hand(held):
        found = await reads.get("acme", record_id)
        assert found is held.record
        assert await reads.get("globex", record_id) is None
    assert await reads.get("acme", record_id) == found


async def test_a_step_that_has_to_wait_reads_its_record_when_it_begins(world: World) -> None:
    await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Stepping()}, policy=LanePolicy(concurrency_max=4))
    (held,) = await settled(relay, await a_step(relay))
    relay.lanes[STAGE].in_flight += 4  # others are tried

    relay._begin([held])

    assert held.record is not None
    assert list(relay.lanes[STAGE].ready) == [replace(held, record=None)]


async def test_a_try_whose_lease_was_lost_to_ourselves_settles_nothing(world: World) -> None:
    await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Recorder(NotDone("RECORD_LOCKED"))})
    lost = await a_step(relay)
    world.clock.advance(LEASE)
    under_way = await relay.claim()

    await relay.settle(lost)

    row = await world.delivery()
    assert (row["state"], row["lease_id"]) == ("PENDING", under_way[0].lease_id)
    assert await world.attempts() == []


# Held ready -----------------------------------------------------------------------------------------------


class Slowing(Gate):
    """A gate through which the first few go at once."""

    def __init__(self, quick: int) -> None:
        super().__init__()
        self._quick = quick

    async def deliver(self, delivery: Delivery) -> Outcome:
        self._quick -= 1
        return Delivered() if self._quick >= 0 else await super().deliver(delivery)


async def test_what_waits_ready_is_handed_back_untried_when_the_loop_stops(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE) for number in range(10)))
    target = Slowing(2)
    relay = world.new_relay({STAGE: target}, policy=LanePolicy(concurrency_max=2))

    async with running(relay) as stop:
        await target.wait_for(2)
        while await held(world) != 4:
            await at_rest(world, relay)
        assert relay.lanes[STAGE].under_way == 2
        stop.set()
        await until(lambda: only_under_way(world))
        target.open.set()

    rows = await world.rows("SELECT state, attempt FROM delivery WHERE lease_id IS NULL")
    assert (
        sorted((row["state"], row["attempt"]) for row in rows)
        == [("DELIVERED", 1)] * 4 + [("PENDING", 0)] * 6
    )
    assert relay.lanes[STAGE].in_flight == 0


async def test_what_waits_ready_is_claimed_afresh_before_its_lease_runs_out(world: World) -> None:
    await asyncio.gather(*(world.write(str(number), STAGE) for number in range(10)))
    target = Slowing(2)
    relay = world.new_relay({STAGE: target}, policy=LanePolicy(concurrency_max=2))

    async with running(relay):
        await target.wait_for(2)
        while await held(world) != 4:
            await at_rest(world, relay)
        await world.clock.someone_waits(AFTER_FAULT)
        before = world.clock.now()
        world.clock.advance(LEASE / 2 + POLL)
        await until(lambda: claimed_afresh(world, before))
        target.open.set()
        await until(lambda: all_delivered(world))


async def held(world: World, since: datetime = START) -> int:
    """Deliveries under a lease that ends later than that."""
    rows = await world.rows("SELECT 1 FROM delivery WHERE lease_end > $1", since)
    return len(rows)


async def claimed_afresh(world: World, before: datetime) -> bool:
    return await held(world, before + LEASE) == 2


async def only_under_way(world: World) -> bool:
    return await held(world) == 2
