"""Any port as a gRPC process. Open this file to learn what surrounds a connector when it runs.

    # connectors/<system>/__main__.py
    serve_connector(app.build, config.Settings)

The process reads its settings, answers `ConnectorService` and health, admits the tenants that the topology names for
its system, and drains on SIGTERM. What the port raises becomes a status on the way out (`libs/common/rpc/door.py`).
"""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import uvloop
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc

from connectors.kit.port import Connector
from connectors.kit.settings import ConnectorSettings
from libs.common.config import load_settings
from libs.common.context import current_context
from libs.common.durable.crash import arm
from libs.common.errors import OrdermeshError
from libs.common.logging import start_logging
from libs.common.metrics.serving import serving_metrics
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.server import GrpcServer, stop_on_signals
from libs.common.telemetry import configure_telemetry
from libs.common.topology import Topology

SettingsT = TypeVar("SettingsT", bound=ConnectorSettings)
Admit = Callable[[str], None]
"""Tenant to nothing, or Refused SYSTEM_UNKNOWN."""


class ConnectorServicer(connector_service_pb2_grpc.ConnectorServiceServicer):
    """The port, method by method. admit: asked with the caller's tenant before the vendor hears of anything."""

    def __init__(self, connector: Connector, admit: Admit) -> None:
        self._connector = connector
        self._admit = admit

    async def Describe(
        self, request: connector_service_pb2.DescribeRequest, context: ServicerContext
    ) -> connector_service_pb2.DescribeResponse:
        return await self._connector.describe()

    async def ApplyChange(
        self, request: connector_service_pb2.ApplyChangeRequest, context: ServicerContext
    ) -> connector_service_pb2.ApplyChangeResponse:
        self._check_tenant()
        try:
            receipt = await self._connector.apply_change(request.change, request.pinned_mapping)
        except OrdermeshError as error:
            mapping = await self._mapping_of(request.change, request.pinned_mapping)
            raise error.with_metadata(mapping=mapping) from error
        return connector_service_pb2.ApplyChangeResponse(receipt=receipt)

    async def _mapping_of(self, change: change_pb2.Change, pinned_mapping: str) -> str:
        """The mapping that ran or would have run, so that a failed attempt tells it too."""
        described = await self._connector.describe()
        current = [
            kind.mappings[-1] for kind in described.kinds if kind.kind == change.kind and kind.mappings
        ]
        return pinned_mapping or (current[0] if current else "")

    async def PreviewChange(
        self, request: connector_service_pb2.PreviewChangeRequest, context: ServicerContext
    ) -> connector_service_pb2.PreviewChangeResponse:
        self._check_tenant()
        return await self._connector.preview_change(request.change, request.pinned_mapping)

    async def FindByKey(
        self, request: connector_service_pb2.FindByKeyRequest, context: ServicerContext
    ) -> connector_service_pb2.FindByKeyResponse:
        self._check_tenant()
        receipt = await self._connector.find_by_key(request.kind, request.key)
        return connector_service_pb2.FindByKeyResponse(receipt=receipt)

    async def ReadChanges(
        self, request: connector_service_pb2.ReadChangesRequest, context: ServicerContext
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        self._check_tenant()
        async for item in self._connector.read_changes(request.kind, request.cursor, request.limit):
            yield item

    async def Translate(
        self, request: connector_service_pb2.TranslateRequest, context: ServicerContext
    ) -> connector_service_pb2.TranslateResponse:
        self._check_tenant()
        return await self._connector.translate(request.native_type, request.content_type, request.payload)

    async def CheckCredit(
        self, request: connector_service_pb2.CheckCreditRequest, context: ServicerContext
    ) -> connector_service_pb2.CheckCreditResponse:
        self._check_tenant()
        return await self._connector.check_credit(request)

    async def CheckAvailability(
        self, request: connector_service_pb2.CheckAvailabilityRequest, context: ServicerContext
    ) -> connector_service_pb2.CheckAvailabilityResponse:
        self._check_tenant()
        return await self._connector.check_availability(request)

    async def PriceLines(
        self, request: connector_service_pb2.PriceLinesRequest, context: ServicerContext
    ) -> connector_service_pb2.PriceLinesResponse:
        self._check_tenant()
        return await self._connector.price_lines(request)

    async def CalculateTax(
        self, request: connector_service_pb2.CalculateTaxRequest, context: ServicerContext
    ) -> connector_service_pb2.CalculateTaxResponse:
        self._check_tenant()
        return await self._connector.calculate_tax(request)

    async def CheckOrder(
        self, request: connector_service_pb2.CheckOrderRequest, context: ServicerContext
    ) -> connector_service_pb2.CheckOrderResponse:
        self._check_tenant()
        return await self._connector.check_order(request)

    def Converse(
        self,
        request_iterator: AsyncIterator[connector_service_pb2.ConverseRequest],
        context: ServicerContext,
    ) -> AsyncIterator[connector_service_pb2.ConverseResponse]:
        raise AssertionError("the door holds conversations; each call of one comes in by its own method")

    def _check_tenant(self) -> None:
        self._admit(current_context().tenant)


def serve_connector(build: Callable[[SettingsT], Connector], settings_class: type[SettingsT]) -> None:
    """Runs the process until SIGTERM. build: composition root; it runs inside the event loop and calls nobody."""
    settings = load_settings(settings_class)
    if settings.in_development:
        arm(settings.crash_at, settings.crash_file)
    process_name = build.__module__.removesuffix(".app")
    start_logging(settings, process_name)
    configure_telemetry(settings, process_name)
    uvloop.run(_serve(build, settings, process_name))


async def _serve(build: Callable[[SettingsT], Connector], settings: SettingsT, process_name: str) -> None:
    stop = stop_on_signals()
    topology = Topology.load(settings.topology_file)
    connector = build(settings)
    try:
        system = (await connector.describe()).system
        servicer = ConnectorServicer(connector, admission(topology, system))
        server = GrpcServer(settings, process_name)
        server.add(connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server, servicer)
        async with serving_metrics(settings, process_name):
            await server.serve_until_stopped(stop)
    finally:
        await connector.close()


def admission(topology: Topology, system: str) -> Admit:
    """Refuses tenants that the topology does not name for the system, with SYSTEM_UNKNOWN."""

    def admit(tenant: str) -> None:
        topology.system(system, tenant)

    return admit
