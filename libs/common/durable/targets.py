"""Where deliveries go. Open this file to add a kind of target.

connector:<system>  an outside system, through its connector; asked first when an earlier try is in doubt
service:<name>      another service's EventIntake, which takes each event id once
stage:<name>        the service's own next step
intake:<system>     a change from outside that could not be taken in at once
proposal:<name>     a steward, who lets a value go to the system that owns the field, or not
stream              a Redis stream, for any further subscriber
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import redis.asyncio
from ordermesh.common.v1 import event_pb2, proposal_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from redis.exceptions import RedisError

from libs.common.context import CallContext, current_context, using
from libs.common.durable.lanes import LOST, SLOW_DOWN, UNREACHABLE
from libs.common.durable.model import Delivered, Delivery, Evidence, Follow, Outcome, StoredEvent
from libs.common.errors import OrdermeshError, Refused
from libs.common.reach import Reach, after
from libs.common.telemetry import makes_spans
from libs.common.together import Together

STREAM_LENGTH_MAX = 100_000
EVENTS_MAX = 100
"""In one call; the contract's bound."""
OF_TARGET = UNREACHABLE | LOST | SLOW_DOWN
"""Reasons that speak of the service and not of an event: asking again for each would only add to its load."""


class ConnectorCalls(Protocol):
    """The calls of `ConnectorServiceStub` that a delivery needs."""

    @property
    def ApplyChange(
        self,
    ) -> Callable[
        [connector_service_pb2.ApplyChangeRequest], Awaitable[connector_service_pb2.ApplyChangeResponse]
    ]: ...

    @property
    def FindByKey(
        self,
    ) -> Callable[
        [connector_service_pb2.FindByKeyRequest], Awaitable[connector_service_pb2.FindByKeyResponse]
    ]: ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a service wants written outside because of an event."""

    change: change_pb2.Change
    follow: Callable[[change_pb2.Receipt], Follow | None]
    """What to run in the settling commit once the system has answered."""
    creates: bool = False
    """True when the change is done once the record exists: finding it settles the delivery."""
    optional: bool = False
    """True when a system that does not take changes of this kind need not hear of it."""


class ConnectorTarget:
    """Writes to an outside system, at most once in effect."""

    def __init__(
        self, connector: ConnectorCalls, prepare: Callable[[Delivery], Awaitable[Outgoing | None]]
    ) -> None:
        self._connector = connector
        self._prepare = prepare

    async def deliver(self, delivery: Delivery) -> Outcome:
        outgoing = await self._prepare(delivery)
        if outgoing is None:
            return Delivered(Evidence(verdict="nothing to tell"))
        change = outgoing.change
        if delivery.state == "IN_DOUBT":
            found = await self._connector.FindByKey(
                connector_service_pb2.FindByKeyRequest(kind=change.kind, key=change.key)
            )
            if found.HasField("receipt"):
                if outgoing.creates:
                    return _delivered(outgoing, found.receipt, found=True)
                change.external_id = change.external_id or found.receipt.external_id
        request = connector_service_pb2.ApplyChangeRequest(
            change=change, pinned_mapping=delivery.pinned_mapping
        )
        try:
            answer = await self._connector.ApplyChange(request)
        except Refused as error:
            if outgoing.optional and error.reason == "NOT_SUPPORTED":
                return Delivered(Evidence(verdict="the system takes no such change"))
            raise
        return _delivered(outgoing, answer.receipt, found=False)


def _delivered(outgoing: Outgoing, receipt: change_pb2.Receipt, *, found: bool) -> Delivered:
    exchange = receipt.exchange
    evidence = Evidence(
        mapping=receipt.mapping,
        verdict=receipt.verdict,
        operation=exchange.operation,
        request=exchange.request_body,
        response=exchange.response_body,
        found=found,
    )
    return Delivered(evidence, outgoing.follow(receipt))


class IntakeCalls(Protocol):
    """The call of `EventIntakeServiceStub`."""

    @property
    def AcceptEvents(
        self,
    ) -> Callable[[event_pb2.AcceptEventsRequest], Awaitable[event_pb2.AcceptEventsResponse]]: ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event to be handed over, and on whose behalf."""

    event: StoredEvent
    context: CallContext


