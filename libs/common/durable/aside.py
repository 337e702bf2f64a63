"""Changes from outside that could not be taken in. Open this file to see how one is kept, tried again and closed.

A change set aside is an event of its own, with a delivery to `intake:<system>` that is retried or parked like any
other. A change tells the whole of its record, so at most one of each record is open: the newest. It is closed when a
newer one has been taken in, or set aside itself; the same change told again changes nothing, an older one is not kept.
It holds what the outside system told, personal values and all, and is therefore sealed (`seal.py`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from ordermesh.connector.v1 import change_pb2

from libs.common.durable.model import Delivered, Delivery, Follow, Outcome
from libs.common.durable.operations.obsolete import tell_closed
from libs.common.durable.tx import Tx
from libs.common.errors import POLICIES, Refused
from libs.common.wire import parse_time

CHANGE_TYPE = "ordermesh.connector.v1.ExternalChange"
OPEN = """
SELECT d.delivery_id, d.subject, e.data FROM event e JOIN delivery d USING (event_id)
WHERE e.tenant = $1 AND e.subject = ANY($2::text[]) AND d.target LIKE 'intake:%'
  AND d.state IN ('PENDING', 'RETRYING', 'IN_DOUBT', 'PARKED')
ORDER BY d.delivery_id FOR UPDATE OF d
"""
CLOSE = """
UPDATE delivery
SET state = 'DISCARDED', reason = 'SUPERSEDED', failure_class = $3, owner = $4, lease_id = NULL, lease_end = NULL,
    park_time = NULL, settle_time = $2
WHERE delivery_id = ANY($1::bigint[])
"""

T = TypeVar("T", bound=Tx)
TakeIn = Callable[[change_pb2.ExternalChange, T], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Aside:
    """A change that is set aside and still open."""

    delivery_id: int
    changed_time: datetime
    version: str

    def covers(self, change: change_pb2.ExternalChange) -> bool:
        """True when `change` is the same, or an older one of the record."""
        same = self.version != "" and self.version == change.version
        return same or self.changed_time > changed_time(change)


def intake_subject(change: change_pb2.ExternalChange) -> str:
    """The outside record, as a subject of its own: its changes wait for one another and for nothing else."""
    kind = change_pb2.Kind.Name(change.kind).removeprefix("KIND_").lower()
    return f"{change.ref.system}-{kind}/{change.ref.external_id}".replace("\x00", "")


def changed_time(change: change_pb2.ExternalChange) -> datetime:
    """When it changed there, UTC."""
    return parse_time(change.changed_time)


async def close_obsolete(
    tx: Tx,
    taken: Iterable[change_pb2.ExternalChange],
    failed: Iterable[change_pb2.ExternalChange],
) -> Sequence[change_pb2.ExternalChange]:
    """Closes what a page has made obsolete; those of `failed` that are to be set aside.

    Closing does not wait for a relay that is trying one: its settlement finds the lease gone and changes nothing.
    """
    newest = _newest_of_each(taken)
    keep = {
        subject: change
        for subject, change in _newest_of_each(failed).items()
        if subject not in newest or changed_time(change) > changed_time(newest[subject])
    }
    obsolete: list[int] = []
    for subject, asides in (await _open_asides(tx, [*newest, *keep])).items():
        for aside in asides:
            if subject in keep and aside.covers(keep[subject]):
                del keep[subject]
        latest = keep.get(subject) or newest.get(subject)
        if latest is not None:
            obsolete += [each.delivery_id for each in asides if each.changed_time <= changed_time(latest)]
    if obsolete:
        policy = POLICIES["SUPERSEDED"]
        await tx.driver.execute(CLOSE, obsolete, tx.now, policy.failure_class, policy.owner)
        await tell_closed(tx, obsolete)
    return list(keep.values())


def _newest_of_each(
    changes: Iterable[change_pb2.ExternalChange],
) -> dict[str, change_pb2.ExternalChange]:
    """By subject; of two at the same moment the later told."""
    newest: dict[str, change_pb2.ExternalChange] = {}
    for change in changes:
        subject = intake_subject(change)
        if subject not in newest or changed_time(change) >= changed_time(newest[subject]):
            newest[subject] = change
    return newest


async def _open_asides(tx: Tx, subjects: Sequence[str]) -> Mapping[str, Sequence[Aside]]:
    asides: dict[str, list[Aside]] = {}
    for row in await tx.driver.fetch(OPEN, tx.context.tenant, subjects) if subjects else []:
        aside = Aside(row["delivery_id"], *_when(tx, row["data"]))
        asides.setdefault(row["subject"], []).append(aside)
    return asides


def _when(tx: Tx, data: bytes) -> tuple[datetime, str]:
    """Time and version of the change; one that nobody can read any more is older than all others."""
    try:
        change = opened_change(tx, data)
    except Refused:
        return datetime.min.replace(tzinfo=UTC), ""
    return changed_time(change), change.version


def opened_change(tx: Tx, data: bytes) -> change_pb2.ExternalChange:
    """A change as it was set aside. Refused with ORIGINAL_UNREADABLE."""
    return change_pb2.ExternalChange.FromString(tx.group.sealer.open(tx.context.tenant, data))


async def set_aside(tx: Tx, change: change_pb2.ExternalChange) -> None:
    """Keeps a change that could not be taken in, to be tried again and parked if that fails."""
    subject = intake_subject(change)
    last = await tx.driver.fetchval(
        "SELECT max(sequence) FROM event WHERE tenant = $1 AND subject = $2", tx.context.tenant, subject
    )
    plain, tenant = change.SerializeToString(), tx.context.tenant
    data = tx.group.sealer.seal(tenant, plain) or plain
    tx.add_event(CHANGE_TYPE, subject, (last or 0) + 1, data, [f"intake:{change.ref.system}"])


class IntakeTarget(Generic[T]):
    """Tries a change again that was set aside."""

    def __init__(self, take_in: TakeIn[T]) -> None:
        self._take_in = take_in

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Delivered(follow=self.follow(delivery))

    def follow(self, delivery: Delivery) -> Follow:
        """Takes the change in as what its system and its actor say."""

        async def follow(tx: T) -> None:
            change = opened_change(tx, delivery.event.data)
            tx.context = replace(tx.context, system=delivery.event.source_system, actor=delivery.event.actor)
            await self._take_in(change, tx)

        return follow
