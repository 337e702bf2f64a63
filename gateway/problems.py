"""Errors as callers see them: problem+json (RFC 9457). Open this file to learn a member of a problem or its source.

type, title, code, retryable, failureClass, owner    the reason, as error_reason.proto declares it
status                                               the reason's, unless HTTP has one of its own (406, 408, 431)
detail, errors[{pointer, detail, code, owner, rule}] the error itself; pointers lead into the body the caller sent
retryAfterSeconds                                    also the header Retry-After
instance, correlationId, traceId                     the request
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from gateway.exchange import PROBLEM_JSON, AtTheEdge, Exchange, Reply
from gateway.rules import HEADER_FIELDS
from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, ReasonPolicy, Violation
from libs.common.personal import hidden

PROBLEMS_PATH = "/problems/"
PATH_CHARACTERS = "/:@!$&'()*+,;=~"
"""Stand in a path as they are; others are escaped, for the server has taken their escapes away."""
RETRY_SECONDS_DEFAULT = 1
"""Where the reason asks for a pause and nobody said how long."""
PAUSED_STATUSES = frozenset({429, 503})
PAUSED_REASONS = frozenset({"IDEMPOTENCY_IN_FLIGHT"})
CHALLENGES: Mapping[str, str] = {
    "UNAUTHENTICATED": "invalid_token",
    "PERMISSION_DENIED": "insufficient_scope",
}
"""Reasons that are about the token, and what RFC 6750 calls them."""
SHOWN_VIOLATIONS_MAX = 50
FACTS_HIDDEN = frozenset({"kind", "class", "owner"})

PointerOf = Callable[[str], str]
"""Field path to JSON pointer; empty when the field is not in what the caller sent."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an error's field paths refer to."""

    pointer_of: PointerOf
    in_query: bool = False
    """True when fields come from the query, false when from the body."""


def no_pointer(_path: str) -> str:
    return ""


NOWHERE = Place(no_pointer)


def problem_reply(error: OrdermeshError, exchange: Exchange, place: Place = NOWHERE) -> Reply:
    """The error as an answer, with the headers that go with its status."""
    status = error.status if isinstance(error, AtTheEdge) else error.policy.http_status
    seconds = _retry_seconds(error, status)
    members = {
        **_reason_members(error.policy, status),
        "detail": _detail(error, place),
        "instance": quote(hidden(exchange.path), safe=PATH_CHARACTERS),
        "retryable": is_repeatable(error),
        **({"retryAfterSeconds": seconds} if seconds is not None else {}),
        "correlationId": exchange.correlation_id,
        "traceId": exchange.trace_id,
        **_facts(error),
        **_errors(error, place),
    }
    body = json.dumps(members, ensure_ascii=False).encode()
    return Reply(status, body, PROBLEM_JSON, tuple(_headers(error, seconds)))


def bare_problem(status: int, reason: str, detail: str, retry_after_seconds: int | None = None) -> bytes:
    """A problem for a request that cannot be read, hence without correlation id."""
    policy = POLICIES[reason]
    members = {**_reason_members(policy, status), "detail": detail, "retryable": policy.retryable}
    if retry_after_seconds is not None:
        members["retryAfterSeconds"] = retry_after_seconds
    return json.dumps(members).encode()


def is_repeatable(error: OrdermeshError) -> bool:
    """What the kind of error says goes before what its reason says: a NotDone may always be repeated."""
    return error.policy.retryable or isinstance(error, NotDone | OutcomeUnknown)


def problem_type(reason: str) -> str:
    """Path of the page that explains a reason."""
    return PROBLEMS_PATH + reason.lower().replace("_", "-")


def _reason_members(policy: ReasonPolicy, status: int) -> dict[str, object]:
    return {
        "type": problem_type(policy.reason),
        "title": policy.title,
        "status": status,
        "code": policy.reason,
        "failureClass": policy.failure_class,
        "owner": policy.owner,
    }


def _detail(error: OrdermeshError, place: Place) -> str:
    """What is wrong; a field that the error speaks of is named as the caller names it."""
    field, colon, rest = error.detail.partition(": ")
    if colon and error.violations and error.violations[0].field == field:
        return f"{place.pointer_of(field) or field}: {rest}"
    return error.detail


def _facts(error: OrdermeshError) -> Mapping[str, object]:
    facts = {key: value for key, value in error.facts.metadata.items() if key not in FACTS_HIDDEN}
    verdict = {"verdict": error.facts.verdict} if error.facts.verdict else {}
    return {**({"facts": facts} if facts else {}), **verdict}


def _errors(error: OrdermeshError, place: Place) -> Mapping[str, object]:
    shown = error.violations[:SHOWN_VIOLATIONS_MAX]
    return {"errors": [_entry(violation, place) for violation in shown]} if shown else {}


def _entry(violation: Violation, place: Place) -> Mapping[str, str]:
    pointer = place.pointer_of(violation.field)
    entry = {"detail": violation.description, "code": violation.reason}
    if pointer:
        entry["pointer"] = pointer
    else:
        entry["field"] = violation.field
    if violation.owner:
        entry["owner"] = violation.owner
    if violation.rule:
        entry["rule"] = violation.rule
    if violation.field in HEADER_FIELDS:
        entry["header"] = HEADER_FIELDS[violation.field]
    elif place.in_query and pointer:
        entry["parameter"] = pointer.removeprefix("#/").replace("/", ".")
    return entry


def _retry_seconds(error: OrdermeshError, status: int) -> int | None:
    if error.retry_after is not None:
        return max(0, math.ceil(error.retry_after.total_seconds()))
    return RETRY_SECONDS_DEFAULT if status in PAUSED_STATUSES or error.reason in PAUSED_REASONS else None


def _headers(error: OrdermeshError, seconds: int | None) -> Iterator[tuple[bytes, bytes]]:
    own = error.headers if isinstance(error, AtTheEdge) else {}
    if seconds is not None:
        yield b"retry-after", str(seconds).encode()
    if error.reason in CHALLENGES and "WWW-Authenticate" not in own:
        yield b"www-authenticate", _challenge(error)
    for name, value in own.items():
        yield name.lower().encode(), value.encode()


def _challenge(error: OrdermeshError) -> bytes:
    """RFC 6750, section 3."""
    words = error.detail.replace("\\", "").replace('"', "'").encode("ascii", "replace").decode()
    return (
        f'Bearer realm="ordermesh", error="{CHALLENGES[error.reason]}", error_description="{words}"'.encode()
    )
