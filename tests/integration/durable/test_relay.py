"""A delivery's life: in order, at most once in effect, and never lost, whatever the target says or does not say."""

import asyncio
from datetime import timedelta

import pytest
from ordermesh.connector.v1 import change_pb2

from libs.common.aggregate import Link
from libs.common.context import CallContext, current_context
from libs.common.durable.lanes import LanePolicy
from libs.common.durable.model import Delivered, Delivery, Follow, Outcome
from libs.common.durable.relay import LEASE
from libs.common.errors import NotDone, OutcomeUnknown, Refused, Violation
from libs.common.retry import RetryPolicy
from libs.common.testing.faults import MemorySystem, lost_reply, lost_request, refusing
from libs.common.testing.records import ChangeNote, NoteTx, change_note
from tests.integration.durable.world import ERP, Recorder, World, connector_target

STAGE = "stage:next"
AWAY = NotDone("SYSTEM_UNAVAILABLE")


# Order --------------------------------------------------------------------------------------------------


async def test_events_of_one_record_arrive_one_after_the_other_in_order(world: World) -> None:
    note_id = await world.write("0", STAGE)
    for number in range(1, 4):
        await world.change(note_id, str(number))
    target = Recorder()
    relay = world.new_relay({STAGE: target})

    rounds = [await relay.run_once() for _ in range(5)]

    assert rounds == [1, 1, 1, 1, 0]
    assert target.seen == [f"notes/{note_id}#{sequence}" for sequence in (1, 2, 3, 4)]


async def test_events_of_other_records_do_not_wait(world: World) -> None:
    ids = [await world.write(str(number), STAGE) for number in range(5)]
    target = Recorder()

    assert await world.new_relay({STAGE: target}).run_once() == 5

    assert sorted(target.seen) == sorted(f"notes/{note_id}#1" for note_id in ids)


async def test_one_target_does_not_wait_for_another(world: World) -> None:
    note_id = await world.write("0", STAGE, "stage:other")
    await world.change(note_id, "1")
    dead, alive = Recorder(*[Refused("CREDIT_HOLD")] * 9), Recorder()
    relay = world.new_relay({STAGE: dead, "stage:other": alive})

    while await relay.run_once():
        pass

    assert len(dead.seen) == 1
    assert len(alive.seen) == 2


async def test_followers_wait_behind_a_parked_delivery_and_other_records_flow(world: World) -> None:
    stuck = await world.write("0", STAGE)
    await world.change(stuck, "1")
    target = Recorder(Refused("CREDIT_HOLD"))
    relay = world.new_relay({STAGE: target})
    await relay.run_once()
    free = await world.write("2", STAGE)

    while await relay.run_once():
        pass

    assert target.seen == [f"notes/{stuck}#1", f"notes/{free}#1"]
    assert await world.states() == ["PARKED", "PENDING", "DELIVERED"]


async def test_followers_wait_while_the_first_is_retried(world: World) -> None:
    note_id = await world.write("0", STAGE)
    await world.change(note_id, "1")
    target = Recorder(NotDone("RECORD_LOCKED"))
    relay = world.new_relay({STAGE: target})

    assert [await relay.run_once(), await relay.run_once()] == [1, 0]
    world.advance(1)
    assert [await relay.run_once(), await relay.run_once()] == [1, 1]
    assert target.seen == [f"notes/{note_id}#{sequence}" for sequence in (1, 1, 2)]


# What becomes of a try ----------------------------------------------------------------------------------


async def test_what_is_surely_not_done_is_retried_at_its_due_time(world: World) -> None:
    note_id = await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Recorder(NotDone("RECORD_LOCKED", "somebody edits it"))})

    await relay.run_once()

    row = await world.delivery(f"notes/{note_id}")
    assert (row["state"], row["attempt"], row["reason"]) == ("RETRYING", 1, "RECORD_LOCKED")
    assert (row["failure_class"], row["owner"], row["lease_id"]) == ("technical", "integration", None)
    assert row["due_time"] == world.clock.now() + timedelta(milliseconds=200)
    world.clock.advance(timedelta(milliseconds=199))
    assert await relay.run_once() == 0
    world.clock.advance(timedelta(milliseconds=1))
    assert await relay.run_once() == 1
    assert await world.states() == ["DELIVERED"]


async def test_a_retry_after_is_waited_for(world: World) -> None:
    await world.write("x", STAGE)
    locked = NotDone("RECORD_LOCKED", retry_after=timedelta(minutes=7))
    relay = world.new_relay({STAGE: Recorder(locked)})

    await relay.run_once()

    assert (await world.delivery())["due_time"] == world.clock.now() + timedelta(minutes=7)


