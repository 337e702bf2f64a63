"""The use cases of orders, from end to end in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from libs.common.errors import Refused
from services.order import commands
from services.order.commands import Availability, Credit, Decide, Mend, Routing, SubmitOrder, TakeInProgress
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
        await commands.validate_order("ord_1", tx)
    if upto > Stage.CREDIT:
        await commands.record_credit("ord_1", Credit.COVERED, tx)
    if upto > Stage.AVAILABILITY:
        await commands.record_availability("ord_1", Availability(()), tx)
    if upto > Stage.TAX:
        await commands.record_tax("ord_1", None, tx)
    return tx


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


async def test_a_stage_that_comes_late_or_twice_does_nothing() -> None:
    tx = await a_tx_with_an_order(Stage.AVAILABILITY)
    told = list(tx.orders.told)
    await commands.validate_order("ord_1", tx)
    await commands.record_credit("ord_1", Credit.ON_HOLD, tx)
    await commands.record_tax("ord_1", None, tx)
    assert tx.orders.told == told


async def test_credit_over_the_limit_waits_for_somebody_else_s_approval() -> None:
    tx = await a_tx_with_an_order(Stage.CREDIT)
    await commands.record_credit("ord_1", Credit.OVER_LIMIT, tx)
    assert tx.order.hold is not None
    assert (tx.order.hold.reason, tx.order.hold.requested_by) == ("CREDIT_LIMIT_EXCEEDED", ACME.actor)
    with pytest.raises(Refused, match="APPROVER_IS_REQUESTER"):
        await commands.approve_order(Decide("ord_1", "", ""), tx)
    tx.context = replace(tx.context, actor="boss")
    tx.pass_by(timedelta(days=1))
    await commands.approve_order(Decide("ord_1", "", ""), tx)
    assert tx.order.awaits(Stage.AVAILABILITY)


@pytest.mark.parametrize(("backorders", "state"), [(True, State.RECEIVED), (False, State.ON_HOLD)])
async def test_short_stock_holds_the_order_only_without_back_orders(backorders: bool, state: State) -> None:
    tx = await a_tx_with_an_order(Stage.AVAILABILITY)
    tx.backorders = backorders
    await commands.record_availability("ord_1", Availability((1,)), tx)
    assert tx.order.state is state


async def test_a_customer_closed_meanwhile_stops_the_order_at_validation() -> None:
    tx = await a_tx_with_an_order()
    await commands.keep_customer(KnownCustomer("cus_1", False, {}), [], tx)
    with pytest.raises(Refused, match="CUSTOMER_INACTIVE"):
        await commands.validate_order("ord_1", tx)


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
