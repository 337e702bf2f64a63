"""What changed outside is taken in once, in order, with its cursor; what cannot be taken in stops nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from random import random

import pytest
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.aggregate import Link, is_stale
from libs.common.durable import ingest as ingest_module
from libs.common.durable.aside import IntakeTarget
from libs.common.durable.cursors import Raced
from libs.common.durable.ingest import AGAIN_AFTER, PAGE, Feed, Ingest
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, OutcomeUnknown, Refused
from libs.common.telemetry import accepted_traceparent, ids_in
from libs.common.testing.faults import DatabaseLink, Fault, MemorySystem
from libs.common.testing.records import ChangeNote, NoteTx, WriteNote, change_note, write_note
from tests.integration.durable.world import World, until, until_set

INTAKE = "intake:erp"
EVERY = timedelta(seconds=5)
SOON = 5.0
MESSAGES_MAX = 100


def a_change(
    external_id: str, text: str = "x", *, minute: int = 0, version: str = "", echo: bool = False
) -> change_pb2.ExternalChange:
    """The text travels in the key; times are minutes of one hour."""
    change = change_pb2.ExternalChange(
        kind=change_pb2.KIND_ORDER,
        ref=external_ref_pb2.ExternalRef(system="erp", external_id=external_id),
        key=text,
        version=version or f"{external_id} {text} {minute}",
        mapping="memory.note@1",
        echo=echo,
    )
    change.changed_time.FromJsonString(f"2026-03-01T11:{minute:02}:00Z")
    return change


class TakesIn:
    """Writes or changes the note that an outside record is linked to, and fails for texts as told."""

    def __init__(self) -> None:
        self.failing: dict[str, Exception] = {}
        self.calls = 0

    async def __call__(self, change: change_pb2.ExternalChange, tx: NoteTx) -> None:
        self.calls += 1
        link = Link("erp", change.ref.external_id, version=change.changed_time.ToJsonString())
        note = await tx.notes.by_link("erp", change.ref.external_id)
        if note is not None and (is_stale(note.link_of("erp"), link) or note.text == change.key):
            return
        if note is None:
            await write_note(WriteNote(change.key, links=(link,)), tx)
        else:
            await change_note(ChangeNote(note.record_id, change.key, link), tx)
        if change.key in self.failing:
            raise self.failing[change.key]
        if change.key == "breaks the transaction":
            await tx.driver.execute("SELECT 1 / 0")


class Inward:
    """One feed of notes and what it takes to read it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.system = MemorySystem()
        self.take_in = TakesIn()
        self.drawn = 0.0
        self.feed = Feed("acme", "erp", "KIND_ORDER", self.system, EVERY)
        self.ingest = self.new_ingest()

    def new_ingest(self, unit: Unit[NoteTx] | None = None) -> Ingest[NoteTx]:
        """Of another process."""
        return Ingest(
            unit or self.world.unit,
            [self.feed],
            self.take_in,
            clock=self.world.clock,
            draw=lambda: self.drawn,
        )

    def says(self, *changes: change_pb2.ExternalChange) -> None:
        self.system.feed += [connector_service_pb2.ReadChangesResponse(change=change) for change in changes]

    async def read(self) -> int:
        return await self.ingest.run_once(self.feed)

    async def retry(self) -> int:
        """Tries what is set aside; later tries need a later time."""
        return await self.world.new_relay({INTAKE: IntakeTarget(self.take_in)}).run_once()

    async def texts(self) -> list[str]:
        return sorted(str(row["text"]) for row in await self.world.rows("SELECT text FROM notes"))

    async def position(self) -> str:
        rows = await self.world.rows("SELECT position FROM cursor")
        return bytes(rows[0]["position"]).decode() if rows else ""  # type: ignore[call-overload]

    async def asides(self) -> list[tuple[object, object]]:
        """State and reason of each change that was set aside, in order."""
        rows = await self.world.rows("SELECT state, reason FROM delivery ORDER BY delivery_id")
        return [(row["state"], row["reason"]) for row in rows]


@pytest.fixture
def inward(world: World) -> Inward:
    return Inward(world)


# The cursor ---------------------------------------------------------------------------------------------


