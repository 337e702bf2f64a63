"""What can be told and done about a parked item, by where it goes. Open this file to bring a new kind of parked item.

connector:<system>  read by the connector, compared with what would be written; the mapping can be pinned
stage:<name>        rehearsed: run up to the commit and taken back
intake:<system>     likewise; the change it carries can be edited, because no record here stands for it
everything else     `Handling`: cannot be previewed, pinned or edited

Nothing here writes: not outside, and not here.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

import structlog
from google.protobuf.message import Message
from ordermesh.common.v1 import difference_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.operations.v1 import operations_pb2

from libs.common.differences import DIFFERENCES_MAX, Place, differing, leaves, message_differences
from libs.common.durable.aside import IntakeTarget, TakeIn, intake_subject
from libs.common.durable.model import Delivery, Follow, StoredEvent, context_of
from libs.common.durable.operations.payloads import message_of, same_type_in
from libs.common.durable.rehearsal import rehearse
from libs.common.durable.store import Store
from libs.common.durable.targets import Outgoing
from libs.common.durable.tx import Tx
from libs.common.durable.tx.audit import NOT_AUDITED, changes
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused

LOG = structlog.get_logger(__name__)
REHEARSAL = "rehearsal"
LAST_TOLD = """
SELECT e.type, e.data FROM event e JOIN delivery d USING (event_id)
WHERE e.tenant = $1 AND e.subject = $2 AND e.sequence < $4 AND d.target = $3 AND d.state = 'DELIVERED'
ORDER BY e.sequence DESC LIMIT 1
"""

T = TypeVar("T", bound=Tx)
Prepare = Callable[[Delivery], Awaitable[Outgoing | None]]
Differences = Sequence[difference_pb2.FieldDifference]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a replay would do; values in the clear."""

    differences: Differences = ()
    base: operations_pb2.PreviewBase.ValueType = operations_pb2.PREVIEW_BASE_RECORD
    mapping: str = ""
    message: Message | None = None
    """What would go to the target, where it is a message."""
    refusal: OrdermeshError | None = field(default=None)
    """Why it would fail again."""


class Handling:
    """Parked items of one target. This one can do nothing with them but replay and discard."""

    editable = False
    """Whether such an item carries a payload of its own."""

    async def preview(self, delivery: Delivery) -> Preview:
        """Refused with NOT_SUPPORTED where nothing can be told."""
        raise Refused("NOT_SUPPORTED", f"{delivery.target} has no preview")

    async def mappings(self) -> Sequence[str]:
        """Mappings that a replay may pin. NotDone while nobody can be asked."""
        return ()

    async def check_edit(self, delivery: Delivery) -> None:
        """Refused like a fresh one for an item that carries this instead, NOT_SUPPORTED where it cannot be edited."""
        raise Refused(
            "NOT_SUPPORTED",
            f"{delivery.target} is told what {delivery.event.subject} says: correct the record, then replay",
        )


class ConnectorCalls(Protocol):
    """The calls of `ConnectorServiceStub` that a preview needs."""

    @property
    def PreviewChange(
        self,
    ) -> Callable[
        [connector_service_pb2.PreviewChangeRequest], Awaitable[connector_service_pb2.PreviewChangeResponse]
    ]: ...

    @property
    def Describe(
        self,
    ) -> Callable[
        [connector_service_pb2.DescribeRequest], Awaitable[connector_service_pb2.DescribeResponse]
    ]: ...


