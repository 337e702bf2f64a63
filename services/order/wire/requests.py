"""Requests to commands, pure. Open this file when a field is refused at the door."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.order.v1 import order_pb2, order_service_pb2

from libs.common import money
from libs.common.errors import Refused, Violation
from libs.common.ownership import refuse_output_only
from libs.common.wire import parse_address, parse_date
from services.order import domain
from services.order.commands import Decide, Mend, SubmitOrder
from services.order.domain import OrderLine

VIOLATIONS_MAX = 50
_NUMBER = attrgetter("line_number")
R = TypeVar("R")
F = TypeVar("F")


class Collected:
    """Violations gathered, so that a caller learns of all of them at once."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def parse(self, parse: Callable[[], R], fallback: F) -> R | F:
        try:
            return parse()
        except Refused as error:
            self.violations.extend(error.violations)
            return fallback

    def refuse(self) -> None:
        if self.violations:
            first = self.violations[0]
            raise Refused(first.reason, first.description, violations=self.violations[:VIOLATIONS_MAX])


def parse_submit_order(request: order_service_pb2.SubmitOrderRequest) -> SubmitOrder:
    """Refused with QUANTITY_INVALID, PRICE_INVALID, CURRENCY_UNKNOWN, OWNERSHIP_VIOLATION and the field's path."""
    order = request.order
    refuse_output_only(order, "order")
    if order.currency_code not in money.CURRENCY_DECIMALS:
        raise Refused.field("CURRENCY_UNKNOWN", "order.currency_code", "is not an ISO 4217 code in use")
    collected = Collected()
    lines = _parse_lines(collected, order.lines)
    requested = collected.parse(lambda: parse_date(order.requested_date, "order.requested_date"), None)
    total = None
    if order.HasField("total"):
        total = collected.parse(
            lambda: _parse_total(order.total, order.currency_code), money.zero(order.currency_code)
        )
    collected.refuse()
    return SubmitOrder(
        sold_to=_parse_party(order.sold_to),
        purchase_order_number=order.purchase_order_number,
        currency=order.currency_code,
        lines=lines,
        total=total,
        ship_to=parse_address(order.ship_to) if order.HasField("ship_to") else None,
        requested_date=requested,
        memo=order.memo,
        region=order.region,
        business_unit=order.business_unit,
        source_system=order.source.system,
        source_id=order.source.external_id,
    )


def _parse_total(message: MoneyMessage, currency: str) -> money.Money:
    if message.currency_code != currency:
        raise Refused.field("CURRENCY_MIXED", "order.total.currency_code", f"the order is in {currency}")
    return money.money_from(message)


def _parse_lines(collected: Collected, lines: Sequence[order_pb2.OrderLine]) -> tuple[OrderLine, ...]:
    """Lines without numbers are numbered from 1. Paths, and a guarded call for each field, are made only once
    something is refused: together with plainer money that halved the time of parsing an order, 97 µs."""
    unnumbered = not any(map(_NUMBER, lines))
    try:
        return tuple(
            [
                _parse_line(line, number if unnumbered else line.line_number)
                for number, line in enumerate(lines, 1)
            ]
        )
    except Refused:
        for index, line in enumerate(lines):
            _find_faults(collected, f"order.lines[{index}]", line, unnumbered=unnumbered)
        return ()


def _parse_line(line: order_pb2.OrderLine, line_number: int) -> OrderLine:
    if line_number == 0:
        raise Refused("INVALID_FIELD")
    return OrderLine(
        line_number,
        line.sku,
        money.parse_quantity(line.quantity, "quantity"),
        money.parse_money(line.unit_price, "PRICE_INVALID", "unit_price"),
        line.unit_code,
        line.tax_code,
        line.description,
        line.source_line_id,
    )


def _find_faults(collected: Collected, path: str, line: order_pb2.OrderLine, *, unnumbered: bool) -> None:
    collected.parse(lambda: money.parse_quantity(line.quantity, f"{path}.quantity"), None)
    collected.parse(lambda: money.parse_money(line.unit_price, "PRICE_INVALID", f"{path}.unit_price"), None)
    if line.line_number == 0 and not unnumbered:
        collected.violations.append(
            Violation(f"{path}.line_number", "number all lines or none", "INVALID_FIELD")
        )


def _parse_party(party: order_pb2.PartyRef) -> domain.Party:
    if party.WhichOneof("party") == "external":
        return domain.Party(system=party.external.system, external_id=party.external.external_id)
    return domain.Party(customer_id=party.customer_id)


def parse_correct_order(request: order_service_pb2.CorrectOrderRequest) -> Mend:
    lines = tuple(
        (
            line.line_number,
            line.tax_code if line.HasField("tax_code") else None,
            line.description if line.HasField("description") else None,
        )
        for line in request.lines
    )
    number = request.purchase_order_number if request.HasField("purchase_order_number") else None
    memo = request.memo if request.HasField("memo") else None
    correction = domain.Correction(lines, number, memo)
    return Mend(Decide(request.order_id, request.reason, request.etag), correction)


Decision = (
    order_service_pb2.HoldOrderRequest
    | order_service_pb2.ReleaseOrderRequest
    | order_service_pb2.ApproveOrderRequest
    | order_service_pb2.CancelOrderRequest
)


def parse_decision(request: Decision) -> Decide:
    return Decide(request.order_id, request.reason, request.etag)