async def test_a_delivery_is_parked_once_its_attempts_are_spent(world: World) -> None:
    await world.write("x", STAGE)
    target = Recorder(*[NotDone("RECORD_LOCKED", "somebody edits it")] * 9)
    relay = world.new_relay({STAGE: target})

    for _ in range(5):
        await relay.run_once()
        world.advance(600)

    row = await world.delivery()
    assert len(target.seen) == 3
    assert (row["state"], row["reason"], row["attempt"]) == ("PARKED", "ATTEMPTS_SPENT", 3)
    assert row["detail"] == "RECORD_LOCKED: somebody edits it"
    assert row["park_time"] is not None
    assert [attempt["outcome"] for attempt in await world.attempts()] == ["retrying", "retrying", "parked"]


async def test_a_refused_delivery_is_parked_with_all_a_person_needs(world: World) -> None:
    await world.write("x", ERP)
    refusal = Refused(
        "REFERENCE_UNKNOWN",
        "no such customer",
        violations=[Violation("order.sold_to", "is unknown")],
        verdict="INVALID_KEY",
    )
    system = MemorySystem()
    system.apply_faults.append(refusing(refusal))

    await world.new_relay({ERP: connector_target(system)}).run_once()

    row = await world.delivery()
    told = {name: row[name] for name in ("state", "reason", "failure_class", "owner", "detail", "pointer")}
    assert told == {
        "state": "PARKED",
        "reason": "REFERENCE_UNKNOWN",
        "failure_class": "business",
        "owner": "master-data",
        "detail": "no such customer (INVALID_KEY)",
        "pointer": "order.sold_to",
    }
    assert row["park_time"] == world.clock.now()


async def test_an_outside_system_s_words_never_keep_a_delivery_from_settling(world: World) -> None:
    await world.write("x", ERP)
    system = MemorySystem()
    words = "nul \x00 inside, " + "long " * 1000
    system.apply_faults.append(refusing(Refused("ERP_REFUSED", words, verdict="\x00")))

    await world.new_relay({ERP: connector_target(system)}).run_once()

    row = await world.delivery()
    assert row["state"] == "PARKED"
    assert len(str(row["detail"])) <= 2000


async def test_each_try_leaves_what_went_over_the_wire(world: World) -> None:
    await world.write("x", ERP)
    system = MemorySystem()
    system.apply_faults.append(refusing(NotDone("RECORD_LOCKED")))
    relay = world.new_relay({ERP: connector_target(system)})

    await relay.run_once()
    world.advance(1)
    await relay.run_once()

    attempts = await world.attempts()
    assert [(row["number"], row["outcome"], row["reason"]) for row in attempts] == [
        (1, "retrying", "RECORD_LOCKED"),
        (2, "delivered", ""),
    ]
    assert attempts[1]["mapping"] == "memory.note@1"
    assert attempts[1]["operation"] == "PUT /documents"
    assert len(bytes(attempts[1]["request_digest"])) == 32  # type: ignore[call-overload]
    assert attempts[1]["sealed_exchange"] == b""


# In doubt -----------------------------------------------------------------------------------------------


async def test_a_lost_reply_is_in_doubt_and_the_next_try_asks_first(world: World) -> None:
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    system.apply_faults.append(lost_reply())
    relay = world.new_relay({ERP: connector_target(system)})

    await relay.run_once()
    assert await world.states() == ["IN_DOUBT"]
    world.advance(1)
    await relay.run_once()

    assert await world.states() == ["DELIVERED"]
    assert system.calls == [f"apply {note_id}", f"find {note_id}"]
    assert system.keys() == [note_id]
    assert [attempt["outcome"] for attempt in await world.attempts()] == ["in_doubt", "found"]


async def test_a_lost_request_is_repeated_only_once_it_is_known_not_to_have_arrived(world: World) -> None:
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    system.apply_faults.append(lost_request())
    relay = world.new_relay({ERP: connector_target(system)})

    await relay.run_once()
    world.advance(1)
    await relay.run_once()

    assert system.calls == [f"apply {note_id}", f"find {note_id}", f"apply {note_id}"]
    assert system.keys() == [note_id]
    assert await world.states() == ["DELIVERED"]


