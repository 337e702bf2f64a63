"""Our errors as gRPC statuses, and back. Open this file to learn how an error crosses a process border.

Outward the reason decides the gRPC code; `ErrorInfo` carries the rest, so that `error_of(status_of(e))` is `e` again.
Inward a status without our `ErrorInfo` comes from gRPC itself or from a stranger, and the table `BARE` says what is
known then. A bare UNAVAILABLE on a method with effects is OutcomeUnknown: the request may have left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation
from libs.common.reach import Reach, after, kind_after
from libs.common.rpc.contract import Method

MessageT = TypeVar("MessageT", bound=Message)

DOMAIN = "ordermesh"
DETAILS_KEY = "grpc-status-details-bin"
STATUS_BYTES_MAX = 5 * 1024
"""In base64 this stays below the 8 KiB that gRPC grants all metadata of an answer."""
DETAIL_CHARACTERS_MAX = 400
METADATA_CHARACTERS_MAX = 200
FACTS_MAX = 8
VIOLATIONS_MAX = 50
KINDS: Mapping[str, type[OrdermeshError]] = {
    "refused": Refused,
    "not_done": NotDone,
    "outcome_unknown": OutcomeUnknown,
}
OWN_KEYS = frozenset({"kind", "class", "owner", "verdict"})
"""Metadata keys with a meaning here; the others are the error's own."""
CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Bare:
    """What is known after a status that is not ours: without effects, and with."""

    reading: tuple[type[OrdermeshError], str]
    writing: tuple[type[OrdermeshError], str]

    @classmethod
    def refused(cls, reason: str) -> "Bare":
        """Codes with which a server says that it did nothing and will not."""
        return cls((Refused, reason), (Refused, reason))

    @classmethod
    def sent(cls, reading: str, writing: str) -> "Bare":
        """Codes that come when the answer does not: the request may have arrived."""
        return cls(
            (kind_after(Reach.SENT, effect=False), reading), (kind_after(Reach.SENT, effect=True), writing)
        )