class ConnectorHandling(Handling):
    """What would be written to an outside system."""

    def __init__(self, connector: ConnectorCalls, prepare: Prepare, store: Store) -> None:
        self._connector = connector
        self._prepare = prepare
        self._store = store

    async def preview(self, delivery: Delivery) -> Preview:
        try:
            outgoing = await self._prepare(delivery)
        except Refused as refused:
            return Preview(refusal=refused)
        if outgoing is None:
            return Preview()
        change = outgoing.change
        request = connector_service_pb2.PreviewChangeRequest(
            change=change, pinned_mapping=delivery.pinned_mapping
        )
        try:
            answer = await self._connector.PreviewChange(request)
        except Refused as refused:
            if refused.reason == "NOT_SUPPORTED":
                return await self._against_last_told(delivery, change)
            return Preview(base=operations_pb2.PREVIEW_BASE_HELD_NOW, message=change, refusal=refused)
        except (NotDone, OutcomeUnknown) as error:
            LOG.info("previewed_without_reading", target=delivery.target, reason=error.reason)
            return await self._against_last_told(delivery, change)
        finds_it_done = outgoing.creates and answer.exists
        return Preview(
            () if finds_it_done else answer.differences,
            operations_pb2.PREVIEW_BASE_HELD_NOW,
            answer.mapping,
            change,
        )

    async def mappings(self) -> Sequence[str]:
        described = await self._connector.Describe(connector_service_pb2.DescribeRequest())
        return [name for kind in described.kinds for name in kind.mappings]

    async def _against_last_told(self, delivery: Delivery, change: change_pb2.Change) -> Preview:
        """The record in our words, against what the last delivery told of it."""
        event = delivery.event
        rows = await self._store.fetch(
            LAST_TOLD, event.tenant, event.subject, delivery.target, event.sequence
        )
        record = getattr(change, str(change.WhichOneof("record")))
        told = message_of(rows[0]["type"], rows[0]["data"]) if rows else None
        before = same_type_in(told, record) if told is not None else None
        found = message_differences(f"{delivery.target} {change.key}", before, record)
        return Preview(found, operations_pb2.PREVIEW_BASE_SENT_LAST, "", change)


class StageHandling(Handling, Generic[T]):
    """What the service's own next step would make of the record. Questions to outside systems are asked."""

    def __init__(self, unit: Unit[T], prepare: Callable[[StoredEvent], Awaitable[Follow]]) -> None:
        self._unit = unit
        self._prepare = prepare

    async def preview(self, delivery: Delivery) -> Preview:
        try:
            tx = await _rehearsed(self._unit, delivery, await self._prepare(delivery.event))
        except OrdermeshError as error:
            return Preview(refusal=error)
        return Preview(record_differences(tx))


class IntakeHandling(Handling, Generic[T]):
    """What taking an outside system's change in would make of our record."""

    editable = True

    def __init__(self, unit: Unit[T], take_in: TakeIn[T]) -> None:
        self._unit = unit
        self._target = IntakeTarget(take_in)

    async def preview(self, delivery: Delivery) -> Preview:
        try:
            return Preview(record_differences(await self._take_in(delivery)))
        except OrdermeshError as error:
            return Preview(refusal=error)

    async def check_edit(self, delivery: Delivery) -> None:
        change = change_pb2.ExternalChange.FromString(delivery.event.data)
        if intake_subject(change) != delivery.event.subject:
            raise Refused.field("INVALID_FIELD", "payload.ref", "names another record than the original")
        await self._take_in(delivery)

    async def _take_in(self, delivery: Delivery) -> T:
        return await _rehearsed(self._unit, delivery, self._target.follow(delivery))


async def _rehearsed(unit: Unit[T], delivery: Delivery, follow: Follow | None) -> T:
    """The transaction that a replay would commit, taken back."""

    async def work(tx: T) -> None:
        if follow is not None:
            await follow(tx)

    return await rehearse(unit, context_of(delivery.event, REHEARSAL), delivery.target, work)


def record_differences(tx: Tx) -> list[difference_pb2.FieldDifference]:
    """What a rehearsed transaction would have changed; redacted fields stay masked for everyone."""
    found: list[difference_pb2.FieldDifference] = []
    for (_, _, record_id), (kind, before, after) in tx.changed.items():
        redacted = kind.redacted

        def sensitive(path: str, redacted: frozenset[str] = redacted) -> bool:
            return path.partition(".")[0].partition("[")[0] in redacted

        place = Place(kind.subject(record_id), sensitive=sensitive)
        old, new = kind.dump(before) if before is not None else {}, kind.dump(after)
        changed = {name for name, _, _ in changes(kind, before, after)} if before is not None else set(new)
        names = [name for name in new if name in changed and name not in NOT_AUDITED]
        found += differing(
            place,
            leaves({name: _named(before, name, old.get(name)) for name in names}),
            leaves({name: _named(after, name, new[name]) for name in names}),
        )
    return found[:DIFFERENCES_MAX]


def _named(record: object, name: str, dumped: object) -> object:
    """People read names: `POSTED`, not the number it is stored as."""
    value = getattr(record, name, None)
    return value.name if isinstance(value, Enum) else dumped
