"""The words of the durable core: delivery, attempt, outcome. Open this file to learn what each carries."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from libs.common.aggregate import Aggregate
from libs.common.context import CallContext
from libs.common.errors import OrdermeshError

CONNECTOR = "connector:"
"""Prefix of targets that write to an outside system."""


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = "PENDING"
    """Not tried yet."""
    RETRYING = "RETRYING"
    """Surely not applied; due again."""
    IN_DOUBT = "IN_DOUBT"
    """Perhaps applied; the target is asked before anything is repeated."""
    PARKED = "PARKED"
    """A person must act; followers of the same subject wait."""
    DELIVERED = "DELIVERED"
    """The target has it."""
    DISCARDED = "DISCARDED"
    """A person decided against it, or a later success made it obsolete."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One committed fact."""

    event_id: str
    tenant: str
    type: str
    """Full name of the message in `data`."""
    subject: str
    sequence: int
    data: bytes
    source_system: str
    actor: str
    correlation_id: str
    causation_id: str
    traceparent: str
    contract_version: str
    occurred_time: datetime

    @property
    def name(self) -> str:
        """Short name, for example `OrderPosted`."""
        return self.type.rsplit(".", 1)[1]

    @property
    def record_id(self) -> str:
        """Our id of the record it is about."""
        return self.subject.split("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one target, held under a lease."""

    delivery_id: int
    target: str
    state: State
    attempt: int
    """Number of the try under way, from 1."""
    lease_id: str
    pinned_mapping: str
    event: StoredEvent
    lease_end: datetime
    """From then on somebody else may try it."""
    record: Aggregate | None = None
    """What the event tells of, where the commit that made this delivery has only just ended."""

    @property
    def asks_first(self) -> bool:
        """True for a target that may have taken what it never confirmed; all others drop what they have seen."""
        return self.target.startswith(CONNECTOR)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What went over the wire in one try; empty for targets without a wire."""

    mapping: str = ""
    verdict: str = ""
    operation: str = ""
    request: bytes = b""
    response: bytes = b""
    found: bool = False
    """True when a look-up found what an earlier try had left."""


Follow = Callable[..., Awaitable[object]]
"""A command to run in the commit that settles the delivery; called with the transaction."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has it; `follow` runs in the settling commit."""

    evidence: Evidence = field(default_factory=Evidence)
    follow: Follow | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The try failed; `evidence` where something came back."""

    error: OrdermeshError
    evidence: Evidence = field(default_factory=Evidence)
    applied: bool = False
    """True when the target has it all the same, and only what follows could not be stored."""


Outcome = Delivered | Failed


@dataclass(frozen=True, slots=True)
class Tried:
    """A delivery and what its last try brought."""

    delivery: Delivery
    outcome: Outcome
    start_time: datetime
    took_us: int


def context_of(event: StoredEvent, actor: str) -> CallContext:
    """The context in which something is done because of an event."""
    return CallContext(
        tenant=event.tenant,
        system="mesh",
        actor=actor,
        roles=frozenset({"mesh"}),
        correlation_id=event.correlation_id,
        causation_id=event.event_id,
        traceparent=event.traceparent,
    )
