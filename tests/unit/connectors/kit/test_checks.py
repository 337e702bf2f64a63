"""Questions asked together: each ends for itself."""

import asyncio

from google.rpc.status_pb2 import Status
from google.type.money_pb2 import Money
from ordermesh.connector.v1 import connector_service_pb2 as contract
from ordermesh.order.v1 import order_pb2

from connectors.kit.port import Connector
from libs.common.errors import NotDone, OrdermeshError, Refused
from libs.common.rpc.contract import methods
from libs.common.rpc.status import error_of
from libs.common.testing.simulation.loop import SimulatedLoop

CHECK_ORDER = methods()["/ordermesh.connector.v1.ConnectorService/CheckOrder"]
TAX = Money(currency_code="EUR", units=8)


class Sluggish(Connector):
    """Never answers on credit, crashes over availability, and knows the tax."""

    async def describe(self) -> contract.DescribeResponse:
        return contract.DescribeResponse()

    async def check_credit(self, request: contract.CheckCreditRequest) -> contract.CheckCreditResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def check_availability(
        self, request: contract.CheckAvailabilityRequest
    ) -> contract.CheckAvailabilityResponse:
        raise KeyError("a bug")

    async def calculate_tax(self, request: contract.CalculateTaxRequest) -> contract.CalculateTaxResponse:
        return contract.CalculateTaxResponse(tax_total=TAX)

    async def close(self) -> None:
        """Holds nothing."""


def failure(answer: contract.OrderAnswer) -> OrdermeshError:
    assert answer.WhichOneof("outcome") == "status"
    return error_of(Status.FromString(answer.status), CHECK_ORDER)


def test_an_answer_comes_home_although_another_question_hangs_and_one_crashes() -> None:
    """In time that is drawn: the hanging question is given up while the call as a whole still has time left."""
    request = contract.CheckOrderRequest(
        order=order_pb2.Order(order_id="ord_1"),
        customer_external_id="110",
        questions=[contract.QUESTION_CREDIT, contract.QUESTION_AVAILABILITY, contract.QUESTION_TAX],
    )

    async def ask() -> contract.CheckOrderResponse:
        async with asyncio.timeout(CHECK_ORDER.timeout_seconds):
            return await Sluggish().check_order(request)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        answer = runner.run(ask())
    hung, crashed, taxed = answer.answers
    assert (type(failure(hung)), failure(hung).reason) == (NotDone, "DEADLINE_EXCEEDED")
    assert (type(failure(crashed)), failure(crashed).reason) == (Refused, "INTERNAL")
    assert taxed.tax.tax_total == TAX


def test_credit_is_not_asked_of_nobody() -> None:
    request = contract.CheckOrderRequest(order=order_pb2.Order(), questions=[contract.QUESTION_CREDIT])
    answer = asyncio.run(Sluggish().check_order(request))
    assert failure(answer.answers[0]).reason == "CUSTOMER_UNKNOWN"
