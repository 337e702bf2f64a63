"""What Salesforce's answers mean to us: the one table from its codes to our reasons. Open it to add a code.

Three kinds, by what may be done next: Refused (a person must act), NotDone (surely not applied, repeat), and in
doubt (a write that Salesforce failed to answer properly: perhaps applied). A limit is never a dead session, and a
dead session is never a limit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from connectors.kit.exact_json import loads
from connectors.kit.http import Answer
from connectors.kit.pauses import retry_after
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation

STATUS_IS_NEWER = "ordermesh: a newer ERP status is already shown"
"""Message of the validation rule Ordermesh_Status_Never_Goes_Back; see README.md."""

IN_DOUBT = "IN_DOUBT"
"""Stands in the table for: OutcomeUnknown for a write, NotDone for a read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One error as Salesforce words it. `code` is `errorCode`, or `statusCode` inside a collection."""

    code: str
    message: str = ""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Meaning:
    """Our reason for a code, and whether repeating helps."""

    kind: type[OrdermeshError] | str
    reason: str


def _refused(reason: str, *codes: str) -> dict[str, Meaning]:
    return {code: Meaning(Refused, reason) for code in codes}


def _not_done(reason: str, *codes: str) -> dict[str, Meaning]:
    return {code: Meaning(NotDone, reason) for code in codes}


MEANINGS: Mapping[str, Meaning] = {
    # A machine can make it go away.
    **_not_done("RECORD_LOCKED", "UNABLE_TO_LOCK_ROW", "COLLISION_DETECTED"),
    **_not_done(
        "SYSTEM_THROTTLED", "REQUEST_LIMIT_EXCEEDED", "TOO_MANY_APEX_REQUESTS", "rate_limit_exceeded"
    ),
    **_not_done("SYSTEM_QUOTA_SPENT", "STORAGE_LIMIT_EXCEEDED"),
    **_not_done(
        "SYSTEM_UNAVAILABLE",
        "QUERY_TIMEOUT",
        "REQUEST_RUNNING_TOO_LONG",
        "INVALID_QUERY_LOCATOR",
        "ORG_IN_MAINTENANCE",
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE",
    ),
    **_not_done(
        "SYSTEM_CREDENTIALS",
        "INVALID_SESSION_ID",
        "INVALID_LOGIN",
        "invalid_client",
        "invalid_client_id",
        "invalid_grant",
        "inactive_user",
        "inactive_org",
        "unsupported_grant_type",
    ),
    # Consequences of another error in the same call; alone they say that nothing was kept.
    **_not_done(
        "CONFLICT", "PROCESSING_HALTED", "BATCH_PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    ),
    # Nobody knows.
    "SERVER_UNAVAILABLE": Meaning(IN_DOUBT, "SYSTEM_UNAVAILABLE"),
    "UNKNOWN_EXCEPTION": Meaning(IN_DOUBT, "SYSTEM_UNAVAILABLE"),
    # A person must change the data.
    **_refused(
        "CRM_REFUSED",
        "REQUIRED_FIELD_MISSING",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "STRING_TOO_LONG",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "INVALID_EMAIL_ADDRESS",
        "ENTITY_IS_DELETED",
        "ENTITY_IS_LOCKED",
        "STANDARD_PRICE_NOT_DEFINED",
        "FAILED_ACTIVATION",
        "DELETE_FAILED",
        "DEPENDENCY_EXISTS",
        "INACTIVE_OWNER_OR_USER",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "APEX_ERROR",
    ),
    **_refused("MAPPING_VALUE_UNKNOWN", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    **_refused("CURRENCY_UNKNOWN", "INVALID_CURRENCY_ISO"),
    **_refused("DUPLICATE_CANDIDATE", "DUPLICATES_DETECTED", "DUPLICATE_VALUE", "DUPLICATE_EXTERNAL_ID"),
    **_refused(
        "REFERENCE_UNKNOWN",
        "INVALID_CROSS_REFERENCE_KEY",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "NOT_FOUND",
    ),
    # An administrator of the org or of ordermesh must change the configuration.
    **_refused(
        "SYSTEM_PERMISSION",
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "INSUFFICIENT_ACCESS",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "API_DISABLED_FOR_ORG",
        "API_CURRENTLY_DISABLED",
        "FUNCTIONALITY_NOT_ENABLED",
    ),
    **_refused(
        "MAPPING_FAILED",
        "INVALID_FIELD",
        "INVALID_TYPE",
        "MALFORMED_QUERY",
        "MALFORMED_ID",
        "JSON_PARSER_ERROR",
    ),
}
"""Salesforce's codes, those of its token endpoint in lower case. Source: the vendor's REST status code pages."""

_BY_TEXT: Sequence[tuple[str, str, Meaning]] = (
    ("REQUEST_LIMIT_EXCEEDED", "TotalRequests", Meaning(NotDone, "SYSTEM_QUOTA_SPENT")),
    # A parent named by our own key is made by a change of its own, which may still be on its way.
    ("INVALID_FIELD", "Foreign key external ID", Meaning(NotDone, "REFERENCE_UNKNOWN")),
    # The customer's own automation often wraps a lock.
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "UNABLE_TO_LOCK_ROW", Meaning(NotDone, "RECORD_LOCKED")),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", "UNABLE_TO_LOCK_ROW", Meaning(NotDone, "RECORD_LOCKED")),
    ("APEX_ERROR", "UNABLE_TO_LOCK_ROW", Meaning(NotDone, "RECORD_LOCKED")),
)
"""Code, words in its message, meaning: looked at before the table above."""

_BY_STATUS: Mapping[int, Meaning] = {
    300: Meaning(Refused, "DUPLICATE_CANDIDATE"),
    401: Meaning(NotDone, "SYSTEM_CREDENTIALS"),
    403: Meaning(Refused, "SYSTEM_PERMISSION"),
    404: Meaning(Refused, "REFERENCE_UNKNOWN"),
    408: Meaning(IN_DOUBT, "SYSTEM_UNAVAILABLE"),
    420: Meaning(NotDone, "SYSTEM_THROTTLED"),
    429: Meaning(NotDone, "SYSTEM_THROTTLED"),
}
"""What a status says when its body names no code we know."""

CONSEQUENCES = frozenset(
    {"PROCESSING_HALTED", "BATCH_PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK"}
)
"""Codes that only say that a sibling failed: judge the sibling."""

_SPEAKABLE = frozenset(
    {
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "REQUIRED_FIELD_MISSING",
        "ENTITY_IS_LOCKED",
        "FAILED_ACTIVATION",
        "STANDARD_PRICE_NOT_DEFINED",
        "INVALID_FIELD",
        "INVALID_TYPE",
        "MALFORMED_QUERY",
        "REQUEST_LIMIT_EXCEEDED",
    }
)
"""Codes whose message never repeats a record's values, so that people may read it."""
_MESSAGE_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Situation:
    """Around a fault: HTTP status, whether the call could change anything, and where our fields went.

    paths: Salesforce's field names to ours, for example `Name` to `customer.name`.
    """

    status: int
    effect: bool
    retry_after: timedelta | None = None
    paths: Mapping[str, str] = field(default_factory=dict)


