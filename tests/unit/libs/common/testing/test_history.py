"""The history checker objects to every kind of damage, and to nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from ordermesh.order.v1 import order_events_pb2, order_pb2

from libs.common.durable.tx import audit_digest
from libs.common.testing.history import (
    Acknowledged,
    CrmRecord,
    DeliveryRow,
    ErpDocument,
    EventRow,
    History,
    OrderRow,
    check,
)

STATES = ("RECEIVED", "POSTED", "SHIPPED", "INVOICED", "PAID")


def an_event(order_id: str, sequence: int, state: str) -> EventRow:
    order = order_pb2.Order(order_id=order_id, state=order_pb2.OrderState.Value(f"ORDER_STATE_{state}"))
    data = order_events_pb2.OrderReceived(order=order).SerializeToString()
    return EventRow(f"orders/{order_id}", sequence, "ordermesh.order.v1.OrderReceived", data)


def an_audit_chain(order_id: str, length: int) -> list[dict[str, object]]:
    chain, rows = b"", []
    for position in range(1, length + 1):
        row: dict[str, object] = {
            "subject": f"orders/{order_id}",
            "field": "state",
            "new_value": str(position),
        }
        chain = audit_digest(chain, row)
        rows.append({**row, "position": position, "hash": chain})
    return rows


def a_sound_history() -> History:
    """Two orders, both paid, both in the ERP and the CRM once."""
    history = History(acknowledged=[Acknowledged("k1", "ord_1"), Acknowledged("k1", "ord_1")])
    for number in ("1", "2"):
        order_id = f"ord_{number}"
        audit = an_audit_chain(order_id, 3)
        history = replace(
            history,
            acknowledged=[*history.acknowledged, Acknowledged(f"k{number}", order_id)],
            erp=[*history.erp, ErpDocument(f"so{number}", order_id)],
            crm=[*history.crm, CrmRecord(f"801{number}", order_id, STATES)],
            orders=[
                *history.orders,
                OrderRow(order_id, "PAID", len(STATES), bytes(audit[-1]["hash"]), f"so{number}"),  # type: ignore[call-overload]
            ],
            events=[
                *history.events,
                *(an_event(order_id, sequence, state) for sequence, state in enumerate(STATES, 1)),
            ],
            deliveries=[
                *history.deliveries,
                DeliveryRow(int(number), f"orders/{order_id}", "connector:netsuite", "DELIVERED"),
            ],
            audit=[*history.audit, *audit],
        )
    return history


def test_a_sound_history_meets_no_objection() -> None:
    assert check(a_sound_history()) == []


def damaged_audit(history: History) -> History:
    first, *rest = history.audit
    return replace(history, audit=[{**first, "new_value": "other"}, *rest])


DAMAGE: dict[str, tuple[str, Callable[[History], History]]] = {
    "an acknowledged order is not stored": (
        "lost order",
        lambda h: replace(h, acknowledged=[*h.acknowledged, Acknowledged("k3", "ord_3")]),
    ),
    "one key was answered with two orders": (
        "doubled order",
        lambda h: replace(h, acknowledged=[*h.acknowledged, Acknowledged("k1", "ord_2")]),
    ),
    "an order is stored that no caller was told of": (
        "doubled order",
        lambda h: replace(h, acknowledged=h.acknowledged[:2]),
    ),
    "the ERP has two documents for one order": (
        "doubled document",
        lambda h: replace(h, erp=[*h.erp, ErpDocument("so9", "ord_1")]),
    ),
    "the ERP has a document of nobody": (
        "stray document",
        lambda h: replace(h, erp=[*h.erp, ErpDocument("so9", "ord_9")]),
    ),
    "a posted order is not in the ERP": ("lost document", lambda h: replace(h, erp=h.erp[:1])),
    "the ERP's answer was not linked": (
        "unlinked answer",
        lambda h: replace(h, orders=[replace(h.orders[0], erp_external_id=""), *h.orders[1:]]),
    ),
    "the CRM has two records for one order": (
        "doubled record",
        lambda h: replace(h, crm=[*h.crm, h.crm[0]]),
    ),
    "the CRM was told a state twice backwards": (
        "state went back",
        lambda h: replace(h, crm=[replace(h.crm[0], states=("POSTED", "SHIPPED", "POSTED"))]),
    ),
    "the events tell a state backwards": (
        "state went back",
        lambda h: replace(h, events=[*h.events[:-1], an_event("ord_2", len(STATES), "POSTED")]),
    ),
    "an event is missing": ("event lost", lambda h: replace(h, events=h.events[1:])),
    "a change has no event": (
        "event lost",
        lambda h: replace(h, orders=[replace(h.orders[0], sequence=9), *h.orders[1:]]),
    ),
    "an event has no change": (
        "event without change",
        lambda h: replace(h, events=[*h.events, an_event("ord_9", 1, "RECEIVED")]),
    ),
    "an audit row was altered": ("audit broken", damaged_audit),
    "the last audit row was cut off": ("audit broken", lambda h: replace(h, audit=h.audit[:-1])),
    "a delivery never came to rest": (
        "not at rest",
        lambda h: replace(h, deliveries=[replace(h.deliveries[0], state="IN_DOUBT")]),
    ),
    "an order has no outcome": (
        "no outcome",
        lambda h: replace(h, orders=[replace(h.orders[0], state="RECEIVED"), *h.orders[1:]], erp=h.erp[1:]),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_meets_its_objection(damage: str) -> None:
    rule, inflict = DAMAGE[damage]
    assert rule in {objection.rule for objection in check(inflict(a_sound_history()))}


def test_work_under_way_is_no_damage_before_the_faults_stop() -> None:
    history = a_sound_history()
    under_way = replace(history.deliveries[0], state="RETRYING")
    assert check(replace(history, deliveries=[under_way], converged=False)) == []