async def test_records_links_and_cursor_commit_together(inward: Inward) -> None:
    inward.says(a_change("1", "one"), a_change("2", "two"))

    assert await inward.read() == 2

    assert await inward.texts() == ["one", "two"]
    assert await inward.position() == "2"
    assert await inward.world.count("link") == 2


async def test_each_change_begins_a_trace_which_all_that_follows_from_it_goes_on_with(inward: Inward) -> None:
    inward.says(a_change("1", "one"), a_change("2", "two"))

    await inward.read()

    told = [str(row["traceparent"]) for row in await inward.world.rows("SELECT traceparent FROM event")]
    assert len({ids_in(traceparent)[0] for traceparent in told}) == 2
    assert all(accepted_traceparent(traceparent) for traceparent in told)


async def test_the_next_reading_goes_on_where_the_last_one_ended(inward: Inward) -> None:
    inward.says(a_change("1", "one"))
    await inward.read()
    inward.says(a_change("2", "two"))

    assert await inward.read() == 1

    assert inward.system.calls == ["read ", "read 1"]
    assert await inward.position() == "2"


async def test_a_connection_lost_at_any_message_moves_the_cursor_with_its_records_or_not_at_all(
    world: World,
) -> None:
    def bad_third(at: int) -> list[change_pb2.ExternalChange]:
        return [a_change(f"{at}-{number}", text) for number, text in enumerate(("one", "two", "bad"))]

    async for at, inward, ingest, link in cut_after_each_message(world, bad_third):
        inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
        before = await world.count("notes"), await world.count("delivery")
        await read_and_mend(inward, ingest, link)
        after = await world.count("notes") - before[0], await world.count("delivery") - before[1]
        assert (*after, await inward.position()) in ((2, 1, "3"), (0, 0, "")), f"cut after {at} messages"

        await ingest.run_once(inward.feed)
        assert await world.count("notes") == before[0] + 2
        assert await world.count("delivery") == before[1] + 1


async def cut_after_each_message(
    world: World, changes: Callable[[int], list[change_pb2.ExternalChange]], step: int = 1
) -> AsyncIterator[tuple[int, Inward, Ingest[NoteTx], DatabaseLink]]:
    """A fresh feed each time, read over a link that is cut `step` messages later than the last, until none is cut."""
    for at in range(0, MESSAGES_MAX, step):
        async with DatabaseLink(world.postgres.folder) as link:
            await world.execute("DELETE FROM cursor")
            inward = Inward(world)
            inward.says(*changes(at))
            ingest = inward.new_ingest(world.new_unit(url=link.url))
            link.cut_after(at)
            yield at, inward, ingest, link
            await world.close()
            if not link.was_cut:
                return
    raise AssertionError("the link was cut each time")


async def read_and_mend(inward: Inward, ingest: Ingest[NoteTx], link: DatabaseLink) -> None:
    with suppress(NotDone, OutcomeUnknown):
        await ingest.run_once(inward.feed)
    await link.mend()


