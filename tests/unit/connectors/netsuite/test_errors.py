"""The one table from NetSuite's answers to reasons, case by case, and against every published sample."""

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from connectors.kit.http import Answer, Call
from connectors.netsuite.errors import RULES, error_of, error_of_token
from connectors.netsuite.mapping.order import field_of
from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused

SAMPLES = Path(__file__).resolve().parents[5] / "shared" / "wire" / "netsuite" / "rest" / "error-samples.json"
WRITE = Call("PUT", "/services/rest/record/v1/salesOrder/eid:ord_1", effect=True)
READ = Call("GET", "/services/rest/record/v1/salesOrder/eid:ord_1", effect=False)


def answer(
    status: int,
    code: str = "",
    detail: str = "",
    path: str = "",
    *,
    call: Call = WRITE,
    headers: dict[str, str] | None = None,
) -> Answer:
    error = {"detail": detail, "o:errorCode": code} | ({"o:errorPath": path} if path else {})
    body = {"title": "Bad Request", "status": status, "o:errorDetails": [error]}
    return Answer(call, status, httpx.Headers(headers or {}), json.dumps(body).encode())


USER = "USER_ERROR"
PREFIX = "Error while accessing a resource. "
CASES = [
    (429, USER, "Concurrent request limit exceeded. Request blocked.", "", NotDone, "SYSTEM_THROTTLED"),
    (400, "CONCURRENCY_LIMIT_EXCEEDED", "", "", NotDone, "SYSTEM_THROTTLED"),
    (400, "SSS_REQUEST_LIMIT_EXCEEDED", "Request Limit Exceeded.", "", NotDone, "SYSTEM_THROTTLED"),
    (401, "INVALID_LOGIN", "Invalid login attempt.", "", NotDone, "SYSTEM_CREDENTIALS"),
    (401, "INVALID_LOGIN_ATTEMPT", "", "", NotDone, "SYSTEM_CREDENTIALS"),
    (403, "INSUFFICIENT_PERMISSION", "You do not have permission.", "", Refused, "SYSTEM_PERMISSION"),
    (
        400,
        USER,
        "Your current role does not have permission to perform this action.",
        "",
        Refused,
        "SYSTEM_PERMISSION",
    ),
    (400, "RCRD_HAS_BEEN_CHANGED", "Record has been changed", "", NotDone, "RECORD_LOCKED"),
    (400, USER, PREFIX + "Record has been changed.", "", NotDone, "RECORD_LOCKED"),
    (400, USER, PREFIX + "This record already exists.", "", NotDone, "RECORD_LOCKED"),
    (400, USER, PREFIX + "This entity already exists.", "", Refused, "DUPLICATE_CANDIDATE"),
    (
        400,
        USER,
        PREFIX + "This record has been locked by a user defined workflow.",
        "",
        Refused,
        "ERP_REFUSED",
    ),
    (400, USER, PREFIX + "You must enter a value for Company Name.", "", Refused, "ERP_REFUSED"),
    (400, "INVALID_FLD_VALUE", "whatever", "", Refused, "ERP_REFUSED"),
    (
        400,
        USER,
        PREFIX + "The customer has exceeded the credit limit.",
        "entity",
        Refused,
        "CREDIT_LIMIT_EXCEEDED",
    ),
    (400, "INVALID_CONTENT", "Invalid Field Value 9 …", "item.items[0].taxCode", Refused, "TAX_CODE_UNKNOWN"),
    (400, "INVALID_CONTENT", "Invalid Field Value 9 …", "item.items[0].item", Refused, "PRODUCT_UNKNOWN"),
    (400, "INVALID_CONTENT", "Invalid Field Value 9 …", "item.items[0].units", Refused, "UNIT_UNKNOWN"),
    (
        400,
        USER,
        "The quantity must be greater than 0.",
        "item.items[3].quantity",
        Refused,
        "QUANTITY_INVALID",
    ),
    (400, USER, "You must enter a value for Amount.", "item.items[3].amount", Refused, "PRICE_INVALID"),
    (400, "INVALID_CONTENT", "Invalid Field Value 9 …", "entity", Refused, "CUSTOMER_UNKNOWN"),
    (400, "INVALID_CONTENT", PREFIX + "Unknown property name: x.", "x", Refused, "MAPPING_FAILED"),
    (400, "INVALID_REQUEST", "malformed syntax", "", Refused, "MAPPING_FAILED"),
    (400, USER, "Search error occurred: Field 'foo' not found.", "", Refused, "MAPPING_FAILED"),
    (404, "NONEXISTENT_ID", "Record does not exist.", "", Refused, "REFERENCE_UNKNOWN"),
    (415, "INVALID_HEADER", "", "", Refused, "MAPPING_FAILED"),
    (
        500,
        "UNEXPECTED_ERROR",
        "An unexpected error occurred. Error ID: jrgb",
        "",
        OutcomeUnknown,
        "OUTCOME_UNKNOWN",
    ),
    (502, "", "", "", OutcomeUnknown, "OUTCOME_UNKNOWN"),
    (503, "", "", "", OutcomeUnknown, "OUTCOME_UNKNOWN"),
    (504, "", "", "", OutcomeUnknown, "OUTCOME_UNKNOWN"),
    (302, "", "", "", OutcomeUnknown, "OUTCOME_UNKNOWN"),
]


