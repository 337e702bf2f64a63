"""The use cases of orders, from end to end in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from libs.common.aggregate import Link
from libs.common.errors import NotDone, Refused
from services.order import commands
from services.order.commands import (
    Answers,
    Availability,
    Credit,
    Decide,
    Mend,
    Routing,
    SubmitOrder,
    TakeInProgress,
    Tax,
)
from services.order.domain import (
    Correction,
    KnownCustomer,
    KnownProduct,
    Order,
    Party,
    Stage,
    State,
)
from tests.unit.services.memory import ACME, Memory, MemoryTx, at_minute
from tests.unit.services.order.test_domain import ERP_LINK, a_line, an_invoice, progress, usd


class MemoryReferences:
    """Copies of one customer and the products it buys."""

    def __init__(self) -> None:
        self.customers = {"cus_1": KnownCustomer("cus_1", True, {"netsuite": "110"})}
        self.known = {"BOLT": KnownProduct("BOLT", True, "EA", {})}

    async def customer(self, party: Party) -> KnownCustomer | None:
        return self.customers.get(party.customer_id)

    async def products(self, skus: Sequence[str]) -> dict[str, KnownProduct]:
        return {sku: self.known[sku] for sku in skus if sku in self.known}

    def keep_customer(self, customer: KnownCustomer, names: Sequence[str]) -> None:
        self.customers[customer.customer_id] = customer

    def keep_product(self, product: KnownProduct) -> None:
        self.known[product.sku] = product


def route(tenant: str, region: str, business_unit: str) -> tuple[str, str]:
    if region == "moon":
        raise Refused("ROUTE_NOT_CONFIGURED")
    return "netsuite", "salesforce"


@dataclass
class Tx(MemoryTx):
    orders: Memory[Order] = field(default_factory=Memory)
    references: MemoryReferences = field(default_factory=MemoryReferences)
    route: Routing = route
    backorders: bool = True
    closed: list[str] = field(default_factory=list)
    """Orders whose way to the ERP was cleared of parked items."""

    async def close_way(self, order: Order) -> None:
        self.closed.append(order.record_id)

    @property
    def order(self) -> Order:
        return self.orders.only


SUBMISSION = SubmitOrder(
    sold_to=Party("cus_1"),
    purchase_order_number="",
    currency="USD",
    lines=(a_line(),),
    total=None,
    ship_to=None,
    requested_date=None,
    memo="",
    region="",
    business_unit="",
    source_system="",
    source_id="",
)


async def a_tx_with_an_order(upto: Stage = Stage.VALIDATE) -> Tx:
    """An order that waits for a stage."""
    tx = Tx()
    await commands.submit_order(SUBMISSION, tx)
    if upto > Stage.VALIDATE:
        said = Answers(
            Credit.COVERED if upto > Stage.CREDIT else None,
            Availability(()) if upto > Stage.AVAILABILITY else None,
            Tax(None) if upto > Stage.TAX else None,
        )
        await commands.advance_order(tx.order, said, tx)
    return tx


ALL_WELL = Answers(Credit.COVERED, Availability(()), Tax(usd(8)))


async def test_an_order_goes_through_its_stages_to_the_erp() -> None:
    tx = await a_tx_with_an_order(Stage.POST)
    assert (tx.order.record_id, tx.order.total, tx.order.erp) == ("ord_1", usd("100.00"), "netsuite")
    assert tx.order.stage is Stage.POST
    await commands.record_posted("ord_1", ERP_LINK, tx)
    assert (tx.order.state, tx.order.erp_number) == (State.POSTED, "SO77")


@pytest.mark.parametrize(
    ("submission", "reason"),
    [
        (replace(SUBMISSION, sold_to=Party("cus_2")), "CUSTOMER_UNKNOWN"),
        (replace(SUBMISSION, lines=(a_line(sku="NUT"),)), "PRODUCT_UNKNOWN"),
        (replace(SUBMISSION, total=usd(99)), "TOTAL_MISMATCH"),
        (replace(SUBMISSION, region="moon"), "ROUTE_NOT_CONFIGURED"),
    ],
)
async def test_a_submission_that_cannot_go_anywhere_is_refused_and_leaves_nothing(
    submission: SubmitOrder, reason: str
) -> None:
    tx = Tx()
    with pytest.raises(Refused, match=reason):
        await commands.submit_order(submission, tx)
    assert not tx.orders.records


async def test_all_stages_are_taken_in_one_step_and_each_is_told() -> None:
    tx = await a_tx_with_an_order()
    await commands.advance_order(tx.order, ALL_WELL, tx)
    assert (tx.order.stage, tx.order.tax_total, tx.order.version) == (Stage.POST, usd(8), 2)
    assert tx.orders.told[1:] == [
        "OrderValidated",
        "OrderCreditCleared",
        "OrderAvailabilityConfirmed",
        "OrderTaxed",
    ]


@pytest.mark.parametrize(
    ("said", "stage", "told"),
    [
        (Answers(), Stage.CREDIT, ["OrderValidated"]),
        (replace(ALL_WELL, credit=None), Stage.CREDIT, ["OrderValidated"]),
        (replace(ALL_WELL, availability=None), Stage.AVAILABILITY, ["OrderValidated", "OrderCreditCleared"]),
        (
            replace(ALL_WELL, tax=None),
            Stage.TAX,
            ["OrderValidated", "OrderCreditCleared", "OrderAvailabilityConfirmed"],
        ),
    ],
)
async def test_an_order_goes_as_far_as_its_questions_were_answered(
    said: Answers, stage: Stage, told: Sequence[str]
) -> None:
    tx = await a_tx_with_an_order()
    await commands.advance_order(tx.order, said, tx)
    assert tx.order.awaits(stage)
    assert tx.order.tax_total is None
    assert tx.orders.told[1:] == told


async def test_a_stage_that_comes_late_or_twice_does_nothing() -> None:
    tx = await a_tx_with_an_order(Stage.CREDIT)
    late = tx.order
    await commands.advance_order(late, replace(ALL_WELL, tax=None), tx)
    told = list(tx.orders.told)
    await commands.advance_order(late, ALL_WELL, tx)
    await commands.advance_order(replace(late, stage=Stage.VALIDATE), ALL_WELL, tx)
    assert tx.orders.told == told
    assert tx.order.awaits(Stage.TAX)


async def test_an_order_held_while_the_erp_was_asked_stays_where_it_is() -> None:
    tx = await a_tx_with_an_order()
    asked = tx.order
    await commands.hold_order(Decide("ord_1", "wait", ""), tx)
    await commands.advance_order(asked, ALL_WELL, tx)
    assert (tx.order.state, tx.order.stage) == (State.ON_HOLD, Stage.VALIDATE)


PO_NUMBER = Mend(Decide("ord_1", "", ""), Correction((), "PO-1", None))


async def test_what_was_said_of_an_order_that_was_corrected_since_counts_for_nothing() -> None:
    tx = await a_tx_with_an_order()
    asked = tx.order
    await commands.correct_order(PO_NUMBER, tx)
    await commands.advance_order(asked, ALL_WELL, tx)
    assert tx.order.awaits(Stage.CREDIT)

    asked = tx.order
    await commands.correct_order(replace(PO_NUMBER, correction=Correction((), "PO-2", None)), tx)
    with pytest.raises(NotDone, match="CONFLICT"):
        await commands.advance_order(asked, ALL_WELL, tx)
    assert tx.order.awaits(Stage.CREDIT)
    await commands.advance_order(tx.order, ALL_WELL, tx)
    assert tx.order.awaits(Stage.POST)


async def test_a_link_that_came_while_the_erp_was_asked_spoils_no_answer() -> None:
    tx = await a_tx_with_an_order()
    asked = tx.order
    await commands.record_link("ord_1", Link("salesforce", "801"), tx)
    await commands.advance_order(asked, ALL_WELL, tx)
    assert tx.order.awaits(Stage.POST)


@pytest.mark.parametrize("stage", [Stage.VALIDATE, Stage.CREDIT])
async def test_credit_over_the_limit_waits_for_somebody_else_s_approval(stage: Stage) -> None:
    tx = await a_tx_with_an_order(stage)
    await commands.advance_order(tx.order, replace(ALL_WELL, credit=Credit.OVER_LIMIT), tx)
    assert tx.orders.told[1:] == ["OrderValidated", "OrderHeld"]
    assert (tx.order.stage, tx.order.tax_total) == (Stage.CREDIT, None)
    assert tx.order.hold is not None
    assert (tx.order.hold.reason, tx.order.hold.requested_by) == ("CREDIT_LIMIT_EXCEEDED", ACME.actor)
    with pytest.raises(Refused, match="APPROVER_IS_REQUESTER"):
        await commands.approve_order(Decide("ord_1", "", ""), tx)
    tx.context = replace(tx.context, actor="boss")
    tx.pass_by(timedelta(days=1))
    await commands.approve_order(Decide("ord_1", "", ""), tx)
    assert tx.order.awaits(Stage.AVAILABILITY)


@pytest.mark.parametrize(("backorders", "stage"), [(True, Stage.POST), (False, Stage.AVAILABILITY)])
async def test_short_stock_holds_the_order_only_without_back_orders(backorders: bool, stage: Stage) -> None:
    tx = await a_tx_with_an_order(Stage.AVAILABILITY)
    tx.backorders = backorders
    await commands.advance_order(tx.order, replace(ALL_WELL, availability=Availability((1,))), tx)
    assert (tx.order.stage, tx.order.state is State.ON_HOLD) == (stage, not backorders)


async def test_a_customer_closed_meanwhile_stops_the_order_at_validation() -> None:
    tx = await a_tx_with_an_order()
    await commands.keep_customer(KnownCustomer("cus_1", False, {}), [], tx)
    with pytest.raises(Refused, match="CUSTOMER_INACTIVE"):
        await commands.advance_order(tx.order, ALL_WELL, tx)


async def test_a_decision_is_checked_against_the_version_that_the_person_has_seen() -> None:
    tx = await a_tx_with_an_order()
    await commands.hold_order(Decide("ord_1", "wait", '"1"'), tx)
    with pytest.raises(Refused, match="ETAG_MISMATCH"):
        await commands.release_order(Decide("ord_1", "", '"1"'), tx)
    await commands.release_order(Decide("ord_1", "", "*"), tx)
    await commands.correct_order(Mend(Decide("ord_1", "", ""), Correction((), "PO-1", None)), tx)
    assert tx.closed == []
    await commands.cancel_order(Decide("ord_1", "", ""), tx)
    assert (tx.order.state, tx.order.purchase_order_number) == (State.CANCELLED, "PO-1")
    assert tx.closed == ["ord_1"]
    with pytest.raises(Refused, match="NOT_FOUND"):
        await commands.cancel_order(Decide("ord_2", "", ""), tx)


async def test_the_erp_s_word_is_taken_in_once_and_an_older_one_not_at_all() -> None:
    tx = await a_tx_with_an_order(Stage.POST)
    shipped = TakeInProgress("ord_1", at_minute(9, external_id="77"), progress(State.SHIPPED))
    accepted = TakeInProgress("ord_1", at_minute(4, external_id="77"), progress(State.ACCEPTED))
    for command in (shipped, shipped, accepted):
        await commands.take_in_progress(command, tx)
    assert tx.orders.told[-2:] == ["OrderPosted", "OrderShipped"]
    assert tx.closed == ["ord_1"]
    with pytest.raises(Refused, match="ORDER_UNKNOWN"):
        await commands.take_in_progress(replace(shipped, order_id="ord_2"), tx)


async def test_an_invoice_of_another_order_is_nobody_s_business() -> None:
    tx = await a_tx_with_an_order(Stage.POST)
    await commands.take_in_invoice("", an_invoice(), tx)
    assert tx.order.invoices == ()
    await commands.take_in_invoice("ord_1", an_invoice(due=0), tx)
    assert tx.order.state is State.PAID
    with pytest.raises(Refused, match="ORDER_UNKNOWN"):
        await commands.take_in_invoice("ord_2", an_invoice(), tx)
