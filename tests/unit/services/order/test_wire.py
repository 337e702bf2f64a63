"""Orders on the wire and back."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from ordermesh.common.v1 import address_pb2, external_ref_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2
from ordermesh.invoice.v1 import invoice_events_pb2, invoice_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.order.v1 import order_service_pb2 as pb
from ordermesh.product.v1 import product_events_pb2, product_pb2

from libs.common.errors import NotDone, Refused
from libs.common.rpc.status import status_of
from services.order import domain, wire
from services.order.commands import Availability, Credit, Tax
from services.order.domain import OrderEvent, Party, Stage, State
from services.order.reactions import HEARS, targets
from tests.builders import a_change, a_submission, erp_progress, usd
from tests.unit.services.order.test_domain import a_line, an_invoice, an_order, posted
from tests.unit.services.order.test_domain import usd as money


def test_a_submission_says_everything_that_was_written() -> None:
    request = a_submission(skus={"BOLT": "8", "NUT": "0.5"})
    request.order.ship_to.CopyFrom(address_pb2.Address(lines=["1 Road"], country_code="US"))
    request.order.requested_date.CopyFrom(Date(year=2026, month=3, day=9))
    request.order.total.CopyFrom(usd("106.25"))
    command = wire.parse_submit_order(request)
    assert (command.sold_to, command.currency, command.total) == (Party("cus_1"), "USD", money("106.25"))
    assert [line.line_number for line in command.lines] == [1, 2]
    assert command.lines[1].quantity == Decimal("0.5")
    assert command.requested_date is not None
    assert (command.source_system, command.source_id) == ("salesforce", "801-key-1")
    assert command.ship_to is not None
    assert command.ship_to.lines == ("1 Road",)


def test_a_buyer_may_be_named_by_an_outside_record() -> None:
    request = a_submission()
    ref = external_ref_pb2.ExternalRef(system="salesforce", external_id="001")
    request.order.sold_to.external.CopyFrom(ref)
    assert wire.parse_submit_order(request).sold_to == Party(system="salesforce", external_id="001")


def test_all_violations_of_a_submission_are_told_at_once() -> None:
    request = a_submission(skus={"A": "0", "B": "1e3", "C": "many"})
    request.order.lines[1].unit_price.CopyFrom(usd("-1"))
    request.order.lines[1].line_number = 2
    with pytest.raises(Refused) as refused:
        wire.parse_submit_order(request)
    found = {(violation.field, violation.reason) for violation in refused.value.violations}
    assert found == {
        ("order.lines[0].quantity", "QUANTITY_INVALID"),
        ("order.lines[1].unit_price", "PRICE_INVALID"),
        ("order.lines[2].quantity", "QUANTITY_INVALID"),
        ("order.lines[0].line_number", "INVALID_FIELD"),
        ("order.lines[2].line_number", "INVALID_FIELD"),
    }


def test_a_submission_may_not_set_what_others_own_or_use_an_unknown_currency() -> None:
    request = a_submission()
    request.order.state = order_pb2.ORDER_STATE_PAID
    with pytest.raises(Refused) as refused:
        wire.parse_submit_order(request)
    assert refused.value.reason == "OWNERSHIP_VIOLATION"
    assert refused.value.violations[0].field == "order.state"
    request = a_submission()
    request.order.currency_code = "XXX"
    with pytest.raises(Refused, match="CURRENCY_UNKNOWN"):
        wire.parse_submit_order(request)


def test_a_correction_tells_absent_from_empty() -> None:
    request = pb.CorrectOrderRequest(order_id="ord_1", reason="why", memo="")
    mend = wire.parse_correct_order(request)
    assert (mend.correction.memo, mend.correction.purchase_order_number) == ("", None)
    assert (mend.decision.order_id, mend.decision.note) == ("ord_1", "why")


def test_an_order_is_shown_with_all_that_is_known_of_it() -> None:
    shipment = domain.Shipment("netsuite", "1", "IF1", "TRACK", None, (("BOLT", Decimal(8)),))
    order = replace(
        posted(), shipments=(shipment,), invoices=(an_invoice(), an_invoice(2, void=True)), tax_total=money(8)
    )
    shown = wire.render_order(order)
    assert (shown.order_id, shown.state, shown.erp_number) == ("ord_1", order_pb2.ORDER_STATE_POSTED, "SO77")
    assert shown.shipments[0].lines[0].quantity.value == "8"
    assert [invoice.invoice_id for invoice in shown.invoices] == ["inv_1"]
    assert (shown.total, shown.tax_total) == (usd("100"), usd("8"))
    answer = wire.render_submitted_order(order)
    assert (answer.order_id, answer.status_url, answer.order) == ("ord_1", "/v1/orders/ord_1", shown)
    assert wire.submitted_order(order) == answer.SerializeToString()


def test_amounts_are_shown_as_each_caller_wrote_them() -> None:
    written = ("1.5", "1.50", "2", "2.0")
    requests = [a_submission(skus={"BOLT": quantity}) for quantity in written]
    orders = [replace(an_order(), lines=wire.parse_submit_order(request).lines) for request in requests]
    assert tuple(wire.render_order(order).lines[0].quantity.value for order in orders) == written


def test_every_event_holds_the_order_and_has_somebody_who_hears_of_it() -> None:
    for event in OrderEvent:
        name, data = wire.render_event(event, posted())
        assert name == f"ordermesh.order.v1.{event}"
        assert wire.order_of_event(data) == wire.render_order(posted())
        assert HEARS[event]
    assert targets(OrderEvent.TAXED, posted()) == ("connector:netsuite", "stream")
    assert "stage:validate" in targets(OrderEvent.RELEASED, an_order())


def test_a_stage_hears_only_of_an_order_that_waits_for_it() -> None:
    validated = an_order().validated()
    assert targets(OrderEvent.VALIDATED, validated) == ("stage:credit", "stream")
    assert targets(OrderEvent.VALIDATED, validated.credit_cleared()) == ("stream",)
    assert targets(OrderEvent.CREDIT_CLEARED, validated.credit_cleared()) == ("stage:availability", "stream")
    held = replace(validated, state=State.ON_HOLD)
    assert targets(OrderEvent.VALIDATED, held) == ("stream",)


def test_the_erp_s_word_is_about_orders_of_ours_only() -> None:
    shipped = change_pb2.ERP_ORDER_STATUS_SHIPPED
    taken = wire.parse_progress(erp_progress("77", "ord_1", shipped, shipped={"BOLT": "8"}))
    assert taken is not None
    assert (taken.progress.state, taken.link.number) == (State.SHIPPED, "SO77")
    assert taken.progress.shipments[0].lines == (("BOLT", Decimal(8)),)
    assert wire.parse_progress(erp_progress("77", "PO-9", shipped)) is None
    gone = wire.parse_progress(a_change(change_pb2.KIND_ORDER, "77", key="ord_1", gone=True))
    assert gone is not None
    assert gone.progress.closed
    with pytest.raises(Refused, match="MAPPING_VALUE_UNKNOWN"):
        wire.parse_progress(erp_progress("77", "ord_1", change_pb2.ERP_ORDER_STATUS_UNSPECIFIED))


def test_what_other_services_tell_is_kept_as_far_as_orders_need_it() -> None:
    link = external_ref_pb2.Link(ref=external_ref_pb2.ExternalRef(system="netsuite", external_id="110"))
    customer = customer_pb2.Customer(
        customer_id="cus_1", state=customer_pb2.CUSTOMER_STATE_ACTIVE, links=[link]
    )
    data = customer_events_pb2.CustomerRegistered(customer=customer).SerializeToString()
    known, names = wire.known_customer(data)
    assert known == domain.KnownCustomer("cus_1", True, {"netsuite": "110"})
    assert names == ["customer/cus_1", "customer/netsuite/110"]

    product = product_pb2.Product(sku="BOLT", state=product_pb2.PRODUCT_STATE_INACTIVE, unit_code="EA")
    data = product_events_pb2.ProductChanged(product=product).SerializeToString()
    assert wire.known_product(data) == domain.KnownProduct("BOLT", False, "EA", {})

    invoice = invoice_pb2.Invoice(
        invoice_id="inv_1",
        order_id="ord_1",
        net_total=usd("100"),
        total=usd("110"),
        amount_due=usd("0"),
        state=invoice_pb2.INVOICE_STATE_VOID,
    )
    order_id, taken = wire.order_invoice(
        invoice_events_pb2.InvoiceVoided(invoice=invoice).SerializeToString()
    )
    assert (order_id, taken.void, taken.amount_due) == ("ord_1", True, money(0))


def test_questions_name_the_order_and_answers_are_understood_or_refused() -> None:
    order = an_order(a_line(), a_line(2, "NUT"), total=200)
    assert wire.credit_question(order, "110").amount == usd("200")
    verdict = connector_service_pb2.CREDIT_VERDICT_ON_HOLD
    assert wire.credit_answer(connector_service_pb2.CheckCreditResponse(verdict=verdict)) is Credit.ON_HOLD
    with pytest.raises(Refused, match="MAPPING_VALUE_UNKNOWN"):
        wire.credit_answer(connector_service_pb2.CheckCreditResponse())
    answer = connector_service_pb2.CheckAvailabilityResponse(
        lines=[
            connector_service_pb2.LineAvailability(
                line_number=1, quantity_available=DecimalMessage(value="7.99")
            ),
            connector_service_pb2.LineAvailability(line_number=2),
        ]
    )
    assert wire.availability_answer(order, answer) == Availability((1,))
    assert [line.sku for line in wire.availability_question(order).lines] == ["BOLT", "NUT"]
    tax = connector_service_pb2.CalculateTaxResponse(tax_total=usd("8"))
    assert wire.tax_answer(tax) == Tax(money(8))


def test_a_stage_is_told_its_own_answer_or_what_its_question_ended_with() -> None:
    order = an_order()
    asked = wire.order_questions(order, "110", [Stage.AVAILABILITY, Stage.TAX])
    assert asked.order == wire.render_order(order)
    assert list(asked.questions) == [
        connector_service_pb2.QUESTION_AVAILABILITY,
        connector_service_pb2.QUESTION_TAX,
    ]
    tax = connector_service_pb2.OrderAnswer(
        tax=connector_service_pb2.CalculateTaxResponse(tax_total=usd("8"))
    )
    assert wire.order_answer(order, Stage.TAX, tax) == Tax(money(8))
    busy = status_of(NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=7))).SerializeToString()
    with pytest.raises(NotDone, match="SYSTEM_THROTTLED") as throttled:
        wire.order_answer(order, Stage.TAX, connector_service_pb2.OrderAnswer(status=busy))
    assert throttled.value.retry_after == timedelta(seconds=7)
    for answer in (tax, connector_service_pb2.OrderAnswer()):
        with pytest.raises(Refused, match="MAPPING_VALUE_UNKNOWN"):
            wire.order_answer(order, Stage.CREDIT, answer)


def test_a_change_names_the_order_by_our_id() -> None:
    change = wire.render_change(wire.render_order(posted()), change_pb2.INTENT_CANCEL, "77", {"cus_1": "110"})
    assert (change.key, change.external_id, change.intent) == ("ord_1", "77", change_pb2.INTENT_CANCEL)
    assert dict(change.reference_ids) == {"cus_1": "110"}
