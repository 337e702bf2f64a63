"""Both outside systems behind the connectors' own kit. Open this file to see how ordermesh meets the stub.

`python -m benchmarks.erp_connector`. The ERP's four questions and writes are one call to the stub each; the CRM takes
everything at once. The product feed is drawn, not read: FEED_PRODUCTS products, for the measurement of isolation.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import uvloop
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2, connector_service_pb2_grpc
from ordermesh.product.v1 import product_pb2

from connectors.kit.http import Answer, Call, HttpLimits, VendorHttp
from connectors.kit.port import Connector, Kind
from connectors.kit.servicer import ConnectorServicer
from libs.common.clock import SystemClock
from libs.common.config import ProcessSettings, load_settings
from libs.common.errors import Refused
from libs.common.logging import start_logging
from libs.common.rpc.server import GrpcServer, stop_on_signals
from libs.common.telemetry import configure_telemetry

SYSTEM = "netsuite"


class Settings(ProcessSettings):
    """What this process is told."""

    bench_erp: str = ""
    in_flight: int = 16
    feed_products: int = 0


class StubErp(Connector):
    """The port over the stub."""

    def __init__(self, settings: Settings) -> None:
        limits = HttpLimits(concurrency_max=settings.in_flight)
        self._http = VendorHttp(settings.bench_erp, None, limits=limits)
        self._products = settings.feed_products
        self._clock = SystemClock()

    async def describe(self) -> connector_service_pb2.DescribeResponse:
        return connector_service_pb2.DescribeResponse(system=SYSTEM, role="erp")

    async def apply_change(self, change: change_pb2.Change, pinned_mapping: str) -> change_pb2.Receipt:
        if change.kind != change_pb2.KIND_ORDER:
            return change_pb2.Receipt(verdict="nothing to tell")
        answer = await self._ask("/orders", change.SerializeToString())
        number = answer.content.decode()
        return change_pb2.Receipt(
            external_id=number, number=number, verdict="201 created", exchange=answer.exchange
        )

    async def find_by_key(self, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
        return None

    async def read_changes(
        self, kind: Kind.ValueType, cursor: bytes, limit: int
    ) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
        start = int(cursor or b"0")
        if kind != change_pb2.KIND_PRODUCT or start >= self._products:
            return
        for number in range(start, min(start + limit, self._products)):
            yield connector_service_pb2.ReadChangesResponse(
                change=self._product(number), cursor=b"%d" % (number + 1)
            )

    def _product(self, number: int) -> change_pb2.ExternalChange:
        change = change_pb2.ExternalChange(
            kind=change_pb2.KIND_PRODUCT,
            ref=external_ref_pb2.ExternalRef(system=SYSTEM, external_id=f"item-{number:06d}"),
            version="1",
            mapping="bench@1",
            product=product_pb2.Product(
                sku=f"FEED-{number:06d}",
                name=f"Article {number}",
                unit_code="EA",
                state=product_pb2.PRODUCT_STATE_ACTIVE,
            ),
        )
        change.changed_time.FromDatetime(self._clock.now() - timedelta(days=1))
        return change

    async def check_credit(
        self, request: connector_service_pb2.CheckCreditRequest
    ) -> connector_service_pb2.CheckCreditResponse:
        await self._ask("/credit", request.SerializeToString())
        return connector_service_pb2.CheckCreditResponse(verdict=connector_service_pb2.CREDIT_VERDICT_COVERED)

    async def check_availability(
        self, request: connector_service_pb2.CheckAvailabilityRequest
    ) -> connector_service_pb2.CheckAvailabilityResponse:
        await self._ask("/availability", request.SerializeToString())
        return connector_service_pb2.CheckAvailabilityResponse()

    async def calculate_tax(
        self, request: connector_service_pb2.CalculateTaxRequest
    ) -> connector_service_pb2.CalculateTaxResponse:
        await self._ask("/tax", request.SerializeToString())
        answer = connector_service_pb2.CalculateTaxResponse()
        answer.tax_total.currency_code = request.order.currency_code
        return answer

    async def _ask(self, path: str, body: bytes) -> Answer:
        answer = await self._http.send(Call("POST", path, effect=True, content=body))
        if answer.status != 201:
            raise Refused("ERP_REFUSED", f"status {answer.status}")
        return answer

    async def close(self) -> None:
        await self._http.close()


async def main() -> None:
    settings = load_settings(Settings)
    start_logging(settings, "connector")
    configure_telemetry(settings, "connector")
    connector = StubErp(settings)
    server = GrpcServer(settings, "connector")
    server.add(
        connector_service_pb2_grpc.add_ConnectorServiceServicer_to_server,
        ConnectorServicer(connector, lambda tenant: None),
    )
    await server.serve_until_stopped(stop_on_signals())
    await asyncio.shield(connector.close())


if __name__ == "__main__":
    uvloop.run(main())