LOST = Bare.sent("UNAVAILABLE", "OUTCOME_UNKNOWN")
BARE: Mapping[grpc.StatusCode, Bare] = {
    grpc.StatusCode.OK: LOST,  # an error that says OK: a broken peer
    grpc.StatusCode.CANCELLED: LOST,
    grpc.StatusCode.UNKNOWN: LOST,
    grpc.StatusCode.INVALID_ARGUMENT: Bare.refused("INVALID_FIELD"),
    grpc.StatusCode.DEADLINE_EXCEEDED: Bare.sent("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    grpc.StatusCode.NOT_FOUND: Bare.refused("NOT_FOUND"),
    grpc.StatusCode.ALREADY_EXISTS: Bare.refused("ALREADY_EXISTS"),
    grpc.StatusCode.PERMISSION_DENIED: Bare.refused("PERMISSION_DENIED"),
    grpc.StatusCode.UNAUTHENTICATED: Bare.refused("UNAUTHENTICATED"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: Bare((NotDone, "OVERLOADED"), (NotDone, "OVERLOADED")),
    grpc.StatusCode.FAILED_PRECONDITION: Bare.refused("STATE_FORBIDS"),
    grpc.StatusCode.ABORTED: LOST,
    grpc.StatusCode.OUT_OF_RANGE: Bare.refused("INVALID_FIELD"),
    grpc.StatusCode.UNIMPLEMENTED: Bare.refused("NOT_SUPPORTED"),
    grpc.StatusCode.INTERNAL: LOST,
    grpc.StatusCode.UNAVAILABLE: LOST,
    grpc.StatusCode.DATA_LOSS: LOST,
}
NOT_CONNECTED = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
)
"""gRPC's own words when no connection was made. Should they change, the outcome counts as unknown, which is safe."""
TOO_LARGE = "message larger than max"
ANSWER_TOO_LARGE = "CLIENT: Received message larger than max"


def status_of(error: OrdermeshError) -> status_pb2.Status:
    """The error as google.rpc.Status, cut to what fits into an answer's metadata."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_metadata_of(error))
    details = [_packed(info)]
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        details.append(_packed(retry))
    code, message = error.policy.grpc_code, error.detail[:DETAIL_CHARACTERS_MAX]
    violations = [_violation_of(violation) for violation in error.violations[:VIOLATIONS_MAX]]
    while True:
        bad = [_packed(error_details_pb2.BadRequest(field_violations=violations))] if violations else []
        status = status_pb2.Status(code=code, message=message, details=[*details, *bad])
        if status.ByteSize() <= STATUS_BYTES_MAX or not violations:
            return status
        violations = violations[: len(violations) // 2]


def error_of(status: status_pb2.Status, method: Method | None) -> OrdermeshError:
    """The error a status stands for. method: None when it is not of our contracts, which counts as having effects."""
    info = next(_unpacked(status, error_details_pb2.ErrorInfo), None)
    if info is None or info.domain != DOMAIN:
        return _bare_error(CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, method)
    known = info.reason in POLICIES
    kind = KINDS.get(info.metadata.get("kind", ""), OutcomeUnknown)
    retry = next(_unpacked(status, error_details_pb2.RetryInfo), None)
    bad = next(_unpacked(status, error_details_pb2.BadRequest), error_details_pb2.BadRequest())
    return kind(
        info.reason if known else BARE[CODES.get(status.code, grpc.StatusCode.UNKNOWN)].writing[1],
        status.message,
        violations=list(_violations_in(bad)),
        retry_after=retry.retry_delay.ToTimedelta() if retry is not None else None,
        metadata={key: value for key, value in info.metadata.items() if key not in OWN_KEYS},
        verdict=info.metadata.get("verdict", ""),
    )


def error_of_rpc(error: grpc.aio.AioRpcError, method: Method | None) -> OrdermeshError:
    """What a failed call means to its caller."""
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY:
            continue
        try:
            raw = value if isinstance(value, bytes) else value.encode()
            return error_of(status_pb2.Status.FromString(raw), method)
        except DecodeError:
            break
    return _bare_error(error.code(), error.details() or "", method)


def _bare_error(code: grpc.StatusCode, details: str, method: Method | None) -> OrdermeshError:
    """The status is not ours; its words are not shown, they may name hosts."""
    writing = method is None or method.effect
    sent_once = method is None or method.attempts_max == 1 or not writing
    if code is grpc.StatusCode.UNAVAILABLE and sent_once and details.startswith(NOT_CONNECTED):
        detail = "no connection could be made"
        return after(Reach.NOT_SENT, effect=writing, detail=detail, not_done="UNAVAILABLE")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in details:
        if ANSWER_TOO_LARGE in details and writing:
            return OutcomeUnknown("OUTCOME_UNKNOWN", "the answer is larger than the limit")
        return Refused("BODY_TOO_LARGE", "the message is larger than the limit")
    kind, reason = BARE[code].writing if writing else BARE[code].reading
    return kind(reason, f"the call ended with {code.name}")


def _metadata_of(error: OrdermeshError) -> dict[str, str]:
    own = {
        "kind": next(kind for kind, error_class in KINDS.items() if isinstance(error, error_class)),
        "class": error.policy.failure_class,
        "owner": error.policy.owner,
        "verdict": error.facts.verdict,
    }
    facts = [(key, value) for key, value in error.facts.metadata.items() if key not in OWN_KEYS]
    kept = {**dict(facts[:FACTS_MAX]), **own}
    return {key: value[:METADATA_CHARACTERS_MAX] for key, value in kept.items() if value}


def _violation_of(violation: Violation) -> error_details_pb2.BadRequest.FieldViolation:
    """`rule` and `owner` have no field of their own in google.rpc; they ride behind the reason: `R;rule=…;owner=…`."""
    extras = (("rule", violation.rule), ("owner", violation.owner))
    reason = ";".join([violation.reason, *(f"{name}={value}" for name, value in extras if value)])
    return error_details_pb2.BadRequest.FieldViolation(
        field=violation.field[:METADATA_CHARACTERS_MAX],
        description=violation.description[:METADATA_CHARACTERS_MAX],
        reason=reason,
    )


def _violations_in(bad: error_details_pb2.BadRequest) -> Iterator[Violation]:
    for entry in bad.field_violations:
        reason, *rest = entry.reason.split(";")
        extras = dict(part.partition("=")[::2] for part in rest)
        yield Violation(
            entry.field, entry.description, reason, extras.get("rule", ""), extras.get("owner", "")
        )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _unpacked(status: status_pb2.Status, kind: type[MessageT]) -> Iterator[MessageT]:
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            yield message