def error_of(fault: Fault, situation: Situation) -> OrdermeshError:
    """Our error for one fault."""
    meaning = _meaning(fault, situation.status)
    detail = f"Salesforce answered {situation.status} {fault.code}".rstrip()
    verdict = f"{situation.status} {fault.code}".rstrip()
    if fault.code in _SPEAKABLE:
        verdict = f"{verdict}: {fault.message[:_MESSAGE_CHARACTERS_MAX]}"
    kind, reason = meaning.kind, meaning.reason
    if isinstance(kind, str):
        kind, reason = (OutcomeUnknown, "OUTCOME_UNKNOWN") if situation.effect else (NotDone, reason)
    violations = [
        Violation(situation.paths.get(name, name), f"Salesforce refuses it with {fault.code}", reason)
        for name in fault.fields
    ]
    return kind(
        reason,
        detail,
        violations=violations if kind is Refused else (),
        retry_after=situation.retry_after,
        metadata={"vendor_code": fault.code} if fault.code else None,
        verdict=verdict,
    )


def _meaning(fault: Fault, status: int) -> Meaning:
    for code, words, meaning in _BY_TEXT:
        if code == fault.code and words in fault.message:
            return meaning
    known = MEANINGS.get(fault.code) or _BY_STATUS.get(status)
    if known is not None:
        return known
    return Meaning(IN_DOUBT, "SYSTEM_UNAVAILABLE") if status >= 500 else Meaning(Refused, "CRM_REFUSED")


def error_of_answer(answer: Answer) -> OrdermeshError:
    """Our error for an answer that is one fault as a whole."""
    faults = list(faults_in(_parsed(answer.content)))
    situation = Situation(answer.status, answer.call.effect, retry_after_of(answer))
    return error_of(root_cause(faults), situation)


def root_cause(faults: Iterable[Fault]) -> Fault:
    """The fault that is no mere consequence; an empty one when there is none at all."""
    listed = list(faults)
    causes = [fault for fault in listed if fault.code not in CONSEQUENCES]
    return next(iter(causes or listed), Fault(""))


def faults_in(body: object) -> Iterator[Fault]:
    """Faults of an error body: an array of errors, one error, or the token endpoint's object."""
    for each in body if isinstance(body, list) else [body]:
        if not isinstance(each, dict):
            continue
        code = each.get("errorCode") or each.get("statusCode") or each.get("error") or ""
        message = each.get("message") or each.get("error_description") or ""
        fields = each.get("fields")
        names = tuple(str(name) for name in fields) if isinstance(fields, list) else ()
        yield Fault(str(code), str(message), names)


def retry_after_of(answer: Answer) -> timedelta | None:
    """The time asked for; Salesforce itself hardly ever asks, what stands before it may."""
    return retry_after(answer.headers.get("retry-after"), answer.headers.get("date"))


def _parsed(content: bytes) -> object:
    try:
        return loads(content)
    except ValueError:
        return None
