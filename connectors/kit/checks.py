"""Several questions about one order, each with its own answer or failure. Open it when one question spoils another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from ordermesh.connector.v1 import connector_service_pb2 as contract

from libs.common.errors import NotDone, Refused
from libs.common.rpc.contract import Method, methods
from libs.common.rpc.interceptors.errors import told_as
from libs.common.rpc.status import status_of


class Questions(Protocol):
    """The questions of the port."""

    async def check_credit(self, request: contract.CheckCreditRequest) -> contract.CheckCreditResponse: ...

    async def check_availability(
        self, request: contract.CheckAvailabilityRequest
    ) -> contract.CheckAvailabilityResponse: ...

    async def calculate_tax(self, request: contract.CalculateTaxRequest) -> contract.CalculateTaxResponse: ...


async def checked(connector: Questions, request: contract.CheckOrderRequest) -> contract.CheckOrderResponse:
    """Asks all at once. Raises nothing of a question's own."""
    asked = (_answered(connector, request, question) for question in request.questions)
    return contract.CheckOrderResponse(answers=await asyncio.gather(*asked))


async def _answered(
    connector: Questions, request: contract.CheckOrderRequest, question: contract.Question.ValueType
) -> contract.OrderAnswer:
    name, ask = ASKS[question]
    method = methods()[f"/ordermesh.connector.v1.ConnectorService/{name}"]
    try:
        return await _in_time(ask(connector, request), method)
    except Exception as error:  # noqa: BLE001  (the outermost frame of a question)
        return contract.OrderAnswer(status=status_of(told_as(error, method)).SerializeToString())


async def _in_time(asked: Awaitable[contract.OrderAnswer], method: Method) -> contract.OrderAnswer:
    """As long as the question has when it comes alone; the answers that are there must not wait for one that hangs."""
    try:
        async with asyncio.timeout(method.timeout_seconds):
            return await asked
    except TimeoutError as error:
        raise NotDone("DEADLINE_EXCEEDED", "the question took too long") from error


async def _credit(connector: Questions, request: contract.CheckOrderRequest) -> contract.OrderAnswer:
    if not request.customer_external_id:
        raise Refused.field("CUSTOMER_UNKNOWN", "customer_external_id", "credit is a customer's")
    question = contract.CheckCreditRequest(
        customer_external_id=request.customer_external_id, amount=request.order.total
    )
    return contract.OrderAnswer(credit=await connector.check_credit(question))


async def _availability(connector: Questions, request: contract.CheckOrderRequest) -> contract.OrderAnswer:
    question = contract.CheckAvailabilityRequest(lines=request.order.lines)
    return contract.OrderAnswer(availability=await connector.check_availability(question))


async def _tax(connector: Questions, request: contract.CheckOrderRequest) -> contract.OrderAnswer:
    question = contract.CalculateTaxRequest(order=request.order)
    return contract.OrderAnswer(tax=await connector.calculate_tax(question))


ASKS: Mapping[
    int,
    tuple[str, Callable[[Questions, contract.CheckOrderRequest], Awaitable[contract.OrderAnswer]]],
] = {
    contract.QUESTION_CREDIT: ("CheckCredit", _credit),
    contract.QUESTION_AVAILABILITY: ("CheckAvailability", _availability),
    contract.QUESTION_TAX: ("CalculateTax", _tax),
}
"""The method that asks the same alone, and how it is asked here."""
