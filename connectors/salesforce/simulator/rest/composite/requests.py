"""/composite and /composite/batch: open this for references between sub-requests, and for what stops what."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors
from connectors.salesforce.simulator.org import Transaction
from connectors.salesforce.simulator.rest.calls import Call, Reply, objects_in, refused

Run: TypeAlias = Callable[[Transaction, Call], Reply]  # Answers one call; raises SalesforceError.

SUBREQUESTS_MAX = 25
HEAVY_MAX = 5  # Queries and collections among them.

_PATH = re.compile(r"/?(?:services/data/)?v(\d+\.\d)/(.*)", re.IGNORECASE)
_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


class _AllUndone(Exception):
    """Carries the answer out of a savepoint that must not keep what was written."""

    def __init__(self, replies: list[Reply]) -> None:
        super().__init__()
        self.replies = replies


def composite(tx: Transaction, call: Call, run: Run) -> Reply:
    """Always 200; each sub-request has its own status. With allOrNone the first failure undoes all others."""
    body = call.object_body()
    wanted = objects_in(body.get("compositeRequest"), "compositeRequest")
    if len(wanted) > SUBREQUESTS_MAX:
        raise errors.too_many("compositeRequest", SUBREQUESTS_MAX)
    if sum(_is_heavy(str(each.get("url", ""))) for each in wanted) > HEAVY_MAX:
        raise errors.too_many("queries and collections in compositeRequest", HEAVY_MAX)
    try:
        with tx.savepoint():
            replies = _one_after_another(tx, call, run, wanted)
            if body.get("allOrNone") is True and any(map(_failed, wanted, replies)):
                raise _AllUndone(replies)
    except _AllUndone as undone:
        replies = [
            reply if _is_root_cause(each, reply) else refused(errors.processing_halted(), call.base)
            for each, reply in zip(wanted, undone.replies, strict=True)
        ]
    answered = [
        {
            "body": reply.body,
            "httpHeaders": dict(reply.headers),
            "httpStatusCode": reply.status,
            "referenceId": each.get("referenceId"),
        }
        for each, reply in zip(wanted, replies, strict=True)
    ]
    return Reply(200, {"compositeResponse": answered})


def _one_after_another(tx: Transaction, call: Call, run: Run, wanted: list[JsonObject]) -> list[Reply]:
    replies: list[Reply] = []
    results: dict[str, object] = {}
    for each in wanted:
        reply = _sub_request(tx, call, run, each, results)
        replies.append(reply)
        if reply.status < 300:
            results[str(each.get("referenceId"))] = reply.body
    return replies


def _sub_request(
    tx: Transaction, call: Call, run: Run, wanted: JsonObject, results: dict[str, object]
) -> Reply:
    try:
        with tx.savepoint():
            filled = _fill(wanted, results)
            assert isinstance(filled, dict)
            headers = filled.get("httpHeaders")
            return run(tx, _inner_call(call, filled, "body", headers if isinstance(headers, dict) else {}))
    except errors.SalesforceError as error:
        return refused(error, call.base)


def _failed(wanted: JsonObject, reply: Reply) -> bool:
    """A collection counts as failed when one of its records did and it asked for all or none itself."""
    body = wanted.get("body")
    all_or_none = isinstance(body, dict) and body.get("allOrNone") is True
    items = reply.body if all_or_none and isinstance(reply.body, list) else []
    return reply.status >= 300 or any(
        isinstance(each, dict) and each.get("success") is False for each in items
    )


def _is_root_cause(wanted: JsonObject, reply: Reply) -> bool:
    body = reply.body
    halted = (
        isinstance(body, list)
        and isinstance(body[0], dict)
        and body[0].get("errorCode") == "PROCESSING_HALTED"
    )
    return _failed(wanted, reply) and not halted


def _is_heavy(url: str) -> bool:
    path = url.lower()
    return "/query" in path or "/composite/sobjects" in path


def batch(tx: Transaction, call: Call, run: Run) -> Reply:
    """Each sub-request stands alone; with haltOnError the ones behind a failure are not run."""
    body = call.object_body()
    wanted = objects_in(body.get("batchRequests"), "batchRequests")
    if len(wanted) > SUBREQUESTS_MAX:
        raise errors.too_many("batchRequests", SUBREQUESTS_MAX)
    results: list[JsonObject] = []
    failed = False
    for each in wanted:
        if failed and body.get("haltOnError") is True:
            reply = refused(errors.batch_halted(), call.base)
        else:
            try:
                with tx.savepoint():
                    reply = run(tx, _inner_call(call, each, "richInput", {}))
            except errors.SalesforceError as error:
                reply = refused(error, call.base)
        failed = failed or reply.status >= 300
        results.append({"statusCode": reply.status, "result": reply.body})
    return Reply(200, {"hasErrors": failed, "results": results})


def _inner_call(call: Call, wanted: JsonObject, body_name: str, headers: JsonObject) -> Call:
    parts = urlsplit(str(wanted.get("url", "")))
    match = _PATH.fullmatch(parts.path)
    if match is None:
        raise errors.resource_not_found()
    segments = tuple(unquote(each) for each in match[2].strip("/").split("/"))
    if segments[0].lower() == "composite" and segments[1:2] != ("sobjects",):
        raise errors.resource_not_found()  # Only collections may be nested.
    return Call(
        method=str(wanted.get("method", "GET")).upper(),
        version=match[1],
        segments=segments,
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers={**call.headers, **{name.lower(): str(value) for name, value in headers.items()}},
        body=wanted.get(body_name),
        origin=call.origin,
    )


# references to earlier results


def _fill(value: object, results: dict[str, object]) -> object:
    """The same JSON value with every `@{ref.id}` replaced by what the named sub-request answered."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: str(_look_up(match, results)), value)
    if isinstance(value, list):
        return [_fill(each, results) for each in value]
    if isinstance(value, dict):
        return {name: _fill(each, results) for name, each in value.items()}
    return value


def _look_up(match: re.Match[str], results: dict[str, object]) -> object:
    """Raises PROCESSING_HALTED when the referred sub-request failed or has no such value."""
    here: object = results.get(match[1])
    for name, number in _STEP.findall(match[2]):
        if name and isinstance(here, dict):
            here = next((value for key, value in here.items() if key.lower() == name.lower()), None)
        elif number and isinstance(here, list) and int(number) < len(here):
            here = here[int(number)]
        else:
            here = None
    if here is None:
        raise errors.invalid_reference(match[0])
    return here
