"""What the two ledgers prove. Pure: documents in, verdict out; nothing of what the demo remembers of the mesh counts.

Open it to see what exactly is called a duplicate, lost or paid.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ordermesh.order.v1 import order_pb2

from libs.cli.demo.vendors import LedgerDocument

ERP_KIND = "salesOrder"
CRM_KIND = "Order"
PAID = "PAID"
STATE_PREFIX = "ORDER_STATE_"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome; `duplicates` and `lost` count orders, `faults` says in words what is wrong with which."""

    orders: int
    paid: int
    duplicates: int
    lost: int
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.paid == self.orders and not self.duplicates and not self.lost and not self.faults


def judge(
    acknowledged: Mapping[str, str],
    submitted: int,
    erp: Sequence[LedgerDocument],
    crm: Sequence[LedgerDocument],
) -> Verdict:
    """acknowledged: our order id by purchase order number. submitted.

    Orders handed in, acknowledged or not.
    """
    in_erp = Counter(document.external_id for document in erp if document.kind == ERP_KIND)
    by_reference = Counter(document.reference for document in erp if document.kind == ERP_KIND)
    in_crm: dict[str, list[LedgerDocument]] = {}
    for document in crm:
        if document.kind == CRM_KIND and document.order_id:
            in_crm.setdefault(document.order_id, []).append(document)
    faults: list[str] = []
    duplicates = lost = paid = 0
    for reference, order_id in acknowledged.items():
        copies = max(in_erp[order_id], by_reference[reference])
        told = in_crm.get(order_id, [])
        if copies > 1 or len(told) > 1:
            duplicates += 1
            faults.append(f"{order_id}: {copies} documents in the ERP, {len(told)} orders in Salesforce")
        if not in_erp[order_id] or not told:
            lost += 1
            missing = [
                name for name, there in (("the ERP", in_erp[order_id]), ("Salesforce", told)) if not there
            ]
            faults.append(f"{order_id} ({reference}) is not in {' and not in '.join(missing)}")
        complaint = _complaint(told[0]) if told else ""
        if complaint:
            faults.append(f"{order_id}: {complaint}")
        elif in_erp[order_id] and told:
            paid += 1
    strangers = in_erp.keys() - set(acknowledged.values())
    duplicates += len(strangers)
    faults += [f"ERP document {stranger} belongs to no order that was acknowledged" for stranger in strangers]
    unanswered = submitted - len(acknowledged)
    if unanswered:
        faults.append(f"{unanswered} orders were never acknowledged")
    return Verdict(submitted, paid, duplicates, lost + unanswered, tuple(faults))


def _complaint(document: LedgerDocument) -> str:
    """Why the order in Salesforce does not read PAID as it should; empty when it does."""
    history = [_state(word) for word in document.history]
    if _state(document.erp_status or "") != PAID:
        return f"Salesforce reads {document.erp_status or 'nothing'}, told so far: {_told(history)}"
    if history.count(PAID) != 1:
        return f"Salesforce was told PAID {history.count(PAID)} times"
    if not never_backwards(history):
        return f"the status went backwards: {_told(history)}"
    return ""


def never_backwards(history: Iterable[str]) -> bool:
    """Whether the states only rise. ON_HOLD may come between.

    A word that the contract does not have may not.
    """
    reached = 0
    for state in history:
        if state == "ON_HOLD":
            continue
        number = _STATES.get(state, 0)
        if number <= reached:
            return False
        reached = number
    return True


def _state(word: str) -> str:
    """`Partly Shipped` and `ORDER_STATE_PARTLY_SHIPPED` are both PARTLY_SHIPPED."""
    return word.strip().upper().replace(" ", "_").removeprefix(STATE_PREFIX)


def _told(history: Sequence[str]) -> str:
    return " → ".join(history) or "nothing"


_STATES = {name.removeprefix(STATE_PREFIX): number for name, number in order_pb2.OrderState.items()}
