"""Refusals of a whole request: session, limits, unknown resources, queries, composite."""

from __future__ import annotations

from .base import SalesforceError

# the session and the request


def session_expired() -> SalesforceError:
    return SalesforceError(401, "INVALID_SESSION_ID", "Session expired or invalid")


def daily_limit_exceeded() -> SalesforceError:
    """The org's calls of the last 24 hours are spent. There is never a Retry-After."""
    return SalesforceError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def concurrent_limit_exceeded() -> SalesforceError:
    """Too many long requests at a time: gone in seconds or minutes."""
    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    return SalesforceError(403, "REQUEST_LIMIT_EXCEEDED", text)


def server_unavailable() -> SalesforceError:
    return SalesforceError(503, "SERVER_UNAVAILABLE", "Server unavailable")


def unknown_exception() -> SalesforceError:
    return SalesforceError(
        500,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId: 1-1 (1)",
    )


def resource_not_found() -> SalesforceError:
    return SalesforceError(404, "NOT_FOUND", "The requested resource does not exist")


def method_not_allowed(method: str, allowed: str) -> SalesforceError:
    return SalesforceError(
        405,
        "METHOD_NOT_ALLOWED",
        f"HTTP Method '{method}' not allowed. Allowed are {allowed}",
    )


def json_parser_error(detail: str) -> SalesforceError:
    return SalesforceError(400, "JSON_PARSER_ERROR", detail)


def bad_header_date(header: str) -> SalesforceError:
    return SalesforceError(400, "INVALID_DATE_FORMAT", f"Bad value for {header}")


def precondition_failed() -> SalesforceError:
    return SalesforceError(
        412,
        "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE",
        "The entity has been modified since",
    )


# queries


def malformed_query(message: str) -> SalesforceError:
    return SalesforceError(400, "MALFORMED_QUERY", message)


def offset_too_big(limit: int) -> SalesforceError:
    return SalesforceError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {limit}")


def no_such_column_in_query(name: str, sobject: str) -> SalesforceError:
    hint = "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."
    return SalesforceError(400, "INVALID_FIELD", f"No such column '{name}' on entity '{sobject}'. {hint}")


def no_such_relationship(name: str, sobject: str) -> SalesforceError:
    return SalesforceError(
        400, "INVALID_FIELD", f"Didn't understand relationship '{name}' in field path of entity '{sobject}'."
    )


def wrong_filter_type(name: str, wanted: str, quoted: bool) -> SalesforceError:
    quotes = " and should not be enclosed in quotes" if quoted else ""
    return SalesforceError(
        400, "INVALID_FIELD", f"value of filter criterion for field '{name}' must be of type {wanted}{quotes}"
    )


def must_be_grouped(name: str) -> SalesforceError:
    return malformed_query(f"Field must be grouped or aggregated: {name}")


def invalid_type(sobject: str) -> SalesforceError:
    return SalesforceError(400, "INVALID_TYPE", f"sObject type '{sobject}' is not supported.")


def aggregate_too_long() -> SalesforceError:
    return SalesforceError(
        400,
        "EXCEEDED_ID_LIMIT",
        "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
    )


def invalid_query_locator() -> SalesforceError:
    return SalesforceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")


# composite resources


def processing_halted() -> SalesforceError:
    return SalesforceError(
        400,
        "PROCESSING_HALTED",
        "The transaction was rolled back since another operation in the same transaction failed.",
    )


def invalid_reference(reference: str) -> SalesforceError:
    """A sub-request that names the result of one that failed, or a value that is not there."""
    return SalesforceError(
        400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {reference} found"
    )


def id_required() -> SalesforceError:
    return SalesforceError(400, "MISSING_ARGUMENT", "Id not specified in an update call", ())


def batch_halted() -> SalesforceError:
    return SalesforceError(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request")


def rolled_back_with_others() -> SalesforceError:
    return SalesforceError(
        400,
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "Record rolled back because not all records were valid and the request was using AllOrNone header",
        (),
    )


def too_many(what: str, limit: int) -> SalesforceError:
    return SalesforceError(400, "EXCEEDED_MAX_SIZE_REQUEST", f"{what}: at most {limit} allowed")
