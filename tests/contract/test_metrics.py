"""Metrics are told to whoever may ask, count what happened, and name nobody."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from ordermesh.connector.v1 import connector_service_pb2_grpc
from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics

from libs.cli.certs import files_of, make_certificates
from libs.common.config import Environment, ProcessSettings
from libs.common.context import using
from libs.common.errors import NotDone, Refused
from libs.common.metrics import serving
from libs.common.metrics.serving import serving_metrics
from libs.common.rpc.channel import MeshChannel
from libs.common.testing.rpc import OneMachine
from tests.contract.test_rpc.scripted import (
    ORDER,
    REGISTER,
    SERVICE,
    Describe,
    FindByKey,
    ReadChanges,
    Scripted,
    refusal,
)

if TYPE_CHECKING:
    from ordermesh.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub as Stub

Told = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
SERVER = "rpc_server_call_duration_seconds_count"
CLIENT = "rpc_client_call_duration_seconds_count"
REFUSED = "ordermesh_calls_refused_total"
HERE = "127.0.0.1:0"


@pytest.fixture(autouse=True)
def reading_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question is answered with what is true then."""
    monkeypatch.setattr(serving, "FRESH_SECONDS", 0.0)


def told_in(text: str) -> Told:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def families_in(text: str) -> list[Metric]:
    """Raises ValueError for what is not OpenMetrics."""
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


class Asking:
    """Whoever scrapes one port."""

    def __init__(self, port: int) -> None:
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)

    async def told(self) -> Told:
        answer = await self.http.get("/metrics")
        assert answer.status_code == 200
        return told_in(answer.text)


@asynccontextmanager
async def asking(*readings: serving.Reading) -> AsyncIterator[Asking]:
    settings = ProcessSettings(metrics_listen=HERE)
    async with serving_metrics(settings, "test", *readings) as port:
        asking = Asking(port)
        async with asking.http:
            yield asking


def more(before: Told, after: Told, name: str, **labels: str) -> float:
    """How much was counted in between."""
    key = (name, frozenset(labels.items()))
    return after.get(key, 0.0) - before.get(key, 0.0)


@pytest.fixture
def mesh(tmp_path: Path) -> OneMachine:
    return OneMachine(tmp_path)


@pytest.fixture
def servicer() -> Scripted:
    return Scripted()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


@pytest.fixture
async def channel(mesh: OneMachine, servicer: Scripted) -> AsyncIterator[MeshChannel]:
    async with mesh.serving((REGISTER, servicer)) as address, mesh.channel(address) as channel:
        with using(mesh.context("acme")):
            yield channel
        servicer.released.set()


@pytest.fixture
def stub(channel: MeshChannel) -> "Stub":
    return connector_service_pb2_grpc.ConnectorServiceStub(channel)


async def test_a_call_is_counted_at_both_ends_by_method_and_status(stub: "Stub") -> None:
    async with asking() as prometheus:
        before = await prometheus.told()
        await stub.Describe(Describe())
        [_ async for _ in stub.ReadChanges(ReadChanges(kind=ORDER, limit=5))]
        after = await prometheus.told()
    for name in (SERVER, CLIENT):
        for method in ("Describe", "ReadChanges"):
            labels = {"rpc_method": f"{SERVICE[1:]}/{method}", "rpc_response_status_code": "OK"}
            assert more(before, after, name, **labels) == 1, (name, method)


