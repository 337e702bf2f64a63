"""The history checker: was anything lost, doubled or turned back? Open this file to learn what must never happen.

It believes nobody's memory. It reads what the client was told, what the ERP and the CRM hold in their own ledgers, and
what the order service's tables say, and objects to every contradiction. Its own tests feed it corrupted histories.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ordermesh.order.v1 import order_events_pb2, order_pb2

from libs.common.durable.tx import audit_digest

OPEN = frozenset({"PENDING", "RETRYING", "IN_DOUBT"})
POSTED_STATES = frozenset({"POSTED", "ACCEPTED", "PARTLY_SHIPPED", "SHIPPED", "INVOICED", "PAID"})
RANK = {state.removeprefix("ORDER_STATE_"): number for state, number in order_pb2.OrderState.items()}
HOLDABLE = {RANK["RECEIVED"], RANK["ON_HOLD"]}
"""An order may go from hold back to where it was; every other step is forward."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One answer 2xx to a submission, as the client logged it."""

    key: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ErpDocument:
    """One sales order in the ERP's ledger."""

    document_id: str
    key: str
    """Our business key stamped on it."""


@dataclass(frozen=True, slots=True)
class CrmRecord:
    """One order in the CRM's ledger."""

    record_id: str
    key: str
    states: tuple[str, ...]
    """Every state that was ever written, oldest first."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of `event`."""

    subject: str
    sequence: int
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One row of `delivery`."""

    delivery_id: int
    subject: str
    target: str
    state: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One row of `orders`."""

    order_id: str
    state: str
    sequence: int
    audit_hash: bytes
    erp_external_id: str
    """Id its link into the ERP names. Empty before it is posted."""


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is known about one run."""

    acknowledged: Sequence[Acknowledged] = ()
    erp: Sequence[ErpDocument] = ()
    crm: Sequence[CrmRecord] = ()
    orders: Sequence[OrderRow] = ()
    events: Sequence[EventRow] = ()
    deliveries: Sequence[DeliveryRow] = ()
    audit: Sequence[Mapping[str, object]] = ()
    """Rows of `audit` by position, with their columns."""
    converged: bool = True
    """True when faults have stopped and everything had time to come to rest."""


@dataclass(frozen=True, slots=True, order=True)
class Objection:
    """One contradiction."""

    rule: str
    about: str
    said: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.rule}: {self.about}: {self.said}"


def check(history: History) -> list[Objection]:
    """All contradictions, sorted; empty when the history is sound."""
    orders = {order.order_id: order for order in history.orders}
    return sorted(
        [
            *_acknowledged_orders_exist(history, orders),
            *_one_order_per_key(history),
            *_one_document_per_key(history, orders),
            *_states_only_advance(history),
            *_events_equal_changes(history, orders),
            *_audit_is_unbroken(history, orders),
            *_everything_came_to_rest(history, orders),
        ]
    )


def _acknowledged_orders_exist(history: History, orders: Mapping[str, OrderRow]) -> Iterable[Objection]:
    for answer in history.acknowledged:
        if answer.order_id not in orders:
            yield Objection("lost order", answer.order_id, f"acknowledged under {answer.key}, not stored")


def _one_order_per_key(history: History) -> Iterable[Objection]:
    told: dict[str, set[str]] = {}
    for answer in history.acknowledged:
        told.setdefault(answer.key, set()).add(answer.order_id)
    for key, order_ids in told.items():
        if len(order_ids) > 1:
            yield Objection("doubled order", key, f"answered with {sorted(order_ids)}")
    known = {order_id for order_ids in told.values() for order_id in order_ids}
    for order in history.orders:
        if known and order.order_id not in known:
            yield Objection("doubled order", order.order_id, "stored, but no caller was told of it")


def _one_document_per_key(history: History, orders: Mapping[str, OrderRow]) -> Iterable[Objection]:
    documents = Counter(document.key for document in history.erp if document.key)
    ids = {document.key: document.document_id for document in history.erp}
    for key, count in documents.items():
        if count > 1:
            yield Objection("doubled document", key, f"{count} documents in the ERP")
        if key not in orders:
            yield Objection("stray document", key, "in the ERP, not among our orders")
    for order in orders.values():
        if order.state in POSTED_STATES and not documents[order.order_id]:
            yield Objection("lost document", order.order_id, f"is {order.state}, not in the ERP")
        if order.state in POSTED_STATES and order.erp_external_id != ids.get(order.order_id, ""):
            yield Objection(
                "unlinked answer", order.order_id, f"links to {order.erp_external_id or 'nothing'}"
            )
        if history.converged and documents[order.order_id] and order.state == "RECEIVED":
            yield Objection("unlinked answer", order.order_id, "in the ERP, and we do not know it")
    for key, count in Counter(record.key for record in history.crm if record.key).items():
        if count > 1:
            yield Objection("doubled record", key, f"{count} records in the CRM")


def _advances(states: Sequence[int]) -> bool:
    return all(after >= before or {before, after} <= HOLDABLE for before, after in pairwise(states))


def _states_only_advance(history: History) -> Iterable[Objection]:
    for record in history.crm:
        if not _advances([RANK[state] for state in record.states]):
            yield Objection("state went back", record.key, f"the CRM was told {' → '.join(record.states)}")
    told: dict[str, list[int]] = {}
    for event in sorted(history.events, key=lambda event: (event.subject, event.sequence)):
        if event.type.startswith("ordermesh.order.v1."):
            state = order_events_pb2.OrderReceived.FromString(event.data).order.state
            told.setdefault(event.subject, []).append(state)
    for subject, states in told.items():
        if not _advances(states):
            yield Objection("state went back", subject, f"events tell {states}")


def _events_equal_changes(history: History, orders: Mapping[str, OrderRow]) -> Iterable[Objection]:
    by_subject: dict[str, list[int]] = {}
    for event in history.events:
        by_subject.setdefault(event.subject, []).append(event.sequence)
    for subject, sequences in by_subject.items():
        if sorted(sequences) != list(range(1, len(sequences) + 1)):
            yield Objection("event lost", subject, f"sequence has gaps or repeats: {sorted(sequences)}")
    for order in orders.values():
        told = len(by_subject.get(f"orders/{order.order_id}", []))
        if told != order.sequence:
            yield Objection("event lost", order.order_id, f"{order.sequence} changes, {told} events")
    for subject in by_subject:
        if subject.startswith("orders/") and subject.removeprefix("orders/") not in orders:
            yield Objection("event without change", subject, "no order of that id")


def _audit_is_unbroken(history: History, orders: Mapping[str, OrderRow]) -> Iterable[Objection]:
    chains: dict[str, bytes] = {}
    for row in history.audit:
        subject = str(row["subject"])
        covered = {name: value for name, value in row.items() if name not in ("position", "hash")}
        expected = audit_digest(chains.get(subject, b""), covered)
        if row["hash"] != expected:
            yield Objection(
                "audit broken", subject, f"row {row['position']} was altered or one before it is gone"
            )
        chains[subject] = bytes(row["hash"])  # type: ignore[call-overload]
    for order in orders.values():
        if history.audit and chains.get(f"orders/{order.order_id}", b"") != order.audit_hash:
            yield Objection("audit broken", order.order_id, "the chain does not end where the record says")


def _everything_came_to_rest(history: History, orders: Mapping[str, OrderRow]) -> Iterable[Objection]:
    if not history.converged:
        return
    for delivery in history.deliveries:
        if delivery.state in OPEN:
            said = f"{delivery.state} for {delivery.target}"
            yield Objection("not at rest", delivery.subject, said)
    parked = {delivery.subject for delivery in history.deliveries if delivery.state == "PARKED"}
    for order in orders.values():
        if order.state == "RECEIVED" and f"orders/{order.order_id}" not in parked:
            yield Objection("no outcome", order.order_id, "neither on its way nor in the exception queue")
