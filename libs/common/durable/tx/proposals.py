"""Values that wait for a steward. Open this file to see how a proposal is kept and closed.

A proposal is an event of its own, `ChangeProposed`, with a delivery to `proposal:<owner system>`. The first try parks
it: it waits in the exception queue until a steward accepts it, which turns the delivery to `connector:<owner system>`,
or rejects it (`operations/proposals.py`). Of each field of a record at most one is open: the newest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import asyncpg
from ordermesh.common.v1 import proposal_pb2

from libs.common.context import CallContext
from libs.common.durable import tables
from libs.common.durable.tx.group import MemoryKey, Writes
from libs.common.errors import POLICIES, NotDone

PROPOSAL = "proposal:"
"""Prefix of targets that stand for a steward."""
PROPOSED = "ordermesh.common.v1.ChangeProposed"
OPEN = """
SELECT d.delivery_id, d.state, e.data FROM event e JOIN delivery d USING (event_id)
WHERE e.tenant = $1 AND e.subject = ANY($2::text[]) AND d.target LIKE 'proposal:%'
  AND d.state IN ('PENDING', 'RETRYING', 'PARKED')
ORDER BY d.delivery_id FOR UPDATE OF d
"""
LAST_SEQUENCE = "SELECT coalesce(max(sequence), 0) FROM event WHERE tenant = $1 AND subject = $2"
LAST_HASH = "SELECT hash FROM audit WHERE tenant = $1 AND subject = $2 ORDER BY position DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value that a system wants in a field which it does not own."""

    subject: str
    """The record, for example `customers/cus_…`."""
    field: str
    value: str
    source_system: str
    owner_system: str

    @property
    def message(self) -> proposal_pb2.ChangeProposed:
        return proposal_pb2.ChangeProposed(
            subject=self.subject,
            field=self.field,
            value=self.value,
            source_system=self.source_system,
            owner_system=self.owner_system,
        )


class ProposalTx(Protocol):
    """What proposals need of a transaction."""

    context: CallContext
    now: datetime
    writes: Writes

    @property
    def driver(self) -> asyncpg.Connection: ...

    def add_event(
        self, event_type: str, subject: str, sequence: int, data: bytes, targets: Sequence[str]
    ) -> str: ...

    def add_audit(self, subject: str, name: str, old: str, new: str, chain: bytes) -> bytes: ...

    def remember(self, key: MemoryKey, fact: object) -> None: ...

    def recall(self, key: MemoryKey) -> object | None: ...


def proposal_subject(subject: str, field: str) -> str:
    """`customers/cus_1` and `name` → `proposals/cus_1.name`: it waits for nothing and holds up nothing else."""
    return f"proposals/{subject.split('/', 1)[1]}.{field}"


async def propose(tx: ProposalTx, proposal: Proposal) -> None:
    """Keeps a proposal and closes an older one of the field. NotDone when this commit holds one already."""
    subject = proposal_subject(proposal.subject, proposal.field)
    place = ("proposal", tx.context.tenant, subject)
    if tx.recall(place) is not None:
        raise NotDone("CONFLICT", f"{proposal.field} was proposed a moment ago")
    tx.remember(place, proposal)
    await withdraw(tx, proposal.subject, [proposal.field])
    last = await tx.driver.fetchval(LAST_SEQUENCE, tx.context.tenant, subject)
    data = proposal.message.SerializeToString()
    tx.add_event(PROPOSED, subject, last + 1, data, [f"{PROPOSAL}{proposal.owner_system}"])


async def withdraw(tx: ProposalTx, subject: str, fields: Collection[str]) -> Mapping[str, tuple[str, str]]:
    """Closes open proposals of a record's fields; field → system and value of each.

    Closing does not wait for a relay that is trying one: its settlement finds the lease gone and changes nothing.
    """
    subjects = [proposal_subject(subject, field) for field in fields]
    closed: dict[str, tuple[str, str]] = {}
    for row in await tx.driver.fetch(OPEN, tx.context.tenant, subjects):
        place = ("withdrawn", tx.context.tenant, str(row["delivery_id"]))
        if tx.recall(place) is not None:
            continue
        tx.remember(place, True)
        tx.writes.updates.setdefault(tables.DELIVERY, []).append(
            {
                "delivery_id": row["delivery_id"],
                "state": "DISCARDED",
                "reason": "SUPERSEDED",
                "failure_class": POLICIES["SUPERSEDED"].failure_class,
                "owner": POLICIES["SUPERSEDED"].owner,
                "lease_id": None,
                "lease_end": None,
                "park_time": None,
                "settle_time": tx.now,
                "was_state": row["state"],
            }
        )
        await _tell_closed(tx, f"deliveries/{row['delivery_id']}", str(row["state"]))
        message = proposal_pb2.ChangeProposed.FromString(row["data"])
        closed[message.field] = (message.source_system, message.value)
    return closed


async def _tell_closed(tx: ProposalTx, item: str, state: str) -> None:
    """One row behind the last one of the item, which may have been written earlier in this commit."""
    place = ("chain", tx.context.tenant, item)
    chain = tx.recall(place)
    if not isinstance(chain, bytes):
        chain = await tx.driver.fetchval(LAST_HASH, tx.context.tenant, item) or b""
    tx.remember(place, tx.add_audit(item, "state", state, "DISCARDED, because: SUPERSEDED", chain))
