"""What operations of the document share: headers, parameters, problems. Open this file to describe a new header."""

from collections.abc import Mapping

from gateway.conditions import KEY_CHARACTERS_MAX
from gateway.fields import JsonValue
from gateway.openapi.schemas import SCHEMAS, Schema
from gateway.preferences import WAIT_SECONDS_MAX
from libs.common.errors import POLICIES

PROBLEM = "Problem"
PROBLEM_ERROR = "ProblemError"
PARAMETERS = "#/components/parameters/"
HEADERS = "#/components/headers/"
RESPONSES = "#/components/responses/"
BEARER = "bearer"


def _text(description: str, **keywords: JsonValue) -> Schema:
    return {"type": "string", "description": description, **keywords}


def _header_parameter(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


REQUEST_HEADERS: Mapping[str, Schema] = {
    "IdempotencyKey": _header_parameter(
        "Idempotency-Key",
        "Names this request: the same key and the same body get the same answer, for at least 24 hours, orders for"
        " 30 days. The scope is the tenant. Plain, or one quoted string.",
        {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
        required=True,
    ),
    "OptionalIdempotencyKey": _header_parameter(
        "Idempotency-Key",
        "Names this request. Without it the key is derived from source, record and version of the payload.",
        {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
    ),
    "IfMatch": _header_parameter(
        "If-Match",
        "Version the caller has seen, as the header ETag gave it; without it, or with *, any version will do.",
        {"type": "string"},
    ),
    "RequiredIfMatch": _header_parameter(
        "If-Match",
        "Version the change was decided on, as the header ETag gave it; * takes any version.",
        {"type": "string", "minLength": 1},
        required=True,
    ),
    "IfNoneMatch": _header_parameter(
        "If-None-Match", "Version the caller has; 304 when it is still the current one.", {"type": "string"}
    ),
    "Prefer": _header_parameter(
        "Prefer",
        f"RFC 7240: `wait=N` waits up to N seconds for news, at most {WAIT_SECONDS_MAX}; `respond-async` does not"
        " wait; `return=minimal` leaves the resource out of the answer to a write.",
        {"type": "string"},
    ),
    "CorrelationId": _header_parameter(
        "X-Correlation-Id",
        "One value for everything that follows, 1 to 128 of `A-Z a-z 0-9 . _ -`; made when absent or otherwise.",
        {"type": "string"},
    ),
    "Traceparent": _header_parameter("traceparent", "W3C trace context.", {"type": "string"}),
}

RESPONSE_HEADERS: Mapping[str, Schema] = {
    "CorrelationId": {"description": "As sent, or made.", "schema": {"type": "string"}},
    "ETag": {"description": "Version of the resource, for If-Match.", "schema": {"type": "string"}},
    "Location": {"description": "Where to ask what became of it.", "schema": {"type": "string"}},
    "IdempotentReplayed": {
        "description": "`true` when this answer was given to an earlier request with the same key.",
        "schema": {"type": "string"},
    },
    "PreferenceApplied": {"description": "Preferences that were honoured.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": "What is left of the caller's quotas (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
    },
    "RateLimitPolicy": {"description": "The quotas that hold.", "schema": {"type": "string"}},
    "RetryAfter": {"description": "Seconds to wait before repeating.", "schema": {"type": "integer"}},
    "WwwAuthenticate": {"description": "RFC 6750.", "schema": {"type": "string"}},
    "Deprecation": {
        "description": "Since when this, or a field that was sent, is deprecated (RFC 9745).",
        "schema": {"type": "string"},
    },
    "Sunset": {"description": "When it may be gone (RFC 8594).", "schema": {"type": "string"}},
    "Allow": {"description": "Verbs of the path.", "schema": {"type": "string"}},
}

PROBLEM_SCHEMAS: Mapping[str, Schema] = {
    PROBLEM: {
        "type": "object",
        "title": PROBLEM,
        "description": "Why a request was not carried out (RFC 9457).",
        "required": ["type", "title", "status", "code", "retryable", "failureClass", "owner"],
        "properties": {
            "type": _text("Path of a page that explains the code.", format="uri-reference"),
            "title": _text("One short sentence."),
            "status": {"type": "integer", "description": "HTTP status."},
            "detail": _text("What is wrong with this request."),
            "instance": _text("Path of the request.", format="uri-reference"),
            "code": _text("The reason.", enum=[*sorted(POLICIES)]),
            "retryable": {
                "type": "boolean",
                "description": "True when the same request may be repeated unchanged.",
            },
            "retryAfterSeconds": {"type": "integer", "description": "As the header Retry-After."},
            "failureClass": _text("Who can make it go away.", enum=["business", "technical"]),
            "owner": _text("Team whose queue it lands in."),
            "errors": {
                "type": "array",
                "description": "Each field that is wrong.",
                "items": {"$ref": SCHEMAS + PROBLEM_ERROR},
            },
            "correlationId": _text("As the header X-Correlation-Id."),
            "traceId": _text("Trace in which the request was handled."),
            "verdict": _text("The outside system's own words."),
        },
    },
    PROBLEM_ERROR: {
        "type": "object",
        "title": PROBLEM_ERROR,
        "description": "One field that is wrong.",
        "required": ["detail"],
        "properties": {
            "detail": _text("What is wrong."),
            "pointer": _text("JSON pointer into the body, with a leading #."),
            "field": _text("Path of the field, where it is not in what was sent."),
            "parameter": _text("Query parameter."),
            "header": _text("Header that the field comes from."),
            "code": _text("The reason."),
            "owner": _text("System or team that owns the field."),
            "rule": _text("Name of the rule that it breaks."),
        },
    },
}

_PROBLEMS: Mapping[int, tuple[str, tuple[str, ...]]] = {
    304: ("The caller has this version already.", ()),
    400: ("The request breaks a rule, or the state does not allow it.", ()),
    401: ("The token is missing or not valid.", ("WwwAuthenticate",)),
    403: ("The role does not allow it.", ("WwwAuthenticate",)),
    404: ("There is no such record.", ()),
    406: ("The caller takes no JSON.", ()),
    408: ("The request did not arrive in time.", ()),
    409: ("In flight, in conflict, or there already.", ("RetryAfter",)),
    412: ("The record has changed since it was read.", ()),
    413: ("The body has too many bytes, levels or keys.", ()),
    414: ("Path and query are too long.", ()),
    415: ("The content type is not supported.", ()),
    417: ("An expectation other than 100-continue.", ()),
    422: ("The idempotency key was used for another request.", ()),
    428: ("The header If-Match is missing.", ()),
    429: ("Too many requests.", ("RetryAfter", "RateLimit", "RateLimitPolicy")),
    431: ("The headers are too large.", ()),
    500: ("A fault of ours.", ()),
    501: ("The system does not offer this.", ()),
    503: ("Surely not applied; repeat.", ("RetryAfter",)),
    504: ("Perhaps applied; repeat with the same key only.", ()),
}


COMMON_PROBLEMS = (400, 401, 403, 406, 408, 414, 417, 429, 431, 500, 503, 504)
"""What any operation may be answered with that wants a caller."""


def problem_responses() -> Mapping[str, Schema]:
    """Under `components/responses`, by name."""
    return {f"Problem{status}": _problem_response(status) for status in _PROBLEMS if status != 304} | {
        "NotModified": {
            "description": _PROBLEMS[304][0],
            "headers": header_references("ETag", "CorrelationId"),
        }
    }


def problem_references(*statuses: int) -> Schema:
    """Responses of an operation, by status."""
    return {str(status): {"$ref": f"{RESPONSES}Problem{status}"} for status in sorted({*statuses})}


def header_references(*names: str) -> Schema:
    wire = {
        "CorrelationId": "X-Correlation-Id",
        "IdempotentReplayed": "Idempotent-Replayed",
        "PreferenceApplied": "Preference-Applied",
        "RateLimitPolicy": "RateLimit-Policy",
        "RetryAfter": "Retry-After",
        "WwwAuthenticate": "WWW-Authenticate",
    }
    return {wire.get(name, name): {"$ref": HEADERS + name} for name in names}


def parameter_reference(name: str) -> Schema:
    return {"$ref": PARAMETERS + name}


def _problem_response(status: int) -> Schema:
    description, headers = _PROBLEMS[status]
    return {
        "description": description,
        "headers": header_references("CorrelationId", *headers),
        "content": {"application/problem+json": {"schema": {"$ref": SCHEMAS + PROBLEM}}},
    }
