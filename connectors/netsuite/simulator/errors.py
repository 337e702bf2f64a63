"""Refusals in NetSuite's own words; open it to see or add what the simulator can say no to.

Wordings marked "doc" are printed in Oracle's help pages, the others were seen in public client code or are
our guess.
"""

import secrets
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from connectors.kit.simulator import ExactJSONResponse, JsonObject

_TYPE = "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html"
_MEDIA_TYPE = "application/vnd.oracle.resource+json; type=error; charset=UTF-8"
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
    429: "Bad Request",  # doc: Oracle's own sample has this title
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


class NetSuiteError(Exception):
    """An answer other than success.

    path: where in the body (`item.items[0].item`). parameter, header: the query parameter or header at fault.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        path: str | None = None,
        parameter: str | None = None,
        header: str | None = None,
        title: str | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {detail}")
        self.status, self.code, self.detail = status, code, detail
        self.title = title or _TITLES[status]
        self.path, self.parameter, self.header = path, parameter, header

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to send."""
        error: JsonObject = {"detail": self.detail, "o:errorCode": self.code}
        if self.path is not None:
            error["o:errorPath"] = self.path
        if self.parameter is not None:
            error["o:errorQueryParam"] = self.parameter
        if self.header is not None:
            error["o:errorHeader"] = self.header
        body = {"type": _TYPE, "title": self.title, "status": self.status, "o:errorDetails": [error]}
        return ExactJSONResponse(body, self.status, headers, media_type=_MEDIA_TYPE)


def business(detail: str, path: str | None = None) -> NetSuiteError:
    """Most refusals of a save look like this: 400 USER_ERROR and a sentence."""
    return NetSuiteError(400, "USER_ERROR", f"Error while accessing a resource. {detail}", path=path)


def invalid_value(value: object, field: str, path: str) -> NetSuiteError:
    """doc: an id that does not exist or may not be chosen, or a value of the wrong type."""
    detail = f"You have entered an Invalid Field Value {value} for the following field: {field}"
    return NetSuiteError(400, "INVALID_CONTENT", f"Error while accessing a resource. {detail}", path=path)


def missing_value(label: str, path: str | None = None) -> NetSuiteError:
    return business(f"You must enter a value for {label}.", path)


def malformed() -> NetSuiteError:
    """doc"""
    detail = "The request could not be understood by the server due to malformed syntax."
    return NetSuiteError(400, "INVALID_REQUEST", detail)


def not_found() -> NetSuiteError:
    """doc"""
    return NetSuiteError(404, "NONEXISTENT_ID", "Record does not exist.")


def unknown_resource(name: str) -> NetSuiteError:
    return NetSuiteError(404, "NOT_FOUND", f"Resource or record type '{name}' was not found.")


def invalid_login() -> NetSuiteError:
    """doc"""
    detail = (
        "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI at "
        "Setup > Users/Roles > User Management > View Login Audit Trail."
    )
    return NetSuiteError(401, "INVALID_LOGIN", detail)


def concurrency_exceeded() -> NetSuiteError:
    """doc"""
    detail = "Concurrent request limit exceeded. Request blocked."
    return NetSuiteError(429, "CONCURRENCY_LIMIT_EXCEEDED", detail)


def unexpected() -> NetSuiteError:
    """doc, status 500: what was asked may have happened all the same."""
    word = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(20))
    return NetSuiteError(500, "UNEXPECTED_ERROR", f"An unexpected error occurred. Error ID: {word}")


def unavailable() -> NetSuiteError:
    return NetSuiteError(503, "UNEXPECTED_ERROR", "The service is temporarily unavailable.")


class NetSuiteReplies:
    """The kit's failures, worded as NetSuite words them."""

    def throttled(self, request: Request) -> Response:
        return concurrency_exceeded().response()

    def unavailable(self, request: Request) -> Response:
        return unavailable().response()

    def expired_token(self, request: Request) -> Response:
        return invalid_login().response()