class ServiceTarget:
    """Hands the event to another service, which drops ids it has seen.

    A tenant's events that are under way at the same time travel in one call; each has an outcome of its own.
    """

    def __init__(self, intake: IntakeCalls) -> None:
        self._intake = intake
        self._together = Together(self._hand_over)

    async def deliver(self, delivery: Delivery) -> Outcome:
        parcel = Parcel(delivery.event, current_context())
        if makes_spans(parcel.context.traceparent):
            await self._call([parcel])
        elif error := (await self._together.get([parcel]))[parcel]:
            raise error
        return Delivered()

    async def _hand_over(self, parcels: Sequence[Parcel]) -> Mapping[Parcel, OrdermeshError | None]:
        calls = [
            several[at : at + EVENTS_MAX]
            for several in _by_tenant(parcels).values()
            for at in range(0, len(several), EVENTS_MAX)
        ]
        found: dict[Parcel, OrdermeshError | None] = {}
        for outcomes in await asyncio.gather(*(self._outcomes(several) for several in calls)):
            found.update(outcomes)
        return found

    async def _outcomes(self, parcels: Sequence[Parcel]) -> Mapping[Parcel, OrdermeshError | None]:
        """What became of each. One that cannot be taken in spoils none that travels with it: then each goes alone."""
        try:
            await self._call(parcels)
        except OrdermeshError as error:
            if len(parcels) == 1 or error.reason in OF_TARGET:
                return dict.fromkeys(parcels, error)
        else:
            return dict.fromkeys(parcels)
        alone = await asyncio.gather(*(self._outcomes([parcel]) for parcel in parcels))
        return {parcel: error for outcome in alone for parcel, error in outcome.items()}

    async def _call(self, parcels: Sequence[Parcel]) -> None:
        with using(parcels[0].context):
            await self._intake.AcceptEvents(
                event_pb2.AcceptEventsRequest(events=[render_event(parcel.event) for parcel in parcels])
            )


def _by_tenant(parcels: Sequence[Parcel]) -> Mapping[str, list[Parcel]]:
    """Events of one subject stay in order."""
    found: dict[str, list[Parcel]] = {}
    for parcel in parcels:
        found.setdefault(parcel.event.tenant, []).append(parcel)
    return found


class StageTarget:
    """The service's own next step: questions are asked here, the answer is recorded in the settling commit."""

    def __init__(self, prepare: Callable[[StoredEvent], Awaitable[Follow]]) -> None:
        self._prepare = prepare

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Delivered(follow=await self._prepare(delivery.event))


class ProposalTarget:
    """Holds a proposal in the exception queue until a steward has decided."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        proposed = proposal_pb2.ChangeProposed.FromString(delivery.event.data)
        said = f"{proposed.source_system} wants another value, {proposed.owner_system} owns the field"
        raise Refused.field("CHANGE_PROPOSED", proposed.field, said, owner=proposed.owner_system)


class StreamTarget:
    """Appends to one Redis stream per tenant. Loses nothing: while Redis is away the delivery stays due."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._client = client

    async def deliver(self, delivery: Delivery) -> Outcome:
        event = delivery.event
        fields: dict[str | bytes, str | bytes] = {
            "id": event.event_id,
            "type": event.type,
            "subject": event.subject,
            "sequence": str(event.sequence),
            "data": event.data,
            "traceparent": event.traceparent,
            "time": event.occurred_time.isoformat(),
        }
        try:
            await self._client.xadd(
                f"ordermesh:events:{event.tenant}",
                fields,  # type: ignore[arg-type]
                maxlen=STREAM_LENGTH_MAX,
                approximate=True,
            )
        except (RedisError, OSError, TimeoutError) as error:
            # Appending twice has no effect that counts: subscribers drop event ids they have seen.
            detail = f"the stream is away ({type(error).__name__})"
            raise after(Reach.SENT, effect=False, detail=detail, not_done="UNAVAILABLE") from error
        return Delivered()


def render_event(event: StoredEvent) -> event_pb2.Event:
    """The event as other services take it in."""
    message = event_pb2.Event(
        event_id=event.event_id,
        type=event.type,
        subject=event.subject,
        sequence=event.sequence,
        data=event.data,
        tenant=event.tenant,
        source_system=event.source_system,
        actor=event.actor,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        traceparent=event.traceparent,
        contract_version=event.contract_version,
    )
    message.occurred_time.FromDatetime(event.occurred_time)
    return message
