"""How the order service asks a connector about an order, over a real socket: together, or one by one."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from ordermesh.connector.v1 import connector_service_pb2 as contract
from ordermesh.connector.v1 import connector_service_pb2_grpc

from connectors.kit.port import Connector
from connectors.kit.servicer import ConnectorServicer
from libs.common.context import using
from libs.common.errors import NotDone, Refused
from libs.common.testing.rpc import OneMachine
from services.order.commands import Availability, Credit, Tax
from services.order.domain import Stage
from services.order.reactions import QUESTIONS
from services.order.reactions.asking import Erp
from tests.builders import usd
from tests.contract.connecting import REGISTER
from tests.unit.services.order.test_domain import an_order
from tests.unit.services.order.test_domain import usd as money

ALL = {Stage.CREDIT: Credit.COVERED, Stage.AVAILABILITY: Availability(()), Stage.TAX: Tax(money(8))}


class Answers(Connector):
    """Answers all questions, and keeps which calls came."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.tax_fails: Exception | None = None

    async def describe(self) -> contract.DescribeResponse:
        return contract.DescribeResponse()

    async def check_credit(self, request: contract.CheckCreditRequest) -> contract.CheckCreditResponse:
        self.calls.append(f"credit of {request.customer_external_id}")
        return contract.CheckCreditResponse(verdict=contract.CREDIT_VERDICT_COVERED)

    async def check_availability(
        self, request: contract.CheckAvailabilityRequest
    ) -> contract.CheckAvailabilityResponse:
        self.calls.append("availability")
        return contract.CheckAvailabilityResponse()

    async def calculate_tax(self, request: contract.CalculateTaxRequest) -> contract.CalculateTaxResponse:
        self.calls.append("tax")
        if self.tax_fails:
            raise self.tax_fails
        return contract.CalculateTaxResponse(tax_total=usd("8"))

    async def check_order(self, request: contract.CheckOrderRequest) -> contract.CheckOrderResponse:
        self.calls.append("together")
        return await super().check_order(request)

    async def close(self) -> None:
        """Holds nothing."""


class Lacking:
    """A server as a connector of another language makes it that has not heard of a method."""

    def __init__(self, server: grpc.aio.Server, missing: str) -> None:
        self._server = server
        self._missing = missing

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Left out: the methods come by name in the next call."""

    def add_registered_method_handlers(
        self, service: str, handlers: "Mapping[str, grpc.RpcMethodHandler[object, object]]"
    ) -> None:
        known = {name: handler for name, handler in handlers.items() if name != self._missing}
        self._server.add_registered_method_handlers(service, known)


def register_lacking(missing: str) -> Callable[[object, grpc.aio.Server], None]:
    return lambda servicer, server: REGISTER(servicer, Lacking(server, missing))  # type: ignore[arg-type]


async def asked(erp_of: AsyncExitStack, folder: Path, connector: Connector, missing: str = "") -> Erp:
    """The ERP behind a server of its own; calls are made for tenant acme as long as the stack is open."""
    mesh = OneMachine(folder)
    servicer = ConnectorServicer(connector, lambda tenant: None)
    address = await erp_of.enter_async_context(mesh.serving((register_lacking(missing), servicer)))
    channel = await erp_of.enter_async_context(mesh.channel(address))
    erp_of.enter_context(using(mesh.context("acme")))
    return Erp(connector_service_pb2_grpc.ConnectorServiceStub(channel))


async def test_what_several_stages_ask_goes_in_one_call(tmp_path: Path) -> None:
    connector = Answers()
    async with AsyncExitStack() as stack:
        erp = await asked(stack, tmp_path, connector)
        assert await erp.ask(an_order(), "110", QUESTIONS) == ALL
        assert sorted(connector.calls) == ["availability", "credit of 110", "tax", "together"]
        connector.calls.clear()
        assert await erp.ask(an_order(), "", [Stage.TAX]) == {Stage.TAX: ALL[Stage.TAX]}
        assert connector.calls == ["tax"]


async def test_a_connector_without_the_method_is_asked_question_by_question(tmp_path: Path) -> None:
    connector = Answers()
    async with AsyncExitStack() as stack:
        erp = await asked(stack, tmp_path, connector, missing="CheckOrder")
        for _ in range(2):
            assert await erp.ask(an_order(), "110", QUESTIONS) == ALL
    assert sorted(connector.calls) == sorted(["availability", "credit of 110", "tax"] * 2)


@pytest.mark.parametrize("missing", ["", "CheckOrder"])
async def test_a_question_that_fails_is_heard_by_its_own_stage_only(tmp_path: Path, missing: str) -> None:
    connector = Answers()
    connector.tax_fails = NotDone("SYSTEM_THROTTLED", "slower")
    async with AsyncExitStack() as stack:
        erp = await asked(stack, tmp_path, connector, missing)
        heard = dict(await erp.ask(an_order(), "110", QUESTIONS))
    tax = heard.pop(Stage.TAX)
    assert isinstance(tax, NotDone)
    assert tax.reason == "SYSTEM_THROTTLED"
    assert heard == {stage: said for stage, said in ALL.items() if stage is not Stage.TAX}


@pytest.mark.parametrize("missing", ["", "CheckOrder"])
async def test_a_question_that_the_erp_does_not_answer_stands_in_nobody_s_way(
    tmp_path: Path, missing: str
) -> None:
    connector = Answers()
    connector.tax_fails = Refused("NOT_SUPPORTED", "at posting")
    async with AsyncExitStack() as stack:
        erp = await asked(stack, tmp_path, connector, missing)
        assert await erp.ask(an_order(), "110", QUESTIONS) == {**ALL, Stage.TAX: Tax(None)}


async def test_a_connector_that_is_away_is_heard_by_all_that_asked(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mesh = OneMachine(tmp_path)
        channel = await stack.enter_async_context(mesh.channel("127.0.0.1:9"))
        stack.enter_context(using(mesh.context("acme")))
        erp = Erp(connector_service_pb2_grpc.ConnectorServiceStub(channel))
        heard = await erp.ask(an_order(), "110", QUESTIONS)
    assert list(heard) == list(QUESTIONS)
    assert all(isinstance(reply, NotDone) for reply in heard.values())


async def test_a_customer_without_a_link_is_nobody_to_ask_about(tmp_path: Path) -> None:
    connector = Answers()
    async with AsyncExitStack() as stack:
        erp = await asked(stack, tmp_path, connector)
        heard = await erp.ask(an_order(), "", QUESTIONS)
    assert list(heard) == [Stage.CREDIT]
    assert isinstance(heard[Stage.CREDIT], Refused)
    assert connector.calls == []


class OneShort(Answers):
    """Leaves the last question without an answer, which the contract forbids."""

    async def check_order(self, request: contract.CheckOrderRequest) -> contract.CheckOrderResponse:
        answer = await super().check_order(request)
        del answer.answers[-1]
        return answer


async def test_a_connector_that_leaves_a_question_out_is_asked_again_one_by_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        erp = await asked(stack, tmp_path, OneShort())
        assert await erp.ask(an_order(), "110", QUESTIONS) == ALL
