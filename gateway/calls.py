"""An HTTP request as one call of one method. Open this file to see the way of an ordinary request from end to end.

    read      headers, path, query and body become a request that keeps the rules of its contract
    forward   bytes to the service that owns the method
    reply     its answer as JSON, with the headers that go with it

Submissions, vendor payloads and the exception queue have a way of their own, built from these steps.
"""

from collections.abc import Awaitable, Callable, Mapping

from protobuf import Message
from protobuf.wkt.google.protobuf.duration_pb import Duration

from gateway.conditions import (
    check_accept,
    check_json_body,
    etag_header,
    expected_etag,
    is_known,
    required_etag,
    required_key,
)
from gateway.exchange import Answer, Exchange, Reply
from gateway.forward import Answered, Forward
from gateway.lifecycle import deprecations_in, headers_of
from gateway.limits import Limits, read_body
from gateway.pointers import pointer_of
from gateway.preferences import Preferences, applied
from gateway.problems import Place
from gateway.rules import Rule
from gateway.transcode import Transcoder, fill_etag, fill_key, render

REPLAYED = (b"idempotent-replayed", b"true")
WAIT_MARGIN_SECONDS = 5.0
"""Between the longest wait asked for and the deadline of the call that waits."""


class Calls:
    """Ordinary routes, and the steps that the others share."""

    def __init__(self, forward: Forward, transcoder: Transcoder, limits: Limits) -> None:
        self.forward = forward
        self._transcoder = transcoder
        self._limits = limits

    def route(self, rule: Rule, target: str = "") -> Answer:
        """What a route of this rule does. target: the service; empty takes the one that owns the method."""

        async def answer(exchange: Exchange, variables: Mapping[str, str]) -> Reply:
            preferences = Preferences.parse(exchange.header(b"prefer"))
            request = await self.read(rule, exchange, variables)
            waits = await_news(request, rule, preferences)
            answered = await self.forward(target or rule.package, rule.method, request.to_binary(), exchange)
            return reply(rule, exchange, answered, preferences).with_headers(*applied(waits))

        return answer

    async def read(
        self,
        rule: Rule,
        exchange: Exchange,
        variables: Mapping[str, str],
        *,
        arrived: Callable[[], Awaitable[None]] | None = None,
    ) -> Message:
        """The request, complete and valid. Raises Refused.

        arrived: awaited once all of it is here, before it is parsed."""
        check_accept(exchange)
        key = required_key(exchange) if rule.key is not None else ""
        etag = _version(rule, exchange)
        body = await self._body(exchange) if rule.body else b""
        if arrived is not None:
            await arrived()
        request, exchange.stated = self._transcoder.request(rule, variables, exchange.query, body)
        fill_key(request, rule, key)
        fill_etag(request, rule, etag)
        self._transcoder.check(request)
        exchange.told += headers_of(*deprecations_in(request))
        return request

    async def _body(self, exchange: Exchange) -> bytes:
        body = await read_body(exchange, self._limits.body_bytes_max, self._limits.receive_seconds)
        if body:
            check_json_body(exchange)
        return body


def _version(rule: Rule, exchange: Exchange) -> str:
    """Version that the caller names; a change of a record must name one."""
    if rule.etag is None:
        return ""
    return required_etag(exchange) if rule.needs_version else expected_etag(exchange)


def await_news(request: Message, rule: Rule, preferences: Preferences) -> str:
    """Lets the method wait as `Prefer: wait` asks, unless the query said how long; tells which preference applied."""
    if rule.wait is None or not preferences.wait_seconds or request[rule.wait] is not None:
        return ""
    request[rule.wait] = Duration(seconds=preferences.wait_seconds)
    return f"wait={preferences.wait_seconds}"


def reply(rule: Rule, exchange: Exchange, answered: Answered, preferences: Preferences) -> Reply:
    """The answer of a method as JSON, with `ETag` and `Idempotent-Replayed`; 304 where the caller has it already."""
    message = rule.response.from_binary(answered.content)
    etag = etag_of(rule, message)
    headers = (*etag_header(etag), *((REPLAYED,) if answered.replayed else ()))
    if rule.verb == "GET" and is_known(exchange, etag):
        return Reply(304, headers=headers)
    if preferences.minimal and rule.method.effect:
        return Reply(200, b"{}", headers=(*headers, *applied("return=minimal")))
    return Reply(200, render(message), headers=headers)


def etag_of(rule: Rule, message: Message) -> str:
    """Version of the resource that the answer holds, empty where it holds none."""
    resource = message[rule.resource] if rule.resource is not None else None
    return str(resource.etag) if resource is not None else ""


def place_of(rule: Rule) -> Place:
    """Where the field paths of an error of this method lie in what the caller sent."""
    return Place(lambda path: pointer_of(path, rule.desc.input, rule.body), in_query=not rule.body)
