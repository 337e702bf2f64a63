"""Salesforce's answers: which of them a person must act on, which may be repeated, and which leave us in doubt."""

from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest
from ordermesh.connector.v1 import change_pb2

from connectors.kit.http import Answer, Call
from connectors.salesforce.client import CompositeAnswer, SubAnswer, session_is_dead
from connectors.salesforce.errors import (
    IN_DOUBT,
    MEANINGS,
    Fault,
    Situation,
    error_of,
    error_of_answer,
    retry_after_of,
)
from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused


def answer(
    status: int, body: bytes, *, effect: bool = True, headers: Mapping[str, str] | None = None
) -> Answer:
    call = Call("POST", "/services/data/v62.0/composite", effect)
    return Answer(call, status, httpx.Headers(headers or {}), body)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "reason"),
    [
        (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", NotDone, "RECORD_LOCKED"),
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", NotDone, "SYSTEM_QUOTA_SPENT"),
        (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.", NotDone, "SYSTEM_THROTTLED"),
        (401, "INVALID_SESSION_ID", "Session expired or invalid", NotDone, "SYSTEM_CREDENTIALS"),
        (400, "invalid_client", "invalid client credentials", NotDone, "SYSTEM_CREDENTIALS"),
        (503, "SERVER_UNAVAILABLE", "Server unavailable", OutcomeUnknown, "OUTCOME_UNKNOWN"),
        (500, "UNKNOWN_EXCEPTION", "An unexpected error", OutcomeUnknown, "OUTCOME_UNKNOWN"),
        (502, "", "", OutcomeUnknown, "OUTCOME_UNKNOWN"),
        (400, "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "", NotDone, "SYSTEM_UNAVAILABLE"),
        (400, "REQUIRED_FIELD_MISSING", "", Refused, "CRM_REFUSED"),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "", Refused, "CRM_REFUSED"),
        (400, "ENTITY_IS_LOCKED", "", Refused, "CRM_REFUSED"),
        (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "", Refused, "MAPPING_VALUE_UNKNOWN"),
        (400, "DUPLICATES_DETECTED", "Use one of these records?", Refused, "DUPLICATE_CANDIDATE"),
        (400, "DUPLICATE_VALUE", "", Refused, "DUPLICATE_CANDIDATE"),
        (300, "", "", Refused, "DUPLICATE_CANDIDATE"),
        (400, "INVALID_CROSS_REFERENCE_KEY", "", Refused, "REFERENCE_UNKNOWN"),
        (400, "INVALID_FIELD", "Foreign key external ID: x not found", NotDone, "REFERENCE_UNKNOWN"),
        (400, "INVALID_FIELD", "No such column 'X'", Refused, "MAPPING_FAILED"),
        (404, "NOT_FOUND", "", Refused, "REFERENCE_UNKNOWN"),
        (404, "ENTITY_IS_DELETED", "", Refused, "CRM_REFUSED"),
        (400, "INSUFFICIENT_ACCESS_OR_READONLY", "", Refused, "SYSTEM_PERMISSION"),
        (400, "CANNOT_EXECUTE_FLOW_TRIGGER", "UNABLE_TO_LOCK_ROW, unable", NotDone, "RECORD_LOCKED"),
        (400, "CANNOT_EXECUTE_FLOW_TRIGGER", "my own rule", Refused, "CRM_REFUSED"),
        (429, "", "", NotDone, "SYSTEM_THROTTLED"),
        (403, "", "", Refused, "SYSTEM_PERMISSION"),
        (400, "A_CODE_OF_THE_FUTURE", "", Refused, "CRM_REFUSED"),
    ],
)
def test_fault_of_a_write_means(
    status: int, code: str, message: str, kind: type[OrdermeshError], reason: str
) -> None:
    error = error_of(Fault(code, message), Situation(status, effect=True))
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize("code", ["SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"])
def test_failed_read_is_surely_not_done(code: str) -> None:
    error = error_of(Fault(code), Situation(503, effect=False))
    assert (type(error), error.reason) == (NotDone, "SYSTEM_UNAVAILABLE")


def test_every_meaning_is_a_declared_reason() -> None:
    assert {meaning.reason for meaning in MEANINGS.values()} <= set(POLICIES)
    assert {meaning.kind for meaning in MEANINGS.values()} <= {Refused, NotDone, IN_DOUBT}


def test_refused_field_is_named_as_we_name_it() -> None:
    situation = Situation(400, effect=True, paths={"PoNumber": "order.purchase_order_number"})
    error = error_of(Fault("STRING_TOO_LONG", "PO: data value too large: secret", ("PoNumber",)), situation)
    assert [violation.field for violation in error.violations] == ["order.purchase_order_number"]
    assert "secret" not in str(error.facts)


def test_body_that_is_no_json_is_judged_by_its_status() -> None:
    error = error_of_answer(answer(502, b"<html>bad gateway</html>"))
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        (
            {"Retry-After": "Wed, 04 Mar 2026 10:00:30 GMT", "Date": "Wed, 04 Mar 2026 10:00:00 GMT"},
            timedelta(seconds=30),
        ),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], expected: timedelta | None) -> None:
    assert retry_after_of(answer(503, b"", headers=headers)) == expected


def test_limit_is_no_dead_session_and_some_401_cannot_be_cured() -> None:
    assert session_is_dead(answer(401, b'[{"errorCode":"INVALID_SESSION_ID"}]'))
    assert not session_is_dead(answer(403, b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]'))
    assert not session_is_dead(answer(401, b"This session is not valid for use with the REST API"))


def test_sibling_that_failed_first_is_judged_and_not_the_ones_it_took_along() -> None:
    halted = [{"errorCode": "PROCESSING_HALTED", "message": "rolled back"}]
    lock = [
        {"success": False, "errors": [{"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": ""}]},
        {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "x"}]},
    ]
    composite = CompositeAnswer(
        {"record": SubAnswer(400, halted), "mirrors": SubAnswer(200, lock), "read": SubAnswer(400, halted)},
        change_pb2.Exchange(),
    )
    assert not composite.done
    with pytest.raises(NotDone) as locked:
        composite.raise_cause({})
    assert locked.value.reason == "RECORD_LOCKED"


def test_key_that_finds_several_records_is_refused() -> None:
    several = CompositeAnswer({"record": SubAnswer(300, ["/a", "/b"])}, change_pb2.Exchange())
    with pytest.raises(Refused) as refused:
        several.raise_cause({})
    assert refused.value.reason == "DUPLICATE_CANDIDATE"
