"""The exception queue, the queues and the lineage of the whole mesh. Open this file to see who is asked for what.

GET /v1/exceptions            all services, oldest first over all of them
/v1/exceptions/order.17…      the service that the id names
/v1/replays/order.rpl_…       likewise
GET /v1/queues                all services
GET /v1/orders/…/lineage      the owner must know the record, the others add what they have of it
GET /v1/orders/…/effects      the owner
POST /v1/exceptions:replay    all services, each for its own
"""

import asyncio
from collections.abc import Mapping
from typing import cast

from jsonpb.ordermesh.operations.v1.operations_service_pb import (
    GetLineageRequest,
    GetLineageResponse,
    GetQueuesResponse,
    ListEffectsRequest,
    ListEffectsResponse,
    ListExceptionsRequest,
    ListExceptionsResponse,
    ReplayExceptionsResponse,
)
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from gateway.calls import Calls
from gateway.exchange import Answer, Exchange, Reply
from gateway.fanout import ASK_SECONDS, ask_all, ask_some, merged_reply
from gateway.merging import ServicePage, merge, missing_pages, read_token, write_token
from gateway.rules import Rule
from libs.common.errors import NotDone, OutcomeUnknown, Refused
from libs.common.listing import PAGE_DEFAULT
from libs.common.topology import SERVICES

REPLAY_SECONDS = 15.0
"""Deadline of each call that makes many items due: they are one commit."""
OWNERS: Mapping[str, str] = {f"{service}s": service for service in SERVICES}
"""Collection of a subject to the service that owns it: `orders` → `order`."""


