"""Which processes take part in which measurement. Open this file to see what runs.

accept     four pairs of gateway and order service (traced at 1 % as in production, not traced, traced wholly, over the
           null store) and the peers' door
complete   a pair whose orders go on to the ERP stub, its relay, and the peers' workers
isolation  a product service in three processes, as in production, of which one reads 100,000 products and one tells the
           order service of each
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import CONNECTOR, Ground
from libs.cli.ports import LOOPBACK

ERP = "erp"
FEED_PRODUCTS = 100_000
PEERS = ("celery", "dramatiq", "dbos", "procrastinate")
PRODUCT_WORKERS = ("product-ingest", "product-relay")
RELAYS = ("relay", "relay-2", "relay-3", "relay-4")
COMPLETE = "complete"
"""Database, order service and prefix of what completes orders."""
LEASE_WHILE_HURRYING = {"ORDERMESH_LEASE_SECONDS": "3600"}
"""The usual minute is over in a quarter of a second where a clock hurries (`hurry.py`), and a try is not."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where orders are sent, and whose CPU counts."""

    process: str
    processes: tuple[str, ...]
    path: str = "/v1/orders"


def add_erp(ground: Ground) -> list[str]:
    """The stub, and what speaks to it for ordermesh."""
    ground.add(ERP, ["benchmarks.erp_stub"])
    own = {"ORDERMESH_BENCH_ERP": erp_url(ground), "ORDERMESH_FEED_PRODUCTS": str(FEED_PRODUCTS)}
    ground.add(CONNECTOR, ["benchmarks.erp_connector"], own)
    return [ERP, CONNECTOR]


def erp_url(ground: Ground) -> str:
    return f"http://{LOOPBACK}:{ground.port(ERP)}"


def add_accepting(ground: Ground, bodies: Path) -> list[str]:
    """Everything orders are sent to."""
    ground.pair("order", "gateway", "services.order", traced(ground, "0.01"))
    ground.pair("untraced-order", "untraced-gateway", "services.order")
    ground.pair("traced-order", "traced-gateway", "services.order", traced(ground, "1"))
    ground.pair("null-order", "null-gateway", "benchmarks.null_order", traced(ground, "0.01"))
    own = {"ORDERMESH_BENCH_BODIES": str(bodies)}
    ground.add("peers", _uvicorn("benchmarks.peers.shop:build", ground.port("peers"), "--factory"), own)
    pairs = [
        f"{kind}{name}" for kind in ("", "untraced-", "traced-", "null-") for name in ("order", "gateway")
    ]
    return [*pairs, "peers"]


def add_one_pair(ground: Ground) -> list[str]:
    """A gateway and an order service, as a production would run them."""
    ground.pair("order", "gateway", "services.order", traced(ground, "0.01"))
    return ["order", "gateway"]


def traced(ground: Ground, share: str) -> Mapping[str, str]:
    """That share of the traces is recorded and sent to a collector that throws them away."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": erp_url(ground), "OTEL_TRACES_SAMPLER_ARG": share}


async def add_completing(ground: Ground, relays: int) -> list[str]:
    """An order service with a database of its own and its relays. The workers are yet to be frozen."""
    own = {**await ground.database(COMPLETE), **traced(ground, "0.01"), **LEASE_WHILE_HURRYING}
    ground.pair("complete-order", "complete-gateway", "benchmarks.erp_order", own)
    topology = {"ORDERMESH_TOPOLOGY_FILE": str(ground.data.root / "complete-order.toml")}
    for name in RELAYS[:relays]:
        ground.add(name, ["benchmarks.erp_order", "relay"], {**own, **topology})
    return ["complete-order", "complete-gateway"]


def add_workers(ground: Ground) -> Sequence[str]:
    """The peers' workers: one process each, 16 jobs at a time."""
    own = {"ORDERMESH_BENCH_ERP": erp_url(ground)}
    celery = (
        "celery -A benchmarks.peers.celery_queue worker --pool threads --concurrency 16 --loglevel warning"
    )
    dramatiq = "dramatiq benchmarks.peers.dramatiq_queue --processes 1 --threads 16"
    commands = {
        "celery": [*celery.split(), "--without-gossip", "--without-mingle", "--without-heartbeat"],
        "dramatiq": dramatiq.split(),
        "dbos": ["benchmarks.peers.dbos_queue"],
        "procrastinate": ["benchmarks.peers.procrastinate_queue"],
    }
    for name in PEERS:
        ground.add(name, commands[name], own, ready=False)
    return PEERS


def add_products(ground: Ground) -> list[str]:
    """A product service that answers calls; besides it, yet to be frozen, what reads the feed and what tells the order
    service. A process for each word, as where the service is deployed."""
    topology = {"ORDERMESH_TOPOLOGY_FILE": str(ground.data.root / "order.toml")}
    own = {**topology, **traced(ground, "0.01")}
    ground.add("product", ["services.product", "serve", "--migrate"], own)
    for name in PRODUCT_WORKERS:
        ground.add(name, ["services.product", name.removeprefix("product-")], own)
    return ["product"]


def _uvicorn(target: str, port: int, *words: str) -> list[str]:
    return ["uvicorn", target, "--port", str(port), *words, "--log-level", "warning", "--no-access-log"]
