"""One question to all services at once. Open this file to change what happens when some of them do not answer.

`OperationsService` is served by every service; a list shows what all of them have. A service that cannot be reached
does not spoil the answer: its name stands in `unreachable` (AIP-217). A refusal does, since all were asked the same.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protobuf import Message

from gateway.exchange import Exchange, Reply
from gateway.forward import Answered, Forward
from gateway.transcode import render_value
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown
from libs.common.rpc.contract import Method

ASK_SECONDS = 5.0
"""Deadline of each call: a service that hangs must not hold up the others' answers."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back, by service, in the order they were asked."""

    given: Mapping[str, bytes]
    unreachable: tuple[str, ...]
    failures: tuple[OrdermeshError, ...]
    """Why, in the same order."""


async def ask_all(
    forward: Forward,
    method: Method,
    requests: Mapping[str, bytes],
    exchange: Exchange,
    *,
    seconds: float = ASK_SECONDS,
) -> Answers:
    """requests: by service. Raises the first refusal, and the first failure when nobody answered."""
    answers = await ask_some(forward, method, requests, exchange, seconds=seconds)
    if not answers.given:
        raise answers.failures[0]
    return answers


async def ask_some(
    forward: Forward,
    method: Method,
    requests: Mapping[str, bytes],
    exchange: Exchange,
    *,
    seconds: float = ASK_SECONDS,
) -> Answers:
    """Like `ask_all`, but nobody needs to answer."""

    async def ask(service: str) -> Answered | OrdermeshError:
        try:
            return await forward(service, method, requests[service], exchange, seconds=seconds)
        except (NotDone, OutcomeUnknown) as error:
            return error

    results = dict(zip(requests, await asyncio.gather(*map(ask, requests)), strict=True))
    failed = {service: result for service, result in results.items() if isinstance(result, OrdermeshError)}
    given = {service: result.content for service, result in results.items() if isinstance(result, Answered)}
    return Answers(given, tuple(failed), tuple(failed.values()))


def merged_reply(message: Message, unreachable: Iterable[str]) -> Reply:
    """The merged answer as JSON; `unreachable` is there only when somebody was."""
    value = render_value(message)
    missing = sorted(unreachable)
    if missing:
        value["unreachable"] = missing
    return Reply(200, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