@pytest.mark.parametrize(
    "error", [AWAY, NotDone("RECORD_LOCKED"), OutcomeUnknown("OUTCOME_UNKNOWN"), ValueError()]
)
async def test_a_look_up_that_fails_proves_nothing_and_the_delivery_stays_in_doubt(
    world: World, error: Exception
) -> None:
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    system.apply_faults.append(lost_reply())
    relay = world.new_relay({ERP: connector_target(system)})
    await relay.run_once()
    world.advance(1)
    system.find_faults.append(refusing(error))

    await relay.run_once()

    assert await world.states() == ["IN_DOUBT"]
    assert system.keys() == [note_id]
    world.advance(60)
    await relay.run_once()
    assert await world.states() == ["DELIVERED"]
    assert system.keys() == [note_id]


async def test_a_found_record_that_is_to_be_changed_is_changed_under_its_own_id(world: World) -> None:
    """Finding it does not prove that it has what this change brings."""
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    system.apply_faults.append(lost_reply())
    relay = world.new_relay({ERP: connector_target(system, creates=False)})

    await relay.run_once()
    world.advance(1)
    await relay.run_once()

    assert system.calls == [f"apply {note_id}", f"find {note_id}", f"apply {note_id}"]
    assert system.keys() == [note_id]


async def test_what_stays_in_doubt_is_parked_in_the_end_and_still_asked_first_when_replayed(
    world: World,
) -> None:
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    system.apply_faults.append(lost_reply())
    system.find_faults.extend([refusing(NotDone("RECORD_LOCKED"))] * 9)
    relay = world.new_relay({ERP: connector_target(system)})

    for _ in range(5):
        await relay.run_once()
        world.advance(600)

    assert await world.states() == ["PARKED"]
    assert system.calls == [f"apply {note_id}", f"find {note_id}", f"find {note_id}"]


async def test_a_try_that_takes_too_long_is_in_doubt(world: World) -> None:
    await world.write("x", ERP)
    system = MemorySystem(gate=asyncio.Event())
    policy = LanePolicy(seconds_max=0.01, retry=RetryPolicy(attempts_max=3))
    relay = world.new_relay({ERP: connector_target(system)}, policy=policy)

    await relay.run_once()

    row = await world.delivery()
    assert (row["state"], row["reason"]) == ("IN_DOUBT", "DEADLINE_EXCEEDED")
    assert relay.lanes[ERP].in_flight == 0


async def test_a_call_that_is_broken_off_under_way_is_in_doubt(world: World) -> None:
    """gRPC cancels the calls of a channel that closes; the delivery must not vanish with its task."""
    await world.write("x", ERP)
    relay = world.new_relay({ERP: BreaksOff()})

    await relay.run_once()

    assert await world.states() == ["IN_DOUBT"]
    assert relay.lanes[ERP].in_flight == 0


