"""How an ERP is asked about an order. Open this file when a question is not asked, or its answer is not understood.

What several stages ask goes in one call; a connector without that method is asked question by question. An ERP that
does not answer a question before it saves the document has nothing against the order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from ordermesh.connector.v1 import connector_service_pb2 as contract

from libs.common.errors import OrdermeshError, Refused
from services.order import wire
from services.order.commands import Answer, Availability, Credit, Tax
from services.order.domain import Order, Stage

Reply = Answer | OrdermeshError
"""What a stage hears: the ERP's word, or why there is none."""
UNASKED: Mapping[Stage, Answer] = {
    Stage.CREDIT: Credit.COVERED,
    Stage.AVAILABILITY: Availability(()),
    Stage.TAX: Tax(None),
}
"""What counts where the ERP does not answer the question at all."""


class Questions(Protocol):
    """The calls of `ConnectorServiceStub` that stages make."""

    @property
    def CheckCredit(
        self,
    ) -> Callable[[contract.CheckCreditRequest], Awaitable[contract.CheckCreditResponse]]: ...

    @property
    def CheckAvailability(
        self,
    ) -> Callable[[contract.CheckAvailabilityRequest], Awaitable[contract.CheckAvailabilityResponse]]: ...

    @property
    def CalculateTax(
        self,
    ) -> Callable[[contract.CalculateTaxRequest], Awaitable[contract.CalculateTaxResponse]]: ...

    @property
    def CheckOrder(
        self,
    ) -> Callable[[contract.CheckOrderRequest], Awaitable[contract.CheckOrderResponse]]: ...


class Erp:
    """One ERP, asked through its connector."""

    def __init__(self, connector: Questions) -> None:
        self._connector = connector
        self._checks_orders = True
        """Until the connector says that it has no such method; it is believed for as long as this process runs."""

    async def ask(
        self, order: Order, customer_external_id: str, stages: Sequence[Stage]
    ) -> Mapping[Stage, Reply]:
        """What each of the stages hears. Raises nothing that speaks of the ERP or the order."""
        if Stage.CREDIT in stages and not customer_external_id:
            return {Stage.CREDIT: Refused("CUSTOMER_UNKNOWN", f"the customer has no link to {order.erp}")}
        if len(stages) > 1 and self._checks_orders:
            try:
                return await self._ask_together(order, customer_external_id, stages)
            except Refused as error:
                # As a whole it refuses nothing: either the method is missing, or each question will hear its own.
                self._checks_orders = error.reason != "NOT_SUPPORTED"
            except OrdermeshError as error:
                return dict.fromkeys(stages, error)
        asked = (self._ask(order, customer_external_id, stage) for stage in stages)
        return dict(zip(stages, await asyncio.gather(*asked), strict=True))

    async def _ask_together(
        self, order: Order, customer_external_id: str, stages: Sequence[Stage]
    ) -> Mapping[Stage, Reply]:
        request = wire.order_questions(order, customer_external_id, stages)
        answers = (await self._connector.CheckOrder(request)).answers
        if len(answers) != len(stages):
            raise Refused("MAPPING_VALUE_UNKNOWN", f"{len(stages)} questions brought {len(answers)} answers")
        return {
            stage: _understood(order, stage, answer) for stage, answer in zip(stages, answers, strict=True)
        }

    async def _ask(self, order: Order, customer_external_id: str, stage: Stage) -> Reply:
        try:
            if stage is Stage.CREDIT:
                credit = wire.credit_question(order, customer_external_id)
                return wire.credit_answer(await self._connector.CheckCredit(credit))
            if stage is Stage.AVAILABILITY:
                lines = wire.availability_question(order)
                return wire.availability_answer(order, await self._connector.CheckAvailability(lines))
            return wire.tax_answer(await self._connector.CalculateTax(wire.tax_question(order)))
        except OrdermeshError as error:
            return _heard(stage, error)


def _understood(order: Order, stage: Stage, answer: contract.OrderAnswer) -> Reply:
    try:
        return wire.order_answer(order, stage, answer)
    except OrdermeshError as error:
        return _heard(stage, error)


def _heard(stage: Stage, error: OrdermeshError) -> Reply:
    return UNASKED[stage] if error.reason == "NOT_SUPPORTED" else error
