"""What a refused call looks like: open this to change an error's text, or to find which HTTP status goes with a code.

Salesforce answers a failed REST call with a JSON array of `{message, errorCode[, fields]}`; inside collections the same
error is one item that says `statusCode` where the array says `errorCode`.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit.simulator import JsonObject


class SalesforceError(Exception):
    """A refusal as the org words it. `status` is the HTTP status when it is the answer to a whole request."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> list[object]:
        """The answer to a request refused as a whole."""
        item: JsonObject = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            item["fields"] = list(self.fields)
        return [item]

    def item(self) -> JsonObject:
        """The same refusal as one entry of a collection's `errors`."""
        return {
            "statusCode": self.code,
            "message": self.message,
            "fields": list(self.fields or ()),
        }


class SeveralMatch(SalesforceError):
    """A key that was meant to be unique finds several records: status 300, a list of their URLs, nothing written."""

    def __init__(self, sobject: str, ids: Sequence[str]) -> None:
        super().__init__(300, "DUPLICATE_EXTERNAL_ID", "external id matches several records", ())
        self.paths = [f"sobjects/{sobject}/{record_id}" for record_id in ids]

    def urls(self, base: str) -> list[object]:
        """base: `/services/data/vXX.0/`."""
        return [base + path for path in self.paths]
