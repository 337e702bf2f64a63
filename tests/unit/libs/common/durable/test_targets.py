"""What each kind of target does with a delivery, and with an answer that does not come."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis.exceptions
from ordermesh.common.v1 import event_pb2
from ordermesh.connector.v1 import change_pb2

from libs.common.context import current_context, using
from libs.common.durable.model import Delivered, Delivery, State, StoredEvent, context_of
from libs.common.durable.targets import (
    EVENTS_MAX,
    ConnectorTarget,
    Outgoing,
    ServiceTarget,
    StageTarget,
    StreamTarget,
    render_event,
)
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.testing.faults import MemorySystem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = StoredEvent(
    event_id="evt_1",
    tenant="acme",
    type="ordermesh.note.v1.NoteWritten",
    subject="notes/note_1",
    sequence=7,
    data=b"data",
    source_system="crm",
    actor="user:1",
    correlation_id="cor-1",
    causation_id="cau-1",
    traceparent="00-1-2-01",
    contract_version="v1",
    occurred_time=NOW,
)


def a_delivery(state: State = State.PENDING, pinned_mapping: str = "") -> Delivery:
    return Delivery(1, "connector:erp", state, 1, "lea_1", pinned_mapping, EVENT, NOW)


def a_change(external_id: str = "") -> change_pb2.Change:
    return change_pb2.Change(kind=change_pb2.KIND_ORDER, key="note_1", external_id=external_id)


def a_target(system: MemorySystem, outgoing: Outgoing | None) -> ConnectorTarget:
    async def prepare(delivery: Delivery) -> Outgoing | None:
        return outgoing

    return ConnectorTarget(system, prepare)


def creating() -> Outgoing:
    return Outgoing(a_change(), lambda receipt: None, creates=True)


async def test_a_first_try_writes_without_asking() -> None:
    system = MemorySystem()

    outcome = await a_target(system, creating()).deliver(a_delivery())

    assert isinstance(outcome, Delivered)
    assert system.calls == ["apply note_1"]
    assert (outcome.evidence.request, outcome.evidence.mapping) == (b"asked", "memory.note@1")


async def test_a_try_in_doubt_asks_first_and_writes_nothing_that_is_there() -> None:
    system = MemorySystem(documents=[("note_1", "x9")])

    outcome = await a_target(system, creating()).deliver(a_delivery(State.IN_DOUBT))

    assert isinstance(outcome, Delivered)
    assert outcome.evidence.found
    assert system.calls == ["find note_1"]


async def test_a_try_in_doubt_writes_what_is_surely_not_there() -> None:
    system = MemorySystem()

    await a_target(system, creating()).deliver(a_delivery(State.IN_DOUBT))

    assert system.calls == ["find note_1", "apply note_1"]


async def test_a_change_of_what_was_found_goes_to_its_own_id() -> None:
    system = MemorySystem(documents=[("note_1", "x9")])
    outgoing = Outgoing(a_change(), lambda receipt: None)

    outcome = await a_target(system, outgoing).deliver(a_delivery(State.IN_DOUBT))

    assert isinstance(outcome, Delivered)
    assert not outcome.evidence.found
    assert system.documents == [("note_1", "x9")]


async def test_where_there_is_nothing_to_tell_nobody_is_asked() -> None:
    system = MemorySystem()

    outcome = await a_target(system, None).deliver(a_delivery(State.IN_DOUBT))

    assert isinstance(outcome, Delivered)
    assert system.calls == []


class Intake:
    """Another service, which takes everything but what it cannot."""

    def __init__(self, cannot: str = "", error: OrdermeshError | None = None) -> None:
        self.calls: list[list[event_pb2.Event]] = []
        self._cannot = cannot
        self._error = error

    async def AcceptEvents(  # noqa: N802
        self, request: event_pb2.AcceptEventsRequest
    ) -> event_pb2.AcceptEventsResponse:
        assert {event.tenant for event in request.events} == {current_context().tenant}
        self.calls.append(list(request.events))
        if self._error and any(event.event_id == self._cannot for event in request.events):
            raise self._error
        return event_pb2.AcceptEventsResponse()

    @property
    def ids(self) -> list[list[str]]:
        return [[event.event_id for event in call] for call in self.calls]


async def hand_over(target: ServiceTarget, *events: StoredEvent) -> list[object]:
    """As the relay does, all at once; what became of each."""

    async def one(event: StoredEvent) -> object:
        with using(context_of(event, "relay:notes")):
            return await target.deliver(replace(a_delivery(), event=event))

    return list(await asyncio.gather(*map(one, events), return_exceptions=True))


def events_of(*tenants: str) -> list[StoredEvent]:
    return [
        replace(EVENT, event_id=f"evt_{number}", subject=f"notes/{number}", tenant=tenant)
        for number, tenant in enumerate(tenants)
    ]


async def test_a_service_gets_the_whole_event() -> None:
    intake = Intake()

    assert await hand_over(ServiceTarget(intake), EVENT) == [Delivered()]

    ((taken,),) = intake.calls
    assert taken == render_event(EVENT)
    assert (taken.tenant, taken.sequence, taken.data) == ("acme", 7, b"data")
    assert taken.occurred_time.ToDatetime(tzinfo=UTC) == NOW


async def test_a_tenant_s_events_that_are_under_way_at_once_travel_in_one_call() -> None:
    intake = Intake()

    outcomes = await hand_over(ServiceTarget(intake), *events_of("acme", "globex", "acme"))

    assert outcomes == [Delivered()] * 3
    assert sorted(intake.ids) == [["evt_0", "evt_2"], ["evt_1"]]


async def test_no_call_carries_more_events_than_the_contract_lets_it() -> None:
    intake = Intake()

    await hand_over(ServiceTarget(intake), *events_of(*["acme"] * (EVENTS_MAX + 1)))

    assert sorted(map(len, intake.ids)) == [1, EVENTS_MAX]


@pytest.mark.parametrize("error", [Refused("EVENT_UNKNOWN"), NotDone("CONFLICT"), OutcomeUnknown("CRASHED")])
async def test_an_event_that_is_not_taken_spoils_none_that_travels_with_it(error: OrdermeshError) -> None:
    intake = Intake("evt_1", error)

    outcomes = await hand_over(ServiceTarget(intake), *events_of("acme", "acme", "acme"))

    assert outcomes == [Delivered(), error, Delivered()]
    assert sorted(intake.ids) == [["evt_0"], ["evt_0", "evt_1", "evt_2"], ["evt_1"], ["evt_2"]]


async def test_a_service_that_is_away_is_not_asked_again_for_each_event() -> None:
    away = NotDone("UNAVAILABLE")
    intake = Intake("evt_1", away)

    assert await hand_over(ServiceTarget(intake), *events_of("acme", "acme", "acme")) == [away] * 3
    assert len(intake.calls) == 1


async def test_a_stage_hands_its_answer_to_the_settling_commit() -> None:
    async def record(tx: object) -> None:
        """What was asked is known now."""

    async def ask(event: StoredEvent) -> object:
        assert event is EVENT
        return record

    outcome = await StageTarget(ask).deliver(a_delivery())  # type: ignore[arg-type]

    assert isinstance(outcome, Delivered)
    assert outcome.follow is record


@pytest.mark.parametrize("fault", [redis.exceptions.ConnectionError(), TimeoutError(), OSError()])
async def test_while_the_stream_is_away_the_delivery_stays_due(fault: Exception) -> None:
    class Away:
        async def xadd(self, *arguments: object, **more: object) -> None:
            raise fault

    with pytest.raises(NotDone) as error:
        await StreamTarget(Away()).deliver(a_delivery())  # type: ignore[arg-type]

    assert error.value.reason == "UNAVAILABLE"
