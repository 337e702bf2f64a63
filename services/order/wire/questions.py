"""Questions to the ERP and its answers, pure. Open this file when a stage asks or understands something wrong."""

from decimal import Decimal

from ordermesh.connector.v1 import connector_service_pb2

from libs.common import money
from libs.common.errors import Refused
from services.order.commands import Availability, Credit
from services.order.domain import Order
from services.order.wire.answers import add_lines, render_order


def credit_question(order: Order, customer_external_id: str) -> connector_service_pb2.CheckCreditRequest:
    return connector_service_pb2.CheckCreditRequest(
        customer_external_id=customer_external_id, amount=money.render_money(order.total)
    )


def credit_answer(answer: connector_service_pb2.CheckCreditResponse) -> Credit:
    verdicts = {
        connector_service_pb2.CREDIT_VERDICT_COVERED: Credit.COVERED,
        connector_service_pb2.CREDIT_VERDICT_OVER_LIMIT: Credit.OVER_LIMIT,
        connector_service_pb2.CREDIT_VERDICT_ON_HOLD: Credit.ON_HOLD,
    }
    if answer.verdict not in verdicts:
        raise Refused("MAPPING_VALUE_UNKNOWN", f"credit verdict {answer.verdict} has no counterpart")
    return verdicts[answer.verdict]


def availability_question(order: Order) -> connector_service_pb2.CheckAvailabilityRequest:
    question = connector_service_pb2.CheckAvailabilityRequest()
    add_lines(question.lines, order.lines)
    return question


def availability_answer(
    order: Order, answer: connector_service_pb2.CheckAvailabilityResponse
) -> Availability:
    """Line numbers that cannot be promised now."""
    wanted = {line.line_number: line.quantity for line in order.lines}
    short = tuple(
        line.line_number
        for line in answer.lines
        if line.HasField("quantity_available")
        and Decimal(line.quantity_available.value or "0") < wanted.get(line.line_number, Decimal(0))
    )
    return Availability(short)


def tax_question(order: Order) -> connector_service_pb2.CalculateTaxRequest:
    return connector_service_pb2.CalculateTaxRequest(order=render_order(order))


def tax_answer(answer: connector_service_pb2.CalculateTaxResponse) -> money.Money:
    return money.money_from(answer.tax_total)