async def test_a_refusal_is_counted_under_its_status_and_its_reason(stub: "Stub", servicer: Scripted) -> None:
    servicer.errors["4711-secret"] = Refused("NOT_FOUND")
    async with asking() as prometheus:
        before = await prometheus.told()
        await refusal(stub.FindByKey(FindByKey(kind=ORDER, key="4711-secret")))
        with pytest.raises(NotDone):
            [_ async for _ in stub.ReadChanges(ReadChanges(kind=ORDER, cursor=b"throttled", limit=5))]
        found, read = f"{SERVICE[1:]}/FindByKey", f"{SERVICE[1:]}/ReadChanges"
        ended = {"rpc_method": read, "rpc_response_status_code": "UNAVAILABLE"}
        while more(before, after := await prometheus.told(), SERVER, **ended) < 1:
            pass  # the caller hears of a status a moment before the server has done with the call
    for name in (SERVER, CLIENT):
        assert more(before, after, name, rpc_method=found, rpc_response_status_code="NOT_FOUND") == 1
        assert more(before, after, name, rpc_method=read, rpc_response_status_code="UNAVAILABLE") == 1
    assert more(before, after, REFUSED, rpc_method=found, reason="NOT_FOUND") == 1
    assert "4711-secret" not in {value for _, labels in after for _, value in labels}


async def test_a_call_whose_caller_has_gone_is_counted_as_cancelled(stub: "Stub", servicer: Scripted) -> None:
    labels = {"rpc_method": f"{SERVICE[1:]}/FindByKey", "rpc_response_status_code": "CANCELLED"}
    async with asking() as prometheus:
        before = await prometheus.told()
        call = asyncio.ensure_future(stub.FindByKey(FindByKey(kind=ORDER, key="wait")))
        await servicer.entered.wait()
        call.cancel()
        await asyncio.wait({call})
        await servicer.cancelled.wait()
        while more(before, after := await prometheus.told(), SERVER, **labels) < 1:
            pass  # the handler ends soon after its servicer was cancelled
    assert more(before, after, CLIENT, **labels) == 1


async def test_who_asks_for_openmetrics_gets_it() -> None:
    async with asking() as prometheus:
        accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        answer = await prometheus.http.get("/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in families_in(answer.text)}
    assert "rpc_server_call_duration_seconds" in names and "process_cpu_seconds" in names


async def test_metrics_and_nothing_else_are_served_there() -> None:
    async with asking() as prometheus:
        assert (await prometheus.http.get("/")).status_code == 404
        assert (await prometheus.http.post("/metrics")).status_code == 405
        head = await prometheus.http.head("/metrics")
        assert head.status_code == 200 and not head.content


async def test_a_reading_that_fails_leaves_the_rest_and_is_counted() -> None:
    read: list[str] = []

    async def fails() -> None:
        raise NotDone("STORE_UNAVAILABLE")

    async def works() -> None:
        read.append("read")

    async with asking(fails, works) as prometheus:
        before = await prometheus.told()
        after = await prometheus.told()
    assert more(before, after, "ordermesh_metrics_readings_failed_total") == 1
    assert read == ["read", "read"]


async def test_many_who_ask_at_once_share_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "FRESH_SECONDS", 3600.0)
    read: list[str] = []

    async def works() -> None:
        read.append("read")

    async with asking(works) as prometheus:
        await asyncio.gather(*(prometheus.told() for _ in range(5)))
    assert read == ["read"]


async def test_nothing_listens_where_no_port_is_set() -> None:
    async with serving_metrics(ProcessSettings(), "test") as port:
        assert port == 0


async def test_with_certificates_only_who_shows_one_is_told(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["order", "prometheus"])
    files = files_of(tmp_path, "order")
    settings = ProcessSettings(
        environment=Environment.PRODUCTION,
        metrics_listen=HERE,
        tls_certificate_file=files.certificate,
        tls_key_file=files.key,
        tls_ca_file=files.authorities,
    )
    stranger = ssl.create_default_context(cafile=str(files.authorities))
    known = ssl.create_default_context(cafile=str(files.authorities))
    shown = files_of(tmp_path, "prometheus")
    known.load_cert_chain(shown.certificate, shown.key)
    async with serving_metrics(settings, "order-relay") as port:
        address = f"https://localhost:{port}/metrics"
        async with httpx.AsyncClient(verify=known, trust_env=False, timeout=30) as http:
            assert (await http.get(address)).status_code == 200
        async with httpx.AsyncClient(verify=stranger, trust_env=False, timeout=30) as http:
            with pytest.raises(httpx.TransportError):
                await http.get(address)
