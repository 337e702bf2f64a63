"""Outside records that may stand for a customer we know. Open this file to follow one from its match to the decision.

A steward's decision is kept where it counts: a link, or `apart` of each customer that it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from libs.common.errors import Refused
from services.customer.commands.ports import CustomerTx, TakeIn, TakeInFromCrm, TakeInFromErp
from services.customer.commands.updates import put_if_changed
from services.customer.domain import Customer, Keys, Likeness, place_of, ranked


@dataclass(frozen=True, slots=True)
class LinkCandidate:
    """Whom the record of a parked change stands for. Without an id the only candidate."""

    delivery_id: int
    customer_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeepCandidateApart:
    """The record of a parked change stands for none of its candidates."""

    delivery_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A parked change beside the customers it may stand for."""

    said: TakeIn
    candidates: Sequence[Likeness]


@dataclass(frozen=True, slots=True)
class Decided:
    """The item, due again, and the customer that was linked."""

    item: Mapping[str, object]
    customer: Customer | None = None


async def see_candidates(delivery_id: int, tx: CustomerTx) -> Waiting:
    """What waits for a steward. Changes nothing. Refused with NOT_FOUND, STATE_FORBIDS."""
    said = await tx.waiting(delivery_id)
    return Waiting(said, await _candidates(said, tx))


async def link_candidate(command: LinkCandidate, tx: CustomerTx) -> Decided:
    """The record stands for the customer from now on. Refused with NOT_FOUND, STATE_FORBIDS, INVALID_FIELD."""
    said = await tx.waiting(command.delivery_id)
    candidates = [each.customer for each in await _candidates(said, tx)]
    chosen = [each for each in candidates if command.customer_id in ("", each.record_id)]
    if len(chosen) != 1:
        told = "is none of the candidates" if command.customer_id else "several may be meant, or none"
        raise Refused.field("INVALID_FIELD", "customer_id", told)
    is_first = chosen[0].link_of(said.link.system) is None
    linked = chosen[0].linked_by_steward(replace(said.link, version=""))
    linked = linked.kept() if is_first and isinstance(said, TakeInFromCrm) else linked
    customer = await put_if_changed(chosen[0], linked, tx)
    decision = f"linked to {customer.record_id}"
    return Decided(await tx.take_in_as_decided(command.delivery_id, decision, command.reason), customer)


async def keep_candidate_apart(command: KeepCandidateApart, tx: CustomerTx) -> Decided:
    """None of the candidates is asked about again. Refused with NOT_FOUND, STATE_FORBIDS."""
    said = await tx.waiting(command.delivery_id)
    kept = [each.customer for each in await _candidates(said, tx)]
    for customer in kept:
        await tx.customers.put(customer.kept_apart(said.link))
    decision = f"kept apart from {', '.join(customer.record_id for customer in kept) or 'nobody'}"
    return Decided(await tx.take_in_as_decided(command.delivery_id, decision, command.reason))


async def match(said: TakeIn, tx: CustomerTx) -> Customer | None:
    """The one customer with the same tax or D-U-N-S number, None where none is alike.

    Refused with DUPLICATE_CANDIDATE, which names the candidates.
    """
    candidates = await _candidates(said, tx)
    exact = [each.customer for each in candidates if each.exact]
    if len(exact) == 1 and exact[0].link_of(said.link.system) is None:
        return exact[0]
    if candidates:
        alike = ", ".join(
            f"{each.customer.record_id} ({each.score}: {', '.join(each.matched)})" for each in candidates[:5]
        )
        raise Refused("DUPLICATE_CANDIDATE", f"{place_of(said.link)} may be {alike}")
    return None


async def _candidates(said: TakeIn, tx: CustomerTx) -> Sequence[Likeness]:
    """Customers that the record may stand for and that were not told apart from it, the likeliest first.

    An ERP tells its own customers apart; a second account for one customer is a duplicate in the CRM.
    """
    claimant, link = said.claimant, said.link
    if claimant is None:
        return ()
    unlinked = link.system if isinstance(said, TakeInFromErp) else ""
    known = list(await tx.customers.alike(Keys.of_claimant(claimant), unlinked))
    known += await tx.customers.numbered(claimant.number) if claimant.number else ()
    by_id = {each.record_id: each for each in known if not each.merged_into and not each.is_apart_from(link)}
    return ranked(claimant, by_id.values())
