"""Events of other services take effect once each, however often they come, and only for their tenant."""

import asyncio
from typing import cast

import pytest
from google.protobuf.message import DecodeError
from ordermesh.common.v1 import event_pb2

from libs.common.context import using
from libs.common.durable.intake import Context, EventIntakeServicer
from libs.common.durable.relay import Relay
from libs.common.durable.targets import ServiceTarget
from libs.common.errors import Refused
from libs.common.testing.records import NoteTx, WriteNote, a_context, write_note
from tests.integration.durable.world import World

CALL = cast(Context, None)
"""The servicer never looks at it."""


async def keep(event: event_pb2.Event, tx: NoteTx) -> None:
    if event.data == b"refuse me":
        raise Refused("EVENT_UNKNOWN")
    await write_note(WriteNote(event.data.decode()), tx)


def an_event(
    event_id: str = "evt_1", data: bytes = b"x", tenant: str = "acme", subject: str = ""
) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=event_id,
        tenant=tenant,
        subject=subject,
        type="ordermesh.note.v1.NoteWritten",
        data=data,
        source_system="crm",
        correlation_id="cor-7",
    )


async def accept(world: World, *events: event_pb2.Event) -> list[str]:
    servicer = EventIntakeServicer(world.unit, keep)
    answer = await servicer.AcceptEvents(event_pb2.AcceptEventsRequest(events=events), CALL)
    return list(answer.accepted_event_ids)


async def test_an_event_that_comes_again_takes_effect_once(world: World) -> None:
    assert await accept(world, an_event()) == ["evt_1"]
    assert await accept(world, an_event(), an_event()) == ["evt_1", "evt_1"]

    assert await world.count("notes") == 1


async def test_an_event_that_comes_many_times_at_once_takes_effect_once(world: World) -> None:
    await asyncio.gather(*(accept(world, an_event(f"evt_{number % 5}")) for number in range(50)))

    assert await world.count("notes") == 5


async def test_another_tenant_s_event_is_refused(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await accept(world, an_event(tenant="other"))

    assert refused.value.reason == "PERMISSION_DENIED"
    assert await world.count("notes") == 0


async def test_what_follows_from_an_event_is_told_as_caused_by_it(world: World) -> None:
    await accept(world, an_event())

    (row,) = await world.rows("SELECT correlation_id, causation_id, source_system FROM event")
    assert row == {"correlation_id": "cor-7", "causation_id": "evt_1", "source_system": "crm"}


async def test_an_event_that_is_refused_may_come_again_once_it_is_understood(world: World) -> None:
    with pytest.raises(Refused):
        await accept(world, an_event(), an_event("evt_2", b"refuse me"), an_event("evt_3"))

    assert await world.rows("SELECT key FROM idempotency") == [{"key": "evt_1"}]
    assert await accept(world, an_event(), an_event("evt_2"), an_event("evt_3")) == [
        "evt_1",
        "evt_2",
        "evt_3",
    ]
    assert await world.count("notes") == 3


async def test_events_of_several_subjects_that_come_together_share_a_commit(world: World) -> None:
    events = [an_event(f"evt_{number}", subject=f"notes/{number}") for number in range(10)]

    assert await accept(world, *events) == [event.event_id for event in events]

    assert await world.rows("SELECT count(DISTINCT xmin::text) AS commits FROM idempotency") == [
        {"commits": 1}
    ]


async def test_events_of_one_subject_take_effect_in_order(world: World) -> None:
    words = [b"one", b"two", b"three"]
    await accept(world, *(an_event(f"evt_{word!r}", word, subject="notes/1") for word in words))

    rows = await world.rows(
        "SELECT record->>'text' AS text FROM notes JOIN event ON subject = 'notes/' || record_id ORDER BY position"
    )
    assert [row["text"] for row in rows] == ["one", "two", "three"]


async def test_an_event_that_is_refused_keeps_none_of_another_subject_back(world: World) -> None:
    events = [an_event("evt_1", b"refuse me", subject="notes/1"), an_event("evt_2", subject="notes/2")]
    with pytest.raises(Refused) as refused:
        await accept(world, *events)

    assert refused.value.reason == "EVENT_UNKNOWN"
    assert await world.rows("SELECT key FROM idempotency") == [{"key": "evt_2"}]


async def test_an_event_that_cannot_be_read_keeps_none_of_another_subject_back(world: World) -> None:
    """Also where events are looked into before they are taken in."""

    def note_of(event: event_pb2.Event) -> list[str]:
        return [f"notes/{event_pb2.Event.FromString(event.data).event_id}"]

    async def keep_read(event: event_pb2.Event, tx: NoteTx) -> None:
        event_pb2.Event.FromString(event.data)
        await write_note(WriteNote(event.subject), tx)

    servicer = EventIntakeServicer(world.unit, keep_read, note_of)
    sound = event_pb2.Event(event_id="note_1").SerializeToString()
    events = [
        an_event("evt_1", sound, subject="notes/1"),
        an_event("evt_2", b"\xff", subject="notes/2"),
        an_event("evt_3", sound, subject="notes/3"),
    ]
    with pytest.raises(DecodeError):
        await servicer.AcceptEvents(event_pb2.AcceptEventsRequest(events=events), CALL)

    assert await world.rows("SELECT key FROM idempotency ORDER BY key") == [
        {"key": "evt_1"},
        {"key": "evt_3"},
    ]


async def test_a_relay_hands_events_to_another_service_once_in_effect(world: World) -> None:
    """The relay dies after the service has taken the event: it is handed over again, and changes nothing."""
    calls: list[str] = []
    servicer = EventIntakeServicer(world.unit, keep)

    class Wire:
        async def AcceptEvents(  # noqa: N802
            self, request: event_pb2.AcceptEventsRequest
        ) -> event_pb2.AcceptEventsResponse:
            calls.append(request.events[0].event_id)
            with using(a_context(actor="service:notes")):
                return await servicer.AcceptEvents(request, CALL)

    await world.write("x", "service:other")
    dead = world.new_relay({"service:other": ServiceTarget(Wire())}, unit=world.new_unit())
    await asyncio.gather(*(dead._try(delivery) for delivery in await dead.claim()))
    world.advance(60)
    relay: Relay[NoteTx] = world.new_relay({"service:other": ServiceTarget(Wire())})
    await relay.run_once()

    assert len(calls) == 2
    assert await world.count("notes") == 2
    assert await world.states() == ["DELIVERED"]