@pytest.mark.parametrize(("status", "code", "detail", "path", "outcome", "reason"), CASES)
def test_table(
    status: int, code: str, detail: str, path: str, outcome: type[OrdermeshError], reason: str
) -> None:
    error = error_of(answer(status, code, detail, path))
    assert (type(error), error.reason) == (outcome, reason)


@pytest.mark.parametrize("status", [302, 408, 500, 502, 503, 504])
def test_a_failed_read_has_no_effect_whatever_the_server_did(status: int) -> None:
    error = error_of(answer(status, call=READ))
    assert (type(error), error.reason) == (NotDone, "SYSTEM_UNAVAILABLE")


def test_every_reason_of_the_table_is_in_the_contract() -> None:
    assert {rule.reason for rule in RULES} <= POLICIES.keys()


EXPECTED_OF_SAMPLES = {
    "after re-authentication, once": NotDone,
    "never (business)": Refused,
    "never (bug)": Refused,
    "yes, back-off with jitter": NotDone,
    "yes but only after a read-back (outcome unknown)": OutcomeUnknown,
    "yes, back-off": NotDone,
}


@pytest.mark.skipif(not SAMPLES.is_file(), reason="the wire sheet is not on this machine")
def test_published_samples() -> None:
    samples = json.loads(SAMPLES.read_text())["samples"]
    for sample in samples:
        if sample["body"].get("title") == "Conflict":
            continue  # only asynchronous requests carry an idempotency key
        given = Answer(WRITE, sample["http"], httpx.Headers(), json.dumps(sample["body"]).encode())
        assert type(error_of(given)) is EXPECTED_OF_SAMPLES.get(sample["retry"], Refused), sample


def test_a_refusal_points_at_our_field_and_keeps_netsuites_words() -> None:
    words = PREFIX + "You have entered an Invalid Field Value 11 for the following field: taxCode"
    error = error_of(answer(400, "INVALID_CONTENT", words, "item.items[2].taxCode"), field_of)
    assert [(found.field, found.reason) for found in error.violations] == [
        ("order.lines[2].tax_code", "TAX_CODE_UNKNOWN")
    ]
    assert error.facts.verdict == f"400 INVALID_CONTENT {words}"
    assert "Invalid Field Value" not in error.detail


@pytest.mark.parametrize(
    "words",
    [
        "You have entered an Invalid Field Value ann@example.com for the following field: email",
        "You have entered an Invalid Field Value +47 555 0100 for the following field: phone",
        "Duplicate of ann@example.com",
    ],
)
def test_the_verdict_holds_no_personal_values(words: str) -> None:
    verdict = error_of(answer(400, USER, words)).facts.verdict
    assert "ann" not in verdict
    assert "555" not in verdict


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"o:errorDetails":[]}', b'{"o:errorDetails":"x"}', b"\xff"]
)
def test_a_body_in_any_shape_is_sorted_by_its_status(content: bytes) -> None:
    assert type(error_of(Answer(WRITE, 429, httpx.Headers(), content))) is NotDone
    assert type(error_of(Answer(WRITE, 503, httpx.Headers(), content))) is OutcomeUnknown
    assert type(error_of(Answer(WRITE, 400, httpx.Headers(), content))) is Refused


NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


def test_throttling_carries_the_time_to_wait() -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:09 GMT", "Date": NOW}
    assert error_of(answer(429, headers=headers)).retry_after == timedelta(seconds=9)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b'{"error":"invalid_grant"}', "SYSTEM_CREDENTIALS"),
        (401, b'{"error":"invalid_client"}', "SYSTEM_CREDENTIALS"),
        (429, b"", "SYSTEM_THROTTLED"),
        (503, b"", "SYSTEM_UNAVAILABLE"),
    ],
)
def test_no_token_is_never_in_doubt(status: int, body: bytes, reason: str) -> None:
    call = Call("POST", "/services/rest/auth/oauth2/v1/token", effect=False)
    error = error_of_token(Answer(call, status, httpx.Headers(), body))
    assert (type(error), error.reason) == (NotDone, reason)