class BreaksOff:
    """A target whose call is cancelled by somebody else."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        raise asyncio.CancelledError


async def test_only_what_writes_outside_can_be_in_doubt(world: World) -> None:
    """A stage or a service takes each event once: it is simply handed over again."""
    await world.write("x", STAGE)
    relay = world.new_relay({STAGE: Recorder(OutcomeUnknown("DEADLINE_EXCEEDED"))})

    await relay.run_once()

    assert await world.states() == ["RETRYING"]


async def test_a_crash_while_delivering_is_in_doubt_and_parked_in_the_end(world: World) -> None:
    await world.write("x", ERP)
    relay = world.new_relay({ERP: Recorder(*[ValueError("a bug")] * 9)})

    await relay.run_once()
    assert (await world.delivery())["reason"] == "CRASHED"
    for _ in range(4):
        world.advance(600)
        await relay.run_once()

    row = await world.delivery()
    assert (row["state"], row["reason"], row["attempt"]) == ("PARKED", "CRASHED", 3)
    assert "a bug" not in str(row["detail"])


# What follows -------------------------------------------------------------------------------------------


async def test_what_follows_commits_with_the_settlement(world: World) -> None:
    note_id = await world.write("x", STAGE)

    async def follow(tx: NoteTx) -> None:
        await change_note(ChangeNote(note_id, "followed"), tx)

    await world.new_relay({STAGE: Recorder(follow=follow)}).run_once()

    assert await world.rows("SELECT text FROM notes") == [{"text": "followed"}]
    events = await world.rows("SELECT actor, causation_id, correlation_id FROM event ORDER BY position")
    first = (await world.rows("SELECT event_id FROM event ORDER BY position"))[0]
    assert events[1] == {"actor": "relay:notes", "causation_id": first["event_id"], "correlation_id": "cor-1"}


async def test_a_refusal_of_what_follows_parks_and_changes_nothing(world: World) -> None:
    note_id = await world.write("x", STAGE)

    async def follow(tx: NoteTx) -> None:
        await change_note(ChangeNote(note_id, "followed"), tx)
        raise Refused("STATE_FORBIDS")

    await world.new_relay({STAGE: Recorder(follow=follow)}).run_once()

    assert (await world.delivery())["reason"] == "STATE_FORBIDS"
    assert await world.states() == ["PARKED"]
    assert await world.rows("SELECT text FROM notes") == [{"text": "x"}]


def crashing(note_id: str, text: str = "followed") -> Follow:
    async def follow(tx: NoteTx) -> None:
        await change_note(ChangeNote(note_id, text), tx)
        raise ValueError("a bug")

    return follow


async def test_a_crash_of_what_follows_is_retried_and_parked_in_the_end(world: World) -> None:
    note_id = await world.write("x", STAGE)
    target = Recorder(follow=crashing(note_id))
    relay = world.new_relay({STAGE: target})

    states = []
    for _ in range(4):
        await relay.run_once()
        states += await world.states()
        world.advance(600)

    assert states == ["RETRYING", "RETRYING", "PARKED", "PARKED"]
    assert len(target.seen) == 3
    row = await world.delivery()
    assert (row["reason"], row["detail"]) == ("ATTEMPTS_SPENT", "CRASHED: ValueError while settling")
    assert await world.rows("SELECT text FROM notes") == [{"text": "x"}]


@pytest.mark.parametrize("fault", [ValueError("a bug"), NotDone("RECORD_LOCKED")])
async def test_a_write_outside_is_never_repeated_because_what_follows_failed(
    world: World, fault: Exception
) -> None:
    """The system has the document; only our own record of it could not be stored."""
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    failures = [fault]

    def follow(receipt: change_pb2.Receipt) -> Follow:
        async def link(tx: NoteTx) -> None:
            if failures:
                raise failures.pop()
            await change_note(ChangeNote(note_id, f"linked to {receipt.external_id}"), tx)

        return link

    relay = world.new_relay({ERP: connector_target(system, follow=follow)})
    await relay.run_once()
    assert await world.states() == ["IN_DOUBT"]
    world.advance(1)
    await relay.run_once()

    assert system.calls == [f"apply {note_id}", f"find {note_id}"]
    assert system.keys() == [note_id]
    assert (await world.rows("SELECT text FROM notes"))[0]["text"] == "linked to x1"


@pytest.mark.parametrize("text", ["nul \x00 inside", "followed"])
async def test_a_consequence_that_cannot_be_stored_parks_and_holds_up_nobody(world: World, text: str) -> None:
    """One by a value that no column holds, the other by breaking the transaction under everybody."""
    ids = [await world.write(str(number), STAGE) for number in range(5)]

    class Follows:
        async def deliver(self, delivery: Delivery) -> Outcome:
            bad = delivery.event.record_id == ids[2]

            async def follow(tx: NoteTx) -> None:
                await change_note(ChangeNote(delivery.event.record_id, text if bad else "fine"), tx)
                if bad:
                    await tx.driver.execute("SELECT 1 / 0")

            async def store(tx: NoteTx) -> None:
                await change_note(ChangeNote(delivery.event.record_id, text if bad else "fine"), tx)

            return Delivered(follow=follow if text == "followed" else store)

    relay = world.new_relay({STAGE: Follows()})
    for _ in range(4):
        await relay.run_once()
        world.advance(600)

    found = await world.rows(
        "SELECT subject, state FROM delivery WHERE sequence = 1 AND state <> 'DELIVERED'"
    )
    assert found == [{"subject": f"notes/{ids[2]}", "state": "PARKED"}]
    assert sorted(str(row["text"]) for row in await world.rows("SELECT text FROM notes")) == [
        "2",
        *["fine"] * 4,
    ]


async def test_deliveries_that_end_together_settle_in_one_commit(world: World) -> None:
    ids = [await world.write(str(number), STAGE) for number in range(6)]

    class Follows:
        async def deliver(self, delivery: Delivery) -> Outcome:
            async def follow(tx: NoteTx) -> None:
                await change_note(ChangeNote(delivery.event.record_id, "followed"), tx)

            return Delivered(follow=follow)

    await world.new_relay({STAGE: Follows()}).run_once()

    commits = await world.rows("SELECT count(DISTINCT xmin::text) AS commits FROM notes")
    assert commits == [{"commits": 1}]
    assert len(ids) == 6


async def test_an_outside_record_linked_to_two_of_ours_parks_the_second(world: World) -> None:
    ids = [await world.write(str(number), ERP) for number in range(2)]

    class LinksAll:
        async def deliver(self, delivery: Delivery) -> Outcome:
            async def follow(tx: NoteTx) -> None:
                link = Link("erp", "110")
                await change_note(ChangeNote(delivery.event.record_id, "linked", link), tx)

            return Delivered(follow=follow)

    await world.new_relay({ERP: LinksAll()}).run_once()

    rows = await world.rows("SELECT state, reason FROM delivery WHERE sequence = 1 ORDER BY state")
    assert rows == [
        {"state": "DELIVERED", "reason": ""},
        {"state": "PARKED", "reason": "DUPLICATE_CANDIDATE"},
    ]
    assert await world.count("link") == 1
    assert len(ids) == 2


# Leases -------------------------------------------------------------------------------------------------


async def test_what_a_dead_process_held_is_asked_about_first_when_it_wrote_outside(world: World) -> None:
    note_id = await world.write("x", ERP)
    system = MemorySystem()
    target = connector_target(system)
    dead = world.new_relay({ERP: target}, unit=world.new_unit())
    (held,) = await dead.claim()
    await target.deliver(held)  # the document is made, and the process dies before it settles

    relay = world.new_relay({ERP: target})
    assert await relay.run_once() == 0
    world.clock.advance(LEASE)
    assert await relay.run_once() == 1

    assert system.calls == [f"apply {note_id}", f"find {note_id}"]
    assert system.keys() == [note_id]
    assert await world.states() == ["DELIVERED"]


async def test_what_a_dead_process_held_is_run_again_when_it_was_our_own(world: World) -> None:
    await world.write("x", STAGE)
    await world.new_relay({STAGE: Recorder()}, unit=world.new_unit()).claim()
    world.clock.advance(LEASE)
    relay = world.new_relay({STAGE: Recorder()})

    (held,) = await relay.claim()

    assert (held.state, held.attempt) == ("PENDING", 2)


async def test_a_settlement_after_the_lease_was_lost_changes_nothing(world: World) -> None:
    note_id = await world.write("x", STAGE)

    async def follow(tx: NoteTx) -> None:
        await change_note(ChangeNote(note_id, "too late"), tx)

    slow = world.new_relay({STAGE: Recorder(follow=follow)}, unit=world.new_unit())
    late = [await slow._try(delivery) for delivery in await slow.claim()]
    world.clock.advance(LEASE)
    relay = world.new_relay({STAGE: Recorder(Refused("CREDIT_HOLD"))})
    await relay.run_once()

    await slow.settle(late)

    assert await world.states() == ["PARKED"]
    assert await world.rows("SELECT text FROM notes") == [{"text": "x"}]
    assert len(await world.attempts()) == 1


async def test_a_delivery_that_kills_its_process_each_time_is_parked_in_the_end(world: World) -> None:
    await world.write("x", STAGE)
    for _ in range(3):
        assert len(await world.new_relay({STAGE: Recorder()}).claim()) == 1
        world.clock.advance(LEASE)

    target = Recorder()
    await world.new_relay({STAGE: target}).run_once()

    assert target.seen == []
    assert (await world.delivery())["reason"] == "CRASHED"
    assert await world.states() == ["PARKED"]


async def test_a_try_never_outlives_its_lease(world: World) -> None:
    """A claim that took long leaves the try less time; none at all, and it is not begun."""
    await world.write("x", ERP)
    system = MemorySystem(gate=asyncio.Event())
    policy = LanePolicy(seconds_max=3600)
    relay = world.new_relay({ERP: connector_target(system)}, policy=policy)
    (held,) = await relay.claim()

    world.clock.advance(LEASE - timedelta(seconds=5) - timedelta(milliseconds=10))
    tried = await relay._try(held)
    world.clock.advance(timedelta(milliseconds=10))
    not_begun = await relay._try(held)

    assert tried.outcome.error.reason == "DEADLINE_EXCEEDED"  # type: ignore[union-attr]
    assert not_begun.outcome.error.reason == "OVERLOADED"  # type: ignore[union-attr]
    assert len(system.calls) == 1


async def test_a_target_is_called_on_behalf_of_who_caused_the_event(world: World) -> None:
    seen: list[CallContext] = []

    class Looks:
        async def deliver(self, delivery: Delivery) -> Outcome:
            seen.append(current_context())
            return Delivered()

    await world.write("x", STAGE)
    await world.new_relay({STAGE: Looks()}).run_once()

    event = (await world.rows("SELECT event_id FROM event"))[0]
    (context,) = seen
    assert (context.tenant, context.system, context.actor) == ("acme", "mesh", "relay:notes")
    assert (context.correlation_id, context.causation_id) == ("cor-1", event["event_id"])
