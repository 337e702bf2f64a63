"""The port: what a connector offers. Open this file first when you write one.

A connector translates vocabulary and holds no state. It speaks canonical messages on this side and the vendor's wire
format on the other. Each method may raise, and nothing else (see `libs/common/errors.py`):

    Refused         the vendor or the mapping says no; repeating unchanged is pointless
    NotDone         surely not applied: not sent, throttled, refused connection, a failed read
    OutcomeUnknown  a write left and no usable answer came

Methods may be called concurrently. None may outlive the deadline the caller set; `kit.http` sees to that.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.checks import checked
from libs.common.errors import Refused

Kind = change_pb2.Kind


class Connector(Protocol):
    """One outside system. Implementations may inherit from this class: what they leave out is NOT_SUPPORTED."""

    async def describe(self) -> connector_service_pb2.DescribeResponse:
        """Capabilities; the conformance suite tests exactly what is declared here."""
        raise NotImplementedError

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        """Makes one change, at most once in effect for `change.key`. Safe to repeat after any outcome."""
        raise Refused("NOT_SUPPORTED", "the connector applies no changes")

    async def preview_change(
        self, change: change_pb2.Change, pinned_mapping: str
    ) -> connector_service_pb2.PreviewChangeResponse:
        """What `apply_change` would change, field by field (see `kit.preview`). Reads, and never writes."""
        raise Refused("NOT_SUPPORTED", "the connector previews no changes")

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        """The record stamped with `key`, or None when there surely is none (a failed look-up raises NotDone)."""
        raise Refused("NOT_SUPPORTED", "the connector finds nothing by key")

    def read_changes(
        self, kind: Kind.ValueType, cursor: bytes, limit: int
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        """Changes after `cursor`, oldest first, at most `limit`, then ends. Repeats are allowed, gaps are not.

        Each item carries the cursor to store once the item is taken in. Cursors are opaque to the caller and survive
        restarts and new versions of the connector.
        """
        raise Refused("NOT_SUPPORTED", "the connector has no change feed")

    async def translate(
        self, native_type: str, content_type: str, payload: bytes
    ) -> connector_service_pb2.TranslateResponse:
        """Canonical command for a native payload. Pure: no call to the vendor. Raises PAYLOAD_UNTRANSLATABLE."""
        raise Refused("NOT_SUPPORTED", "the connector translates no payloads")

    async def check_credit(
        self, request: connector_service_pb2.CheckCreditRequest
    ) -> connector_service_pb2.CheckCreditResponse:
        """The vendor's word on credit, now."""
        raise Refused("NOT_SUPPORTED", "the connector answers no credit question")

    async def check_availability(
        self, request: connector_service_pb2.CheckAvailabilityRequest
    ) -> connector_service_pb2.CheckAvailabilityResponse:
        """What can be promised, now."""
        raise Refused("NOT_SUPPORTED", "the connector answers no availability question")

    async def price_lines(
        self, request: connector_service_pb2.PriceLinesRequest
    ) -> connector_service_pb2.PriceLinesResponse:
        """The customer's prices, now."""
        raise Refused("NOT_SUPPORTED", "the connector answers no price question")

    async def calculate_tax(
        self, request: connector_service_pb2.CalculateTaxRequest
    ) -> connector_service_pb2.CalculateTaxResponse:
        """Tax before posting."""
        raise Refused("NOT_SUPPORTED", "the connector answers no tax question")

    async def check_order(
        self, request: connector_service_pb2.CheckOrderRequest
    ) -> connector_service_pb2.CheckOrderResponse:
        """Questions above about one order, each answered or failed on its own; to be written where the vendor has one
        call for several of them.
        """
        return await checked(self, request)

    async def close(self) -> None:
        """Gives connections back."""
