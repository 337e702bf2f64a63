"""How far an order can have come, and the facts that tell of it. Open this file to add a state, a stage or an event."""

from enum import IntEnum, StrEnum


class State(IntEnum):
    """How far the order has come; higher is further. The numbers are those of the contract."""

    RECEIVED = 10
    ON_HOLD = 20
    POSTED = 30
    ACCEPTED = 40
    PARTLY_SHIPPED = 50
    SHIPPED = 60
    INVOICED = 70
    PAID = 80
    REJECTED = 90
    CANCELLED = 100


FINAL = frozenset({State.PAID, State.REJECTED, State.CANCELLED})


class Stage(IntEnum):
    """The next thing to be done before posting."""

    VALIDATE = 1
    CREDIT = 2
    AVAILABILITY = 3
    TAX = 4
    POST = 5
    FOLLOW = 6


class OrderEvent(StrEnum):
    """Facts, named as in the contract."""

    RECEIVED = "OrderReceived"
    VALIDATED = "OrderValidated"
    CREDIT_CLEARED = "OrderCreditCleared"
    AVAILABILITY_CONFIRMED = "OrderAvailabilityConfirmed"
    TAXED = "OrderTaxed"
    POSTED = "OrderPosted"
    ACCEPTED = "OrderAccepted"
    PARTLY_SHIPPED = "OrderPartlyShipped"
    SHIPPED = "OrderShipped"
    INVOICED = "OrderInvoiced"
    PAID = "OrderPaid"
    HELD = "OrderHeld"
    RELEASED = "OrderReleased"
    APPROVED = "OrderApproved"
    CORRECTED = "OrderCorrected"
    PROGRESSED = "OrderProgressed"
    CANCEL_REQUESTED = "OrderCancelRequested"
    REJECTED = "OrderRejected"
    CANCELLED = "OrderCancelled"
    LINKED = "OrderLinked"


REACHED = {
    State.POSTED: OrderEvent.POSTED,
    State.ACCEPTED: OrderEvent.ACCEPTED,
    State.PARTLY_SHIPPED: OrderEvent.PARTLY_SHIPPED,
    State.SHIPPED: OrderEvent.SHIPPED,
    State.INVOICED: OrderEvent.INVOICED,
    State.PAID: OrderEvent.PAID,
    State.REJECTED: OrderEvent.REJECTED,
    State.CANCELLED: OrderEvent.CANCELLED,
}
REQUESTED = "REQUESTED"
"""Reason of a hold that somebody asked for; any other reason needs an approval."""
