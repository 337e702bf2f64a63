"""What an order may become: one way, with a person where the rules want one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.aggregate import Link
from libs.common.errors import Refused
from libs.common.money import Money
from services.order.domain import (
    FINAL,
    REQUESTED,
    Correction,
    Hold,
    Invoice,
    KnownCustomer,
    KnownProduct,
    Order,
    OrderEvent,
    OrderLine,
    Party,
    Progress,
    Shipment,
    Stage,
    State,
    check_references,
    reference_ids,
)
from tests.unit.services.memory import NOW, at_minute

ERP_LINK = Link("netsuite", "77", "SO77")


def usd(amount: int | str) -> Money:
    return Money(Decimal(amount), "USD")


def a_line(number: int = 1, sku: str = "BOLT", quantity: str = "8", price: str = "12.50") -> OrderLine:
    return OrderLine(number, sku, Decimal(quantity), usd(price))


def an_order(*lines: OrderLine, total: int | str = 100) -> Order:
    """As stored after the submission of 8 bolts for 100 USD."""
    return Order(
        tenant="acme",
        record_id="ord_1",
        create_time=NOW,
        update_time=NOW,
        correlation_id="",
        traceparent="",
        sold_to=Party("cus_1"),
        customer_id="cus_1",
        currency="USD",
        lines=lines or (a_line(),),
        total=usd(total),
        erp="netsuite",
        crm="salesforce",
        submitted_by="sales",
    )


def ready(order: Order | None = None) -> Order:
    """Past all stages, on its way to the ERP."""
    checked = (order or an_order()).validated().credit_cleared().availability_confirmed()
    return replace(checked.taxed(None), pending=())


def posted() -> Order:
    return replace(ready().posted(ERP_LINK), pending=())


def a_hold(reason: str = REQUESTED, by: str = "sales") -> Hold:
    return Hold(reason, "", by, NOW, NOW + timedelta(days=3))


def a_shipment(quantity: str = "8") -> Shipment:
    return Shipment("netsuite", "1", "IF1", "", None, (("BOLT", Decimal(quantity)),))


def progress(
    state: State | None = None, *shipments: Shipment, closed: bool = False, number: str = "SO77"
) -> Progress:
    return Progress(state, number, shipments, None, closed)


def an_invoice(number: int = 1, *, due: int = 100, net: int = 100, void: bool = False) -> Invoice:
    return Invoice(f"inv_{number}", f"INV-{number}", usd(net), usd(net), usd(due), void)


# The door -------------------------------------------------------------------------------------------------


def test_a_submission_is_told_and_linked_to_its_source() -> None:
    order = replace(an_order(), source_system="salesforce", source_id="801").received()
    assert order.pending == (OrderEvent.RECEIVED,)
    assert order.link_of("salesforce") == Link("salesforce", "801")


@pytest.mark.parametrize(
    ("order", "reason", "field"),
    [
        (an_order(a_line(), a_line(sku="NUT")), "LINE_NUMBER_REPEATED", "order.lines[1].line_number"),
        (
            an_order(replace(a_line(), unit_price=Money(Decimal(1), "EUR"))),
            "CURRENCY_MIXED",
            "order.lines[0].unit_price.currency_code",
        ),
        (an_order(total="100.01"), "TOTAL_MISMATCH", "order.total"),
    ],
)
def test_a_submission_that_contradicts_itself_is_refused(order: Order, reason: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        order.received()
    assert (refused.value.reason, refused.value.violations[0].field) == (reason, field)


def test_lines_are_rounded_one_by_one_as_erps_do() -> None:
    lines = tuple(a_line(n, quantity="0.5", price="0.05") for n in (1, 2))
    assert an_order(*lines, total="0.04").received().total == usd("0.04")


# Stages ---------------------------------------------------------------------------------------------------


def test_the_stages_follow_one_another() -> None:
    order = an_order()
    for stage, go_on in (
        (Stage.VALIDATE, Order.validated),
        (Stage.CREDIT, Order.credit_cleared),
        (Stage.AVAILABILITY, Order.availability_confirmed),
    ):
        assert order.awaits(stage)
        order = go_on(order)
    assert order.awaits(Stage.TAX)
    assert order.taxed(usd(8)).tax_total == usd(8)
    assert not order.held(a_hold()).awaits(Stage.TAX)


def test_posting_twice_is_told_once() -> None:
    first = ready().posted(ERP_LINK)
    assert (first.state, first.erp_number, first.pending) == (State.POSTED, "SO77", (OrderEvent.POSTED,))
    assert replace(first, pending=()).posted(ERP_LINK).pending == ()


# People ---------------------------------------------------------------------------------------------------


def test_a_hold_that_was_asked_for_is_released_by_anybody() -> None:
    held = an_order().held(a_hold())
    assert (held.state, held.released().state) == (State.ON_HOLD, State.RECEIVED)
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        held.approved("boss", NOW)


def test_a_hold_by_a_check_needs_another_person_in_time() -> None:
    held = an_order().validated().held(a_hold("CREDIT_LIMIT_EXCEEDED"))
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        held.released()
    with pytest.raises(Refused, match="APPROVER_IS_REQUESTER"):
        held.approved("sales", NOW)
    with pytest.raises(Refused, match="APPROVAL_EXPIRED"):
        held.approved("boss", NOW + timedelta(days=3))
    approved = held.approved("boss", NOW + timedelta(days=2))
    assert (approved.state, approved.stage, approved.hold) == (State.RECEIVED, Stage.AVAILABILITY, None)


@pytest.mark.parametrize("order", [ready(), posted()])
def test_what_the_erp_may_have_cannot_be_held(order: Order) -> None:
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        order.held(a_hold())


def test_a_correction_changes_only_what_it_names() -> None:
    line = replace(a_line(), tax_code="T1", description="old")
    correction = Correction(((1, "T2", None),), None, "new")
    order = replace(an_order(line), memo="old", purchase_order_number="PO-1").corrected(correction)
    assert (order.lines[0].tax_code, order.lines[0].description) == ("T2", "old")
    assert (order.memo, order.purchase_order_number) == ("new", "PO-1")
    with pytest.raises(Refused, match="NOT_FOUND"):
        order.corrected(Correction(((2, None, None),), None, None))
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        posted().corrected(correction)


def test_an_order_is_cancelled_at_once_or_asked_for_or_too_late() -> None:
    assert an_order().cancel().state is State.CANCELLED
    asked = posted().cancel()
    assert (asked.state, asked.pending) == (State.POSTED, (OrderEvent.CANCEL_REQUESTED,))
    assert asked.cancel().pending == asked.pending
    assert asked.cancelled().state is State.CANCELLED
    with pytest.raises(Refused, match="ORDER_SHIPPED"):
        posted().progressed(progress(State.SHIPPED, a_shipment()), ERP_LINK).cancel()
    with pytest.raises(Refused, match="STATE_FORBIDS"):
        an_order().cancel().cancel()


# The ERP --------------------------------------------------------------------------------------------------


def test_progress_is_told_once_and_shipped_quantities_are_spread_over_the_lines() -> None:
    order = replace(posted(), lines=(a_line(1, quantity="3"), a_line(2, quantity="5")))
    part = order.progressed(progress(State.PARTLY_SHIPPED, a_shipment("4")), at_minute(1))
    assert [line.shipped_quantity for line in part.lines] == [3, 1]
    assert part.pending == (OrderEvent.PARTLY_SHIPPED,)
    again = replace(part, pending=()).progressed(
        progress(State.PARTLY_SHIPPED, a_shipment("4")), at_minute(2)
    )
    assert again.pending == ()
    more = replace(part, pending=()).progressed(progress(State.PARTLY_SHIPPED, a_shipment("5")), at_minute(3))
    assert more.pending == (OrderEvent.PROGRESSED,)


def test_the_erp_s_word_on_an_order_whose_posting_nobody_answered_posts_it() -> None:
    order = ready().progressed(progress(State.ACCEPTED), at_minute(1))
    assert order.pending == (OrderEvent.POSTED, OrderEvent.ACCEPTED)
    assert order.erp_number == "SO77"


def test_the_erp_s_refusal_and_its_closing_end_the_order() -> None:
    rejected = posted().progressed(progress(State.REJECTED), at_minute(1))
    assert (rejected.state, rejected.reason) == (State.REJECTED, "ERP_REFUSED")
    closed = posted().progressed(progress(closed=True), at_minute(1))
    assert (closed.state, closed.reason) == (State.CANCELLED, "ERP_REFUSED")
    asked = posted().cancel().progressed(progress(closed=True), at_minute(1))
    assert (asked.state, asked.reason) == (State.CANCELLED, "")


def test_an_order_is_invoiced_when_all_of_it_is_and_paid_when_nothing_is_due() -> None:
    part = posted().invoiced(an_invoice(1, net=40, due=40))
    assert (part.state, part.pending) == (State.POSTED, (OrderEvent.PROGRESSED,))
    whole = part.invoiced(an_invoice(2, net=60, due=60))
    assert whole.state is State.INVOICED
    one_paid = whole.invoiced(an_invoice(1, net=40, due=0))
    assert one_paid.state is State.INVOICED
    assert one_paid.invoiced(an_invoice(2, net=60, due=0)).state is State.PAID


def test_an_invoice_that_was_taken_back_does_not_count() -> None:
    assert posted().invoiced(an_invoice(void=True, due=0)).state is State.POSTED


Word = Callable[[Order], Order]
WORDS: st.SearchStrategy[Word] = st.one_of(
    st.builds(
        lambda state, quantity, closed: (
            lambda order: order.progressed(
                progress(state, *([a_shipment(str(quantity))] if quantity else []), closed=closed),
                at_minute(1),
            )
        ),
        st.sampled_from([None, *State]),
        st.integers(0, 8),
        st.booleans(),
    ),
    st.builds(
        lambda number, net, due, void: (
            lambda order: order.invoiced(an_invoice(number, net=net, due=min(due, net), void=void))
        ),
        st.integers(1, 3),
        st.integers(0, 100),
        st.integers(0, 100),
        st.booleans(),
    ),
    st.just(lambda order: order.posted(ERP_LINK)),
    st.just(lambda order: order.cancelled()),
)


@given(st.lists(WORDS, max_size=12))
def test_no_sequence_of_words_moves_an_order_back_or_out_of_its_end(words: list[Word]) -> None:
    order, told = ready(), list[StrEnum]()
    for word in words:
        after = word(order)
        assert after.state >= order.state
        assert order.state not in FINAL or after.state is order.state
        told += after.pending
        order = replace(after, version=after.version + 1, pending=())
    for event in (OrderEvent.POSTED, OrderEvent.SHIPPED, OrderEvent.PAID, OrderEvent.CANCELLED):
        assert told.count(event) <= 1


# Neighbours -----------------------------------------------------------------------------------------------

ACME = KnownCustomer("cus_1", True, {"netsuite": "110"})
BOLT = KnownProduct("BOLT", True, "EA", {"netsuite": "7", "salesforce": "01t"})


def test_known_references_pass() -> None:
    check_references(an_order(), ACME, {"BOLT": BOLT})
    check_references(an_order(replace(a_line(), unit_code="EA")), ACME, {"BOLT": BOLT})


@pytest.mark.parametrize(
    ("customer", "products", "line", "reason"),
    [
        (None, {"BOLT": BOLT}, a_line(), "CUSTOMER_UNKNOWN"),
        (replace(ACME, active=False), {"BOLT": BOLT}, a_line(), "CUSTOMER_INACTIVE"),
        (ACME, {}, a_line(), "PRODUCT_UNKNOWN"),
        (ACME, {"BOLT": replace(BOLT, active=False)}, a_line(), "PRODUCT_INACTIVE"),
        (ACME, {"BOLT": BOLT}, replace(a_line(), unit_code="KGM"), "UNIT_UNKNOWN"),
    ],
)
def test_an_order_for_what_is_not_known_or_not_open_is_refused(
    customer: KnownCustomer | None, products: dict[str, KnownProduct], line: OrderLine, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        check_references(an_order(line), customer, products)


def test_references_are_named_by_each_system_s_ids() -> None:
    assert reference_ids(ACME, {"BOLT": BOLT}, "netsuite") == {"cus_1": "110", "BOLT": "7"}
    assert reference_ids(ACME, {"BOLT": BOLT}, "salesforce") == {"BOLT": "01t"}
