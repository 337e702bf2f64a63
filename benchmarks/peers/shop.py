"""The door of the peers: one FastAPI application, one route per peer. Open this file to judge what a peer is asked.

It does less than ordermesh: no token is verified, prices and references are not checked, no event, delivery or audit
is written. Sync endpoints run in FastAPI's thread pool; what was accepted is handed to the peer's queue, and no worker
runs meanwhile.
"""

from collections.abc import Callable
from decimal import Decimal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from benchmarks.peers.job import settings


class Body(BaseModel):
    """JSON with names in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Amount(Body):
    currency_code: str
    units: str
    nanos: int = 0

    @property
    def decimal(self) -> Decimal:
        return Decimal(self.units) + Decimal(self.nanos).scaleb(-9)


class Number(Body):
    value: str


class Line(Body):
    line_number: int
    sku: str
    quantity: Number
    unit_code: str
    unit_price: Amount
    tax_code: str


class External(Body):
    system: str
    external_id: str


class Party(Body):
    external: External


class NewOrder(Body):
    sold_to: Party
    currency_code: str
    purchase_order_number: str
    lines: list[Line]
    total: Amount


class Accepted(Body):
    order_id: str
    status: str


Open = Callable[[FastAPI, str, str], None]
"""A peer adds its route; given the databases' URL for psycopg and Redis's."""


def build() -> FastAPI:
    """The application, as uvicorn's `--factory` takes it."""
    from benchmarks.peers import dbos_queue, procrastinate_queue, typical, waiting  # noqa: PLC0415  (they import this)

    told = settings()
    url = told.database.replace("postgresql://", "postgresql+psycopg://")
    app = FastAPI()
    peers: list[Open] = [typical.add_route, dbos_queue.add_route, procrastinate_queue.add_route]
    for add_route in peers:
        add_route(app, url, told.redis)
    waiting.add_route(app, told)
    return app
