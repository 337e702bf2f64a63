"""What the suite needs to know of one connector and the system behind it. Open this file to bring a new one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.testing.vendor import Kind, Vendor

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

Stub: TypeAlias = "ConnectorServiceAsyncStub"
Connect = Callable[[], AbstractAsyncContextManager["ConnectorServiceAsyncStub"]]
"""A fresh connector, as after a restart, with calls made for the target's tenant."""


@dataclass(frozen=True, slots=True)
class NativePayload:
    """A payload in the vendor's own shape."""

    native_type: str
    content_type: str
    content: bytes


class ConformanceTarget(Protocol):
    """One connector under test. What it does not declare is never asked for."""

    @property
    def tenant(self) -> str:
        """Tenant the system serves."""

    @property
    def vendor(self) -> Vendor:
        """The system behind the connector."""

    def change(self, kind: Kind.ValueType, key: str) -> change_pb2.Change:
        """An upsert that succeeds: everything it refers to exists in the outside system."""

    def refused_change(self, key: str) -> change_pb2.Change | None:
        """A change that the mapping or the vendor refuses because of one field. None when there is no such thing."""

    def credit_question(self) -> connector_service_pb2.CheckCreditRequest:
        """About a customer that exists."""

    def availability_question(self) -> connector_service_pb2.CheckAvailabilityRequest:
        """About products that exist; at least two lines."""

    def price_question(self) -> connector_service_pb2.PriceLinesRequest:
        """About a customer and products that exist; at least two lines."""

    def tax_question(self) -> connector_service_pb2.CalculateTaxRequest:
        """About an order that could be posted."""

    def native_payloads(self) -> Sequence[NativePayload]:
        """One for each native type that Describe names."""
