"""What an invoice may become: paid once, never unpaid again."""

from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.aggregate import Link
from libs.common.errors import Refused
from libs.common.money import Money
from services.invoice.domain import Document, Invoice, InvoiceEvent, Payment, State
from tests.unit.services.memory import NOW, at_minute


def usd(amount: int | str) -> Money:
    return Money(Decimal(amount), "USD")


DOCUMENT = Document(
    number="INV-1",
    order_id="ord_1",
    state=State.OPEN,
    currency="USD",
    net_total=usd(100),
    tax_total=usd(10),
    total=usd(110),
    amount_due=usd(110),
)
LINK = at_minute(0, external_id="55", number="INV-1")


def a_payment(number: int, amount: int | str) -> Payment:
    return Payment("netsuite", str(number), f"PAY-{number}", usd(amount), None)


def a_new_invoice() -> Invoice:
    return Invoice(
        tenant="acme",
        record_id="inv_1",
        create_time=NOW,
        update_time=NOW,
        correlation_id="",
        traceparent="",
        erp="netsuite",
        currency="USD",
        net_total=usd(100),
        tax_total=usd(10),
        total=usd(110),
        amount_stated=usd(110),
    )


def stored(invoice: Invoice) -> Invoice:
    return replace(invoice, version=invoice.version + 1, pending=())


def an_invoice() -> Invoice:
    return stored(a_new_invoice().stated(DOCUMENT, LINK))


def due(amount: int | str) -> Document:
    return replace(DOCUMENT, amount_due=usd(amount))


@pytest.mark.parametrize(
    ("document", "state", "told"),
    [
        (DOCUMENT, State.OPEN, (InvoiceEvent.ISSUED,)),
        (due(0), State.PAID, (InvoiceEvent.ISSUED, InvoiceEvent.PAID)),
        (replace(DOCUMENT, state=State.PAID), State.PAID, (InvoiceEvent.ISSUED, InvoiceEvent.PAID)),
        (replace(DOCUMENT, state=State.VOID), State.VOID, (InvoiceEvent.ISSUED, InvoiceEvent.VOIDED)),
        (
            replace(DOCUMENT, payments=(a_payment(1, 110),)),
            State.PAID,
            (InvoiceEvent.ISSUED, InvoiceEvent.PAID),
        ),
    ],
)
def test_a_new_invoice_is_issued_and_settled_as_far_as_it_is(
    document: Document, state: State, told: tuple[InvoiceEvent, ...]
) -> None:
    invoice = a_new_invoice().stated(document, LINK)
    assert (invoice.state, invoice.pending, invoice.order_id) == (state, told, "ord_1")


def test_the_same_content_tells_nothing() -> None:
    assert an_invoice().stated(DOCUMENT, at_minute(9, external_id="55")).pending == ()


def test_the_order_once_known_is_not_forgotten() -> None:
    assert an_invoice().stated(replace(DOCUMENT, order_id=""), LINK).order_id == "ord_1"


def test_what_is_due_is_the_smaller_of_the_erp_s_word_and_what_payments_leave() -> None:
    invoice = an_invoice().paid_by(a_payment(1, 60))
    assert invoice.amount_due == usd(50)
    assert invoice.stated(due(20), LINK).amount_due == usd(20)
    assert invoice.stated(due(90), LINK).amount_due == usd(50)


def test_a_payment_counts_once_however_often_it_comes() -> None:
    once = stored(an_invoice().paid_by(a_payment(1, 60)))
    assert once.paid_by(a_payment(1, 60)).pending == ()
    assert stored(once.paid_by(a_payment(2, 10))).paid_by(a_payment(1, 60)).pending == ()
    corrected = once.paid_by(a_payment(1, 40))
    assert (corrected.amount_due, len(corrected.payments)) == (usd(70), 1)


def test_the_last_payment_pays_the_invoice_and_nothing_opens_it_again() -> None:
    part = stored(an_invoice().paid_by(a_payment(1, 60)))
    paid = part.paid_by(a_payment(2, 50))
    assert (paid.state, paid.pending) == (State.PAID, (InvoiceEvent.PAID,))
    reopened = stored(paid).stated(due(30), LINK).paid_by(a_payment(2, 5))
    assert reopened.state is State.PAID


def test_the_erp_s_word_on_what_a_payment_said_before_is_nothing_new() -> None:
    paid = stored(an_invoice().paid_by(a_payment(1, 110)))
    assert paid.stated(replace(due(0), state=State.PAID), LINK).pending == ()
    part = stored(an_invoice().paid_by(a_payment(1, 60)))
    assert part.stated(due(50), LINK).pending == ()
    assert part.stated(due(40), LINK).pending == (InvoiceEvent.CHANGED,)


def test_an_invoice_taken_back_stays_so_and_nothing_of_it_is_due() -> None:
    void = stored(an_invoice().gone_from_erp(LINK))
    assert (void.state, void.amount_due) == (State.VOID, usd(0))
    assert void.gone_from_erp(LINK).pending == ()
    assert void.stated(DOCUMENT, LINK).state is State.VOID
    assert void.paid_by(a_payment(1, 110)).state is State.VOID
    assert stored(stored(an_invoice()).stated(due(0), LINK)).gone_from_erp(LINK).state is State.VOID


def test_a_payment_in_another_currency_is_refused() -> None:
    euros = replace(a_payment(1, 60), amount=Money(Decimal(60), "EUR"))
    with pytest.raises(Refused, match="CURRENCY_MIXED"):
        an_invoice().paid_by(euros)


def test_a_link_of_the_crm_is_told_once() -> None:
    linked = an_invoice().linked_and_told(Link("salesforce", "a01"))
    assert linked.pending == (InvoiceEvent.LINKED,)
    assert stored(linked).linked_and_told(Link("salesforce", "a01")).pending == ()


WORDS = st.one_of(
    st.builds(due, st.integers(0, 110)),
    st.builds(lambda state: replace(DOCUMENT, state=state), st.sampled_from(State)),
    st.builds(a_payment, st.integers(1, 4), st.integers(0, 110)),
)


@given(st.lists(WORDS, max_size=12))
def test_no_sequence_of_words_moves_the_state_back_or_tells_twice_of_a_state(
    words: list[Document | Payment],
) -> None:
    invoice = an_invoice()
    told: list[StrEnum] = []
    for word in words:
        after = invoice.stated(word, LINK) if isinstance(word, Document) else invoice.paid_by(word)
        assert after.state >= invoice.state
        assert after.pending or after.amount_due == invoice.amount_due
        told += after.pending
        invoice = stored(after)
    assert told.count(InvoiceEvent.PAID) <= 1
    assert told.count(InvoiceEvent.VOIDED) <= 1
