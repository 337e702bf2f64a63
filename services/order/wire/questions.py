"""Questions to the ERP and its answers, pure. Open this file when a stage asks or understands something wrong."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from google.rpc import status_pb2
from ordermesh.connector.v1 import connector_service_pb2

from libs.common import money
from libs.common.errors import Refused
from libs.common.rpc.contract import methods
from libs.common.rpc.status import error_of
from services.order.commands import Answer, Availability, Credit, Tax
from services.order.domain import Order, Stage
from services.order.wire.answers import add_lines, render_order

QUESTIONS: Mapping[Stage, connector_service_pb2.Question.ValueType] = {
    Stage.CREDIT: connector_service_pb2.QUESTION_CREDIT,
    Stage.AVAILABILITY: connector_service_pb2.QUESTION_AVAILABILITY,
    Stage.TAX: connector_service_pb2.QUESTION_TAX,
}
CHECK_ORDER = "/ordermesh.connector.v1.ConnectorService/CheckOrder"


def order_questions(
    order: Order, customer_external_id: str, stages: Sequence[Stage]
) -> connector_service_pb2.CheckOrderRequest:
    """What several stages ask, in one message."""
    return connector_service_pb2.CheckOrderRequest(
        order=render_order(order),
        customer_external_id=customer_external_id,
        questions=[QUESTIONS[stage] for stage in stages],
    )


def order_answer(order: Order, stage: Stage, answer: connector_service_pb2.OrderAnswer) -> Answer:
    """What a stage is told; raises what its question ended with."""
    outcome = answer.WhichOneof("outcome")
    if outcome == "status":
        raise error_of(status_pb2.Status.FromString(answer.status), methods()[CHECK_ORDER])
    if outcome != stage.name.lower():
        raise Refused("MAPPING_VALUE_UNKNOWN", f"asked about {stage.name}, the connector answers {outcome}")
    if stage is Stage.CREDIT:
        return credit_answer(answer.credit)
    if stage is Stage.AVAILABILITY:
        return availability_answer(order, answer.availability)
    return tax_answer(answer.tax)


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


def tax_answer(answer: connector_service_pb2.CalculateTaxResponse) -> Tax:
    return Tax(money.money_from(answer.tax_total))
