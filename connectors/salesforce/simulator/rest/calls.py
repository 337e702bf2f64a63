"""One API call and its answer, without HTTP around them: open this to hand a resource one more part of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator import errors


@dataclass(frozen=True)
class Call:
    """segments: the decoded path behind the version, `("sobjects", "Account", "001…")`. Header names are lower case."""

    method: str
    version: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    origin: str = ""  # Scheme, host and port as the caller sees them.

    @property
    def base(self) -> str:
        """What every URL in an answer begins with."""
        return f"/services/data/v{self.version}/"

    def object_body(self) -> JsonObject:
        if not isinstance(self.body, dict):
            raise errors.json_parser_error(
                "The HTTP entity body is required, but this request has no entity body."
            )
        return cast(JsonObject, self.body)

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() == "true"


@dataclass(frozen=True)
class Reply:
    """body None = no body at all, as with 204."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(error: errors.SalesforceError, base: str) -> Reply:
    if isinstance(error, errors.SeveralMatch):
        return Reply(error.status, error.urls(base))
    return Reply(error.status, error.body())


def objects_in(value: object, name: str) -> list[JsonObject]:
    """The list of objects that a request carries under `name`."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise errors.json_parser_error(f"{name} must be a list of objects")
    return value
