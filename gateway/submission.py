"""Orders handed in: answered at once, and followed if the caller wants to wait. Open this file for `POST /v1/orders`.

202  accepted and on its way; Location says where to ask
200  only with `Prefer: wait=N`: the ERP has spoken, or the order stands still and a person must act
200  with `validateOnly`: it would be accepted; there is no order, so nothing says where to ask
"""

from collections.abc import Iterator, Mapping
from typing import cast

from jsonpb.ordermesh.order.v1.order_pb import Order, OrderState
from jsonpb.ordermesh.order.v1.order_service_pb import (
    GetOrderRequest,
    GetOrderResponse,
    SubmitOrderRequest,
    SubmitOrderResponse,
)
from ordermesh.order.v1 import order_service_pb2
from protobuf.wkt.google.protobuf.duration_pb import Duration

from gateway.acceptance import Acceptance, Stated
from gateway.calls import REPLAYED, WAIT_MARGIN_SECONDS, Calls
from gateway.company import Company, Place
from gateway.conditions import etag_header
from gateway.exchange import Exchange, Reply
from gateway.forward import Answered
from gateway.preferences import NONE, Preferences, applied
from gateway.rules import Rule
from gateway.transcode import render
from libs.common.errors import OrdermeshError
from libs.common.wire import message_field

ORDER = order_service_pb2.SubmitOrderRequest.ORDER_FIELD_NUMBER
ASK_AGAIN_SECONDS = 1
"""Time after which it is worth asking what became of the order."""


class Submissions:
    """`SubmitOrder`, from whichever side the order comes."""

    def __init__(self, calls: Calls, submit: Rule, get: Rule) -> None:
        self._calls = calls
        self._submit = submit
        self._get = get
        self._company = Company()

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        """`POST /v1/orders`."""
        with self._company.place(exchange.caller.tenant) as place:
            read = await self._calls.read(self._submit, exchange, variables, arrived=place.take)
            request = cast(SubmitOrderRequest, read)
            if request.validate_only:
                place.give_back()
                return await self._check(request, exchange)
            assert request.order is not None, "the contract requires an order"
            stated = Stated(request.order.to_binary(), exchange.stated)
            request.order = None
            content = request.to_binary() + message_field(ORDER, stated.content)
            return await self._hand_in(content, exchange, place, stated)

    async def _check(self, request: SubmitOrderRequest, exchange: Exchange) -> Reply:
        """What the order would look like. Its ids were made for nothing and are left out."""
        answered = await self._calls.forward(
            self._submit.package, self._submit.method, request.to_binary(), exchange
        )
        checked = SubmitOrderResponse.from_binary(answered.content)
        checked.order_id = checked.status_url = ""
        if checked.order is not None:
            checked.order.order_id = checked.order.etag = ""
        return Reply(200, render(checked))

    async def hand_in(self, request: bytes, exchange: Exchange) -> Reply:
        """request: a valid SubmitOrderRequest. The caller's preferences are those of the exchange."""
        with self._company.place(exchange.caller.tenant) as place:
            await place.take()
            return await self._hand_in(request, exchange, place)

    async def _hand_in(
        self, request: bytes, exchange: Exchange, place: Place, stated: Stated | None = None
    ) -> Reply:
        """stated: the request's order, where that was JSON."""
        preferences = Preferences.parse(exchange.header(b"prefer"))
        answered = await self._calls.forward(self._submit.package, self._submit.method, request, exchange)
        place.give_back()
        accepted = Acceptance(answered.content, stated)
        if preferences.wait_seconds:
            newer = await self._follow(accepted.message.order_id, preferences.wait_seconds, exchange)
            if newer is not None:
                accepted.replace_order(newer)
        return _reply(accepted, answered, preferences)

    async def _follow(self, order_id: str, wait_seconds: int, exchange: Exchange) -> Order | None:
        """The order after the wait; None when it cannot be had, for accepted it is all the same."""
        request = GetOrderRequest(order_id=order_id, wait=Duration(seconds=wait_seconds))
        seconds = wait_seconds + WAIT_MARGIN_SECONDS
        try:
            answered = await self._calls.forward(
                self._get.package, self._get.method, request.to_binary(), exchange, seconds=seconds
            )
        except OrdermeshError:
            return None
        return GetOrderResponse.from_binary(answered.content).order


def _reply(accepted: Acceptance, answered: Answered, preferences: Preferences) -> Reply:
    order = accepted.message.order
    status = 200 if preferences.wait_seconds and has_news(order) else 202
    headers = [
        (b"location", f"/v1/orders/{accepted.message.order_id}".encode()),
        *etag_header(order.etag if order is not None else ""),
    ]
    if answered.replayed:
        headers.append(REPLAYED)
    if preferences is not NONE:
        headers += applied(*_honoured(preferences))
    if status == 202:
        headers.append((b"retry-after", b"%d" % ASK_AGAIN_SECONDS))
        accepted.message.retry_after_seconds = ASK_AGAIN_SECONDS
    if preferences.minimal:
        accepted.replace_order(None)
    return Reply(status, accepted.render(), headers=tuple(headers))


def _honoured(preferences: Preferences) -> Iterator[str]:
    if preferences.wait_seconds:
        yield f"wait={preferences.wait_seconds}"
    elif preferences.respond_async:
        yield "respond-async"
    if preferences.minimal:
        yield "return=minimal"


def has_news(order: Order | None) -> bool:
    """True once the order has left RECEIVED or stands still."""
    return order is not None and (order.state > OrderState.RECEIVED or order.standstill is not None)
