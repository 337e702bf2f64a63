"""Questions are answered line by line, payloads become commands without asking anybody, the rest is refused."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import pytest
from google.rpc.status_pb2 import Status
from google.type import decimal_pb2, money_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.errors import NotDone, Refused
from libs.common.ids import new_id
from libs.common.rpc.contract import methods
from libs.common.rpc.status import error_of
from libs.common.testing.suites.connector.reading import read
from libs.common.testing.suites.connector.target import ConformanceTarget, Connect, Stub
from libs.common.testing.suites.connector.writing import failure, find, outcome
from libs.common.testing.vendor import Fault, On

pb = connector_service_pb2
SAMPLE_PRICE = money_pb2.Money(currency_code="EUR", units=10)
SAMPLE_ORDER = order_pb2.Order(
    sold_to=order_pb2.PartyRef(customer_id="cus_1"),
    currency_code="EUR",
    lines=[
        order_pb2.OrderLine(
            line_number=1, sku="SKU-1", quantity=decimal_pb2.Decimal(value="1"), unit_price=SAMPLE_PRICE
        )
    ],
)
SERVICE = pb.DESCRIPTOR.services_by_name["ConnectorService"].full_name
ABOUT_ORDERS = (pb.QUESTION_CREDIT, pb.QUESTION_AVAILABILITY, pb.QUESTION_TAX)
"""What CheckOrder can ask."""
KINDS = [value.number for value in change_pb2.Kind.DESCRIPTOR.values if value.number]


async def description(stub: Stub) -> connector_service_pb2.DescribeResponse:
    return await stub.Describe(pb.DescribeRequest())


async def offers(stub: Stub, question: connector_service_pb2.Question.ValueType) -> None:
    if question not in (await description(stub)).questions:
        pytest.skip(f"the connector does not declare {pb.Question.Name(question)}")


def is_exact(money: money_pb2.Money) -> bool:
    """ISO 4217 code, and both parts of one sign."""
    return len(money.currency_code) == 3 and money.units * money.nanos >= 0


class Asking:
    """Promises about Describe, the questions and Translate."""

    async def test_the_description_names_system_role_and_each_kind_once(self, connect: Connect) -> None:
        async with connect() as stub:
            answer = await description(stub)
        assert answer.system
        assert answer.role in {"erp", "crm"}
        assert answer.concurrency_max > 0
        kinds = [entry.kind for entry in answer.kinds]
        assert kinds
        assert len(kinds) == len(set(kinds))
        assert 0 not in kinds

    async def test_credit_is_answered_with_a_word(self, target: ConformanceTarget, connect: Connect) -> None:
        async with connect() as stub:
            await offers(stub, pb.QUESTION_CREDIT)
            answer = await stub.CheckCredit(target.credit_question())
        assert answer.verdict != pb.CREDIT_VERDICT_UNSPECIFIED
        assert not answer.HasField("available") or is_exact(answer.available)

    async def test_availability_is_answered_for_each_line_in_order(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        question = target.availability_question
        async with connect() as stub:
            await offers(stub, pb.QUESTION_AVAILABILITY)
            answer = await stub.CheckAvailability(question())
        assert [line.line_number for line in answer.lines] == [line.line_number for line in question().lines]

    async def test_prices_are_exact_and_answered_for_each_line_in_order(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        question = target.price_question
        async with connect() as stub:
            await offers(stub, pb.QUESTION_PRICE)
            answer = await stub.PriceLines(question())
        assert [line.line_number for line in answer.lines] == [line.line_number for line in question().lines]
        assert all(is_exact(line.unit_price) for line in answer.lines)
        assert {line.unit_price.currency_code for line in answer.lines} == {question().currency_code}

    async def test_tax_is_exact(self, target: ConformanceTarget, connect: Connect) -> None:
        async with connect() as stub:
            await offers(stub, pb.QUESTION_TAX)
            answer = await stub.CalculateTax(target.tax_question())
        assert is_exact(answer.tax_total)

    async def test_questions_asked_together_are_answered_as_each_alone(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            request = await order_check(target, stub)
            together = list((await checks(stub, request)).answers)
            alone = [await asked_alone(stub, request, question) for question in request.questions]
        assert together == alone

    async def test_a_question_that_fails_spoils_none_asked_with_it(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            request = await order_check(target, stub)
            await target.vendor.strike(Fault.UNAVAILABLE, On.READ)
            answers = (await checks(stub, request)).answers
            method = methods()[f"/{SERVICE}/CheckOrder"]
            failed = [
                error_of(Status.FromString(answer.status), method) for answer in answers if answer.status
            ]
            assert len(answers) == len(request.questions)
            assert all(isinstance(error, NotDone) for error in failed)
            assert len(failed) <= 1

    async def test_a_question_that_is_not_declared_is_not_supported_among_others_either(
        self, connect: Connect
    ) -> None:
        async with connect() as stub:
            declared = (await description(stub)).questions
            asked = [question for question in ABOUT_ORDERS if question not in declared]
            if not asked:
                pytest.skip("the connector declares all questions about orders")
            request = pb.CheckOrderRequest(order=SAMPLE_ORDER, customer_external_id="1", questions=asked)
            answers = (await checks(stub, request)).answers
        assert len(answers) == len(asked)
        for answer in answers:
            error = error_of(Status.FromString(answer.status), None)
            assert (type(error), error.reason) == (Refused, "NOT_SUPPORTED")

    @pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.LOSE_REPLY])
    async def test_a_question_that_fails_is_not_done(
        self, target: ConformanceTarget, connect: Connect, fault: Fault
    ) -> None:
        async with connect() as stub:
            await offers(stub, pb.QUESTION_CREDIT)
            await target.vendor.strike(fault, On.READ)
            told = await outcome(stub.CheckCredit(target.credit_question()))
            assert isinstance(told, NotDone | connector_service_pb2.CheckCreditResponse)

    async def test_a_payload_becomes_the_same_command_each_time_and_asks_nobody(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            natives = (await description(stub)).native_types
            if not natives:
                pytest.skip("the connector declares no native types")
            assert {payload.native_type for payload in target.native_payloads()} == set(natives)
            before = await target.vendor.requests()
            for payload in target.native_payloads():
                request = pb.TranslateRequest(
                    native_type=payload.native_type,
                    content_type=payload.content_type,
                    payload=payload.content,
                )
                first, again = await stub.Translate(request), await stub.Translate(request)
                assert first == again
                assert first.mapping
                assert first.submit_order.idempotency_key
                assert first.submit_order.order.lines
            assert await target.vendor.requests() == before

    @pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff\xfe", b"null"])
    async def test_a_payload_that_says_nothing_is_refused(self, connect: Connect, content: bytes) -> None:
        async with connect() as stub:
            for native in (await description(stub)).native_types:
                request = pb.TranslateRequest(
                    native_type=native, content_type="application/json", payload=content
                )
                error = await failure(stub.Translate(request))
                assert (type(error), error.reason) == (Refused, "PAYLOAD_UNTRANSLATABLE")

    async def test_what_is_not_declared_is_not_supported(self, connect: Connect) -> None:
        async with connect() as stub:
            for call in await undeclared(stub):
                error = await failure(call())
                assert (type(error), error.reason) == (Refused, "NOT_SUPPORTED")


async def checks(stub: Stub, request: connector_service_pb2.CheckOrderRequest) -> pb.CheckOrderResponse:
    """What the connector answers, where it has the method; it may leave it out."""
    answer = await outcome(stub.CheckOrder(request))
    if isinstance(answer, Refused) and answer.reason == "NOT_SUPPORTED":
        pytest.skip("the connector is asked question by question")
    assert isinstance(answer, pb.CheckOrderResponse), answer
    return answer


async def order_check(target: ConformanceTarget, stub: Stub) -> connector_service_pb2.CheckOrderRequest:
    """All that the connector declares, about one order made of what the target asks alone."""
    declared = (await description(stub)).questions
    request = pb.CheckOrderRequest(questions=[question for question in ABOUT_ORDERS if question in declared])
    if not request.questions:
        pytest.skip("the connector declares no question about orders")
    request.order.CopyFrom(target.tax_question().order if pb.QUESTION_TAX in declared else SAMPLE_ORDER)
    if pb.QUESTION_AVAILABILITY in declared:
        del request.order.lines[:]
        request.order.lines.extend(target.availability_question().lines)
    if pb.QUESTION_CREDIT in declared:
        credit = target.credit_question()
        request.customer_external_id = credit.customer_external_id
        request.order.total.CopyFrom(credit.amount)
    return request


async def asked_alone(
    stub: Stub,
    request: connector_service_pb2.CheckOrderRequest,
    question: connector_service_pb2.Question.ValueType,
) -> connector_service_pb2.OrderAnswer:
    order = request.order
    if question == pb.QUESTION_CREDIT:
        credit = pb.CheckCreditRequest(customer_external_id=request.customer_external_id, amount=order.total)
        return pb.OrderAnswer(credit=await stub.CheckCredit(credit))
    if question == pb.QUESTION_AVAILABILITY:
        lines = pb.CheckAvailabilityRequest(lines=order.lines)
        return pb.OrderAnswer(availability=await stub.CheckAvailability(lines))
    return pb.OrderAnswer(tax=await stub.CalculateTax(pb.CalculateTaxRequest(order=order)))


async def undeclared(stub: Stub) -> Sequence[Callable[[], Awaitable[object]]]:
    """Calls that the description rules out, each with a request that keeps the rules."""
    answer = await description(stub)
    declared = {entry.kind: entry for entry in answer.kinds}
    calls: list[Callable[[], Awaitable[object]]] = []
    for number in KINDS:
        kind = change_pb2.Kind.ValueType(number)
        entry = declared.get(kind, pb.KindCapability())
        if not entry.find_by_key:
            calls.append(partial(find, stub, kind, new_id("key")))
        if not entry.change_feed:
            calls.append(partial(read, stub, kind, b"", 1))
    if not answer.native_types:
        calls.append(partial(stub.Translate, pb.TranslateRequest(payload=b"{}")))
    questions: Mapping[int, Callable[[], Awaitable[object]]] = {
        pb.QUESTION_CREDIT: partial(
            stub.CheckCredit, pb.CheckCreditRequest(customer_external_id="1", amount=SAMPLE_PRICE)
        ),
        pb.QUESTION_AVAILABILITY: partial(
            stub.CheckAvailability, pb.CheckAvailabilityRequest(lines=SAMPLE_ORDER.lines)
        ),
        pb.QUESTION_PRICE: partial(
            stub.PriceLines,
            pb.PriceLinesRequest(customer_external_id="1", currency_code="EUR", lines=SAMPLE_ORDER.lines),
        ),
        pb.QUESTION_TAX: partial(stub.CalculateTax, pb.CalculateTaxRequest(order=SAMPLE_ORDER)),
    }
    return [*calls, *(call for question, call in questions.items() if question not in answer.questions)]