class Operations:
    """Routes of `OperationsService`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def route(self, rule: Rule) -> Answer:
        """What a route of this rule does."""
        special = {
            "ListExceptions": self._exceptions,
            "GetQueues": self._queues,
            "GetLineage": self._lineage,
            "ListEffects": self._effects,
            "ReplayExceptions": self._replay_many,
        }.get(rule.name)
        if special is None:
            return self._by_id(rule)

        async def answer(exchange: Exchange, variables: Mapping[str, str]) -> Reply:
            return await special(rule, exchange, variables)

        return answer

    def _by_id(self, rule: Rule) -> Answer:
        routes = {service: self._calls.route(rule, service) for service in SERVICES}

        async def answer(exchange: Exchange, variables: Mapping[str, str]) -> Reply:
            service = next(iter(variables.values())).partition(".")[0]
            if service not in routes:
                raise Refused("NOT_FOUND")
            return await routes[service](exchange, variables)

        return answer

    async def _exceptions(self, rule: Rule, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        request = cast(ListExceptionsRequest, await self._calls.read(rule, exchange, variables))
        size, tenant = request.page_size or PAGE_DEFAULT, exchange.caller.tenant
        positions = read_token(request.page_token, tenant, request.filter, SERVICES)

        def asked(tokens: Mapping[str, str]) -> Mapping[str, bytes]:
            return {
                service: ListExceptionsRequest(
                    page_size=size, page_token=token, filter=request.filter
                ).to_binary()
                for service, token in tokens.items()
            }

        tokens = {service: position.token for service, position in positions.items()}
        answers = await ask_all(self._calls.forward, rule.method, asked(tokens), exchange)
        found: dict[str, tuple[ServicePage, ...]] = {
            service: (_page(tokens[service], content),) for service, content in answers.given.items()
        }
        more = missing_pages(found, positions, size)
        further = await ask_some(self._calls.forward, rule.method, asked(more), exchange)
        for service in more:
            if service in further.given:
                found[service] += (_page(more[service], further.given[service]),)
            else:
                del found[service]
        items, after = merge(found, positions, size)
        merged = ListExceptionsResponse(
            exceptions=items, next_page_token=write_token(after, tenant, request.filter)
        )
        return merged_reply(merged, {*answers.unreachable, *further.unreachable})

    async def _queues(self, rule: Rule, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        request = (await self._calls.read(rule, exchange, variables)).to_binary()
        answers = await ask_all(self._calls.forward, rule.method, dict.fromkeys(SERVICES, request), exchange)
        merged = GetQueuesResponse()
        for content in answers.given.values():
            part = GetQueuesResponse.from_binary(content)
            merged.queues.extend(part.queues)
            merged.ingest.extend(part.ingest)
        return merged_reply(merged, answers.unreachable)

    async def _lineage(self, rule: Rule, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        request = cast(GetLineageRequest, await self._calls.read(rule, exchange, variables))
        content = request.to_binary()
        owner = OWNERS[request.subject.partition("/")[0]]
        own = await self._calls.forward(owner, rule.method, content, exchange)
        lineage = GetLineageResponse.from_binary(own.content)
        others = [service for service in SERVICES if service != owner]
        more = await asyncio.gather(*(self._addition(service, rule, content, exchange) for service in others))
        for addition in more:
            if addition is not None:
                _add(lineage, addition)
        unreachable = [service for service, addition in zip(others, more, strict=True) if addition is None]
        return merged_reply(lineage, unreachable)

    async def _effects(self, rule: Rule, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        """What was written outside for a record is known by the service that owns it."""
        request = cast(ListEffectsRequest, await self._calls.read(rule, exchange, variables))
        owner = OWNERS[request.subject.partition("/")[0]]
        answered = await self._calls.forward(owner, rule.method, request.to_binary(), exchange)
        return merged_reply(ListEffectsResponse.from_binary(answered.content), ())

    async def _replay_many(self, rule: Rule, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        """Every service replays what it holds; repeated with the same key, those that answered answer the same."""
        request = (await self._calls.read(rule, exchange, variables)).to_binary()
        answers = await ask_all(
            self._calls.forward,
            rule.method,
            dict.fromkeys(SERVICES, request),
            exchange,
            seconds=REPLAY_SECONDS,
        )
        merged = ReplayExceptionsResponse()
        for content in answers.given.values():
            part = ReplayExceptionsResponse.from_binary(content)
            merged.replayed += part.replayed
            merged.awaiting_approval += part.awaiting_approval
            merged.replay_ids.extend(part.replay_ids)
            if part.last_due_time is not None:
                merged.last_due_time = _later(merged.last_due_time, part.last_due_time)
        return merged_reply(merged, answers.unreachable)

    async def _addition(
        self, service: str, rule: Rule, content: bytes, exchange: Exchange
    ) -> GetLineageResponse | None:
        """What a service that does not own the record has of it, mostly nothing. None: it cannot be reached."""
        try:
            answered = await self._calls.forward(service, rule.method, content, exchange, seconds=ASK_SECONDS)
        except (NotDone, OutcomeUnknown):
            return None
        except Refused as refused:
            if refused.reason != "NOT_FOUND":
                raise
            return GetLineageResponse()
        return GetLineageResponse.from_binary(answered.content)


def _later(one: Timestamp | None, other: Timestamp) -> Timestamp:
    return other if one is None or one.to_datetime() < other.to_datetime() else one


def _page(token: str, content: bytes) -> ServicePage:
    page = ListExceptionsResponse.from_binary(content)
    return ServicePage(token, tuple(page.exceptions), page.next_page_token)


def _add(lineage: GetLineageResponse, addition: GetLineageResponse) -> None:
    """Lists stay in order of time; entries of one service keep their order."""
    if addition.events or addition.deliveries or addition.attempts or addition.audit:
        lineage.events = sorted([*lineage.events, *addition.events], key=lambda e: _moment(e.occurred_time))
        lineage.deliveries.extend(addition.deliveries)
        lineage.attempts = sorted(
            [*lineage.attempts, *addition.attempts], key=lambda a: _moment(a.start_time)
        )
        lineage.audit = sorted([*lineage.audit, *addition.audit], key=lambda a: _moment(a.occurred_time))


def _moment(time: Timestamp | None) -> tuple[int, int]:
    return (time.seconds, time.nanos) if time is not None else (0, 0)