async def test_a_large_page_is_taken_in_by_parts_each_of_which_moves_the_cursor_with_its_records(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.common.durable.ingest.TOGETHER_MAX", 2)
    stops: set[str] = set()

    def five(at: int) -> list[change_pb2.ExternalChange]:
        return [a_change(f"{at}-{number}", f"n{number}") for number in range(5)]

    async for at, inward, ingest, link in cut_after_each_message(world, five):
        before = await world.count("notes")
        await read_and_mend(inward, ingest, link)
        position = await inward.position()
        stops.add(position)
        assert await world.count("notes") - before == int(position or 0), f"cut after {at} messages"

        await ingest.run_once(inward.feed)
        assert await world.count("notes") == before + 5
        assert await inward.position() == "5"
    assert stops == {"", "2", "4", "5"}


async def test_readers_that_meet_in_the_middle_of_a_page_lose_nothing_and_double_nothing(
    inward: Inward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.common.durable.ingest.TOGETHER_MAX", 3)
    inward.says(*(a_change(str(number), f"n{number}") for number in range(20)))
    others = [inward.new_ingest(inward.world.new_unit()) for _ in range(2)]

    outcomes = await asyncio.gather(
        *(ingest.run_once(inward.feed) for ingest in (inward.ingest, *others) * 3), return_exceptions=True
    )
    await inward.read()

    assert all(isinstance(outcome, int | Raced) for outcome in outcomes)
    assert len(await inward.texts()) == await inward.world.count("event") == 20
    assert await inward.position() == "20"


async def test_a_page_read_twice_takes_effect_once(inward: Inward) -> None:
    inward.says(a_change("1", "one"), a_change("2", "two"), a_change("3", "bad"))
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    await inward.read()
    before = await inward.world.counts()

    await inward.world.execute("UPDATE cursor SET position = ''")
    assert await inward.read() == 3

    assert await inward.world.counts() == before
    assert await inward.position() == "3"


async def test_a_page_of_what_is_known_asks_for_it_by_one_statement(inward: Inward) -> None:
    """Beside what is said for any page, however long."""
    inward.says(*(a_change(str(number), "old") for number in range(20)))
    await inward.read()
    asked: list[str] = []

    async def take_in(change: change_pb2.ExternalChange, tx: NoteTx) -> None:
        with (await tx.driver.begun()).query_logger(lambda record: asked.append(record.query)):
            await inward.take_in(change, tx)

    inward.says(*(a_change(str(number), "new", minute=1) for number in range(20)))
    assert (
        await Ingest(inward.world.unit, [], take_in, clock=inward.world.clock, draw=random).run_once(
            inward.feed
        )
        == 20
    )

    assert set(await inward.texts()) == {"new"}
    assert asked == []


async def test_of_two_readers_one_takes_the_page_in_and_the_other_finds_out(inward: Inward) -> None:
    inward.says(*(a_change(str(number), f"n{number}") for number in range(20)))
    other = inward.new_ingest(inward.world.new_unit())

    outcomes = await asyncio.gather(
        *(ingest.run_once(inward.feed) for ingest in (inward.ingest, other) * 4), return_exceptions=True
    )

    assert outcomes.count(20) == 1
    assert all(outcome in (20, 0) or isinstance(outcome, Raced) for outcome in outcomes)
    assert len(await inward.texts()) == 20
    assert await inward.world.count("event") == 20


async def test_two_readers_in_turn_lose_nothing_and_double_nothing(inward: Inward) -> None:
    other = inward.new_ingest(inward.world.new_unit())
    for number in range(30):
        inward.says(a_change(str(number), f"n{number}"))
        if number % 3 == 0:
            readings = (inward.ingest.run_once(inward.feed), other.run_once(inward.feed))
            await asyncio.gather(*readings, return_exceptions=True)
    await inward.read()

    assert len(await inward.texts()) == await inward.world.count("event") == 30
    assert await inward.position() == "30"


async def test_a_long_feed_is_read_in_bounded_pages(inward: Inward) -> None:
    inward.says(*(a_change(str(number), "x") for number in range(PAGE + 5)))

    assert [await inward.read() for _ in range(3)] == [PAGE, 5, 0]


async def test_a_connector_that_knows_no_limit_is_cut_short(inward: Inward) -> None:
    class Endless(MemorySystem):
        async def ReadChanges(  # noqa: N802
            self, request: connector_service_pb2.ReadChangesRequest
        ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
            number = int(request.cursor or b"0")
            while True:
                number += 1
                yield connector_service_pb2.ReadChangesResponse(
                    change=a_change(str(number)), cursor=str(number).encode()
                )

    feed = Feed("acme", "erp", "KIND_ORDER", Endless(), EVERY)

    assert await inward.ingest.run_once(feed) == PAGE
    assert await inward.position() == str(PAGE)


async def test_an_answer_that_only_moves_the_cursor_moves_it(inward: Inward) -> None:
    inward.system.feed.append(connector_service_pb2.ReadChangesResponse())

    class OnlyCursor(MemorySystem):
        async def ReadChanges(  # noqa: N802
            self, request: connector_service_pb2.ReadChangesRequest
        ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
            yield connector_service_pb2.ReadChangesResponse(cursor=b"777")

    feed = Feed("acme", "erp", "KIND_ORDER", OnlyCursor(), EVERY)

    assert await inward.ingest.run_once(feed) == 0
    assert await inward.position() == "777"


async def test_what_we_have_changed_ourselves_is_passed_over(inward: Inward) -> None:
    inward.says(a_change("1", "ours", echo=True), a_change("2", "theirs"))

    await inward.read()

    assert await inward.texts() == ["theirs"]
    assert await inward.position() == "2"


async def test_each_change_is_audited_as_the_system_s_own(inward: Inward) -> None:
    inward.says(a_change("1", "one"))

    await inward.read()

    row = (await inward.world.rows("SELECT source_system, actor, rule FROM audit"))[0]
    assert row == {"source_system": "erp", "actor": "system:erp", "rule": "take_in:memory.note@1"}


# What cannot be taken in --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Refused("CREDIT_HOLD"), ValueError("a bug"), NotDone("REFERENCE_UNKNOWN")])
async def test_a_change_that_fails_is_set_aside_and_the_feed_goes_on(
    inward: Inward, fault: Exception
) -> None:
    inward.says(a_change("1", "one"), a_change("2", "bad"), a_change("3", "three"))
    inward.take_in.failing["bad"] = fault

    assert await inward.read() == 3

    assert await inward.texts() == ["one", "three"]
    assert await inward.position() == "3"
    delivery = await inward.world.delivery("erp-order/2")
    assert (delivery["target"], delivery["state"]) == (INTAKE, "PENDING")
    event = (await inward.world.rows("SELECT type, data FROM event WHERE subject = 'erp-order/2'"))[0]
    assert change_pb2.ExternalChange.FromString(event["data"]) == a_change("2", "bad")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["nul \x00 inside", "breaks the transaction"])
async def test_a_change_that_spoils_the_commit_of_all_is_set_aside_alone(inward: Inward, text: str) -> None:
    inward.says(
        a_change("1", "one"), a_change("2", text), a_change("3", "three"), a_change("4", "ours", echo=True)
    )

    assert await inward.read() == 4

    assert await inward.texts() == ["one", "three"]
    assert await inward.position() == "4"
    assert len(await inward.asides()) == 1
    assert await inward.read() == 0


async def test_a_change_that_claims_another_s_link_is_set_aside_and_the_feed_goes_on(inward: Inward) -> None:
    """It would never succeed, however often the page is read."""
    await inward.world.execute("INSERT INTO link VALUES ('acme', 'erp', 'notes', '2', 'note_gone', '', '')")
    inward.says(a_change("1", "one"), a_change("2", "two"))

    assert await inward.read() == 2

    assert await inward.texts() == ["one"]
    assert await inward.position() == "2"
    await inward.retry()
    assert await inward.asides() == [("PARKED", "DUPLICATE_CANDIDATE")]


async def test_a_page_taken_in_one_by_one_is_read_again_when_the_process_dies_on_the_way(
    world: World,
) -> None:
    def spoilt_second(at: int) -> list[change_pb2.ExternalChange]:
        texts = ("one", "breaks the transaction", "three")
        return [a_change(f"{at}-{number}", text) for number, text in enumerate(texts)]

    async for _, inward, ingest, link in cut_after_each_message(world, spoilt_second, step=3):
        before = await world.count("notes"), await world.count("delivery")
        await read_and_mend(inward, ingest, link)
        if await inward.position() != "3":
            await ingest.run_once(inward.feed)

        assert await inward.position() == "3"
        assert await world.count("notes") == before[0] + 2
        assert await world.count("delivery") == before[1] + 1


async def test_a_page_taken_in_one_by_one_is_left_alone_once_somebody_else_has_taken_it_in(
    inward: Inward,
) -> None:
    inward.says(a_change("1", "one"), a_change("2", "breaks the transaction"))
    slow = inward.new_ingest(inward.world.new_unit())
    page = await slow._read(inward.feed)
    await inward.read()
    calls = inward.take_in.calls

    with pytest.raises(Raced):
        await slow._commit_one_by_one(inward.feed, page)

    assert inward.take_in.calls == calls


async def test_a_change_that_was_set_aside_is_tried_again_as_the_system_s_own(inward: Inward) -> None:
    inward.says(a_change("1", "bad"))
    inward.take_in.failing["bad"] = NotDone("REFERENCE_UNKNOWN")
    await inward.read()
    await inward.retry()
    assert await inward.asides() == [("RETRYING", "REFERENCE_UNKNOWN")]

    inward.take_in.failing.clear()
    inward.world.advance(1)
    await inward.retry()

    assert await inward.asides() == [("DELIVERED", "")]
    assert await inward.texts() == ["bad"]
    row = (await inward.world.rows("SELECT source_system, actor FROM audit"))[0]
    assert row == {"source_system": "erp", "actor": "system:erp"}


async def test_a_refused_change_is_parked_and_closed_by_a_later_one_of_its_record(inward: Inward) -> None:
    inward.says(a_change("1", "bad"))
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    await inward.read()
    await inward.retry()
    assert await inward.asides() == [("PARKED", "CREDIT_HOLD")]

    inward.says(a_change("1", "mended", minute=5))
    await inward.read()

    assert await inward.asides() == [("DISCARDED", "SUPERSEDED")]
    row = await inward.world.delivery("erp-order/1")
    assert (row["settle_time"], row["park_time"]) == (inward.world.clock.now(), None)
    assert await inward.texts() == ["mended"]


async def test_a_later_change_of_the_same_page_closes_an_earlier_one(inward: Inward) -> None:
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    inward.says(a_change("1", "bad"), a_change("1", "mended", minute=5), a_change("2", "bad"))

    await inward.read()

    assert await inward.texts() == ["mended"]
    assert [row["subject"] for row in await inward.world.rows("SELECT subject FROM delivery")] == [
        "erp-order/2"
    ]


async def test_a_change_of_another_record_closes_nothing(inward: Inward) -> None:
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    inward.says(a_change("1", "bad"))
    await inward.read()

    inward.says(a_change("2", "good", minute=5))
    await inward.read()

    assert await inward.asides() == [("PENDING", "")]


async def test_an_older_change_told_again_does_not_close_a_newer_one(inward: Inward) -> None:
    """Feeds overlap: what is known succeeds trivially, and says nothing about what came after it."""
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    inward.says(a_change("1", "good", minute=1), a_change("1", "bad", minute=5))
    await inward.read()
    await inward.retry()

    inward.says(a_change("1", "good", minute=1))
    await inward.read()

    assert await inward.asides() == [("PARKED", "CREDIT_HOLD")]


async def test_the_same_change_told_again_is_not_set_aside_twice(inward: Inward) -> None:
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    inward.says(a_change("1", "bad"))
    await inward.read()
    await inward.retry()
    inward.says(a_change("1", "bad"))

    await inward.read()

    assert await inward.asides() == [("PARKED", "CREDIT_HOLD")]


async def test_of_one_record_only_the_newest_change_stays_open(inward: Inward) -> None:
    """It tells the whole of the record; behind a parked older one it would wait for a person in vain."""
    inward.take_in.failing.update({"bad": Refused("CREDIT_HOLD"), "worse": NotDone("REFERENCE_UNKNOWN")})
    inward.says(a_change("1", "bad"))
    await inward.read()
    await inward.retry()
    inward.says(a_change("1", "worse", minute=5))
    await inward.read()
    assert await inward.asides() == [("DISCARDED", "SUPERSEDED"), ("PENDING", "")]

    inward.take_in.failing.clear()
    await inward.retry()
    assert await inward.asides() == [("DISCARDED", "SUPERSEDED"), ("DELIVERED", "")]
    assert await inward.texts() == ["worse"]


async def test_a_change_is_closed_even_while_a_relay_tries_it(inward: Inward) -> None:
    inward.take_in.failing["bad"] = Refused("CREDIT_HOLD")
    inward.says(a_change("1", "bad"))
    await inward.read()
    relay = inward.world.new_relay({INTAKE: IntakeTarget(inward.take_in)})
    tried = [await relay._try(delivery) for delivery in await relay.claim()]

    inward.says(a_change("1", "mended", minute=5))
    await inward.read()
    await relay.settle(tried)

    assert await inward.asides() == [("DISCARDED", "SUPERSEDED")]
    assert await inward.texts() == ["mended"]


# The loop -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(ingest: Ingest[NoteTx]) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(ingest.run(stop))
    try:
        async with asyncio.timeout(SOON):
            yield stop
            stop.set()
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_loop_reads_on_while_there_is_more_and_then_waits(inward: Inward) -> None:
    inward.says(*(a_change(str(number), "x") for number in range(2 * PAGE + 1)))

    async with running(inward.ingest):
        await inward.world.clock.someone_waits()
        assert inward.world.clock.due_in == EVERY
        assert await inward.position() == str(2 * PAGE + 1)


async def test_a_bell_shortens_the_wait(inward: Inward) -> None:
    async with running(inward.ingest):
        await inward.world.clock.someone_waits()
        inward.says(a_change("1", "one"))
        inward.ingest.bells[inward.feed].set()
        await until(inward.texts)
        assert await inward.texts() == ["one"]


async def test_stopping_takes_no_time_however_long_the_loop_would_wait(inward: Inward) -> None:
    inward.feed = Feed("acme", "erp", "KIND_ORDER", inward.system, timedelta(hours=1))

    async with running(inward.new_ingest()):
        await inward.world.clock.someone_waits()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (NotDone("SYSTEM_UNAVAILABLE"), "SYSTEM_UNAVAILABLE"),
        (Refused("NOT_SUPPORTED"), "NOT_SUPPORTED"),
        (ValueError("a bug"), "CRASHED"),
        (TimeoutError(), "SYSTEM_UNAVAILABLE"),
    ],
)
async def test_a_feed_that_fails_is_noted_and_left_alone_longer_and_longer(
    inward: Inward, fault: Exception, reason: str
) -> None:
    inward.says(a_change("1", "one"))
    inward.system.read_faults.extend([Fault(fault)] * 11)
    waits: list[timedelta | None] = []
    clock = inward.world.clock

    async with running(inward.ingest):
        for _ in range(11):
            await clock.someone_waits()
            waits.append(clock.due_in)
            inward.ingest.bells[inward.feed].set()  # a bell does not shorten it
            await asyncio.sleep(0)
            assert clock.due_in == waits[-1]
            rows = await inward.world.rows("SELECT reason FROM cursor")
            assert rows == [{"reason": reason}]
            clock.advance(waits[-1] or timedelta(0))
            await until_set(lambda: clock.due_in is None)
        await clock.someone_waits()
        assert clock.due_in == EVERY

    least = [min(AGAIN_AFTER.wait_min * 2**number, AGAIN_AFTER.wait_max) / 2 for number in range(11)]
    assert waits == least
    assert least[-1] == timedelta(seconds=15)
    assert await inward.texts() == ["one"]
    assert await inward.world.rows("SELECT reason FROM cursor") == [{"reason": ""}]


async def test_feeds_that_failed_together_are_not_read_again_together(inward: Inward) -> None:
    inward.system.read_faults.append(Fault(NotDone("SYSTEM_UNAVAILABLE")))
    inward.drawn = 0.5

    async with running(inward.ingest):
        await inward.world.clock.someone_waits()
        assert inward.world.clock.due_in == AGAIN_AFTER.wait_min * 0.75


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        (timedelta(seconds=90), timedelta(seconds=90)),
        (timedelta(milliseconds=1), AGAIN_AFTER.wait_min / 2),
        (timedelta(days=9), AGAIN_AFTER.retry_after_max),
    ],
)
async def test_a_system_that_says_when_to_read_again_is_left_alone_until_then(
    inward: Inward, asked: timedelta, waits: timedelta
) -> None:
    inward.system.read_faults.append(Fault(NotDone("SYSTEM_THROTTLED", retry_after=asked)))

    async with running(inward.ingest):
        await inward.world.clock.someone_waits()
        assert inward.world.clock.due_in == waits


async def test_a_feed_that_hangs_is_given_up_in_time(inward: Inward, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs(MemorySystem):
        async def ReadChanges(  # noqa: N802
            self, request: connector_service_pb2.ReadChangesRequest
        ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
            await asyncio.Event().wait()
            yield connector_service_pb2.ReadChangesResponse()

    monkeypatch.setattr(ingest_module, "READ_SECONDS", 0.01)

    with pytest.raises(NotDone) as error:
        await inward.ingest.run_once(Feed("acme", "erp", "KIND_ORDER", Hangs(), EVERY))

    assert error.value.reason == "SYSTEM_UNAVAILABLE"


async def test_a_feed_that_fails_does_not_delay_another(inward: Inward) -> None:
    broken = Feed("acme", "crm", "KIND_ORDER", MemorySystem(), EVERY)
    broken.changes.read_faults.extend([Fault(ValueError())] * 9)  # type: ignore[attr-defined]
    inward.says(a_change("1", "one"))
    ingest = Ingest(
        inward.world.unit, [broken, inward.feed], inward.take_in, clock=inward.world.clock, draw=random
    )

    async with running(ingest):
        await until(inward.texts)
        assert await inward.texts() == ["one"]
