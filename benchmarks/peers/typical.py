"""The typical stack: FastAPI, SQLAlchemy's ORM, psycopg, Celery. Open this file to judge whether it is treated fairly.

It does less than ordermesh: no token is verified, prices and references are not checked, no event, delivery or audit
is written. A sync endpoint runs in FastAPI's thread pool; the task is handed to Celery after the commit, and no worker
runs meanwhile.
"""

import hashlib
from decimal import Decimal
from typing import Annotated

from celery import Celery
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.peers.orm import BASE, IdempotencyRow, LineRow, OrderRow
from libs.common.config import ProcessSettings, load_settings
from libs.common.ids import new_id

POOL = 20


class Body(BaseModel):
    """JSON with names in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Amount(Body):
    currency_code: str
    units: str
    nanos: int = 0


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


def build() -> FastAPI:
    """The application, as uvicorn's `--factory` takes it."""
    settings = load_settings(ProcessSettings)
    assert settings.database_url is not None
    assert settings.redis_url is not None
    url = settings.database_url.get_secret_value().replace("+asyncpg", "+psycopg")
    engine = create_engine(url, pool_size=POOL, max_overflow=0)
    BASE.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    queue = Celery("typical", broker=settings.redis_url.get_secret_value())
    queue.conf.task_ignore_result = True
    process_order = queue.task(name="process_order")(_process_order)
    app = FastAPI()

    def submit(order: NewOrder, idempotency_key: Annotated[str, Header()]) -> Accepted:
        with sessions() as session:
            order_id, is_new = _store(session, order, idempotency_key)
        if is_new:
            process_order.delay(order_id)
        return Accepted(order_id=order_id, status="accepted")

    app.post("/v1/orders", status_code=202)(submit)
    return app


def _store(session: Session, order: NewOrder, key: str) -> tuple[str, bool]:
    fingerprint = hashlib.sha256(order.model_dump_json().encode()).hexdigest()
    known = session.get(IdempotencyRow, key)
    if known is not None:
        if known.fingerprint != fingerprint:
            raise HTTPException(409, "the key was used for another order")
        return known.order_id, False
    row = OrderRow(
        id=new_id("ord"),
        customer=order.sold_to.external.external_id,
        purchase_order=order.purchase_order_number,
        currency=order.currency_code,
        total=_decimal(order.total),
        state="received",
        lines=[
            LineRow(
                number=line.line_number,
                sku=line.sku,
                quantity=Decimal(line.quantity.value),
                unit=line.unit_code,
                price=_decimal(line.unit_price),
                tax_code=line.tax_code,
            )
            for line in order.lines
        ],
    )
    session.add_all([row, IdempotencyRow(key=key, fingerprint=fingerprint, order_id=row.id)])
    order_id = row.id
    session.commit()
    return order_id, True


def _decimal(amount: Amount) -> Decimal:
    return Decimal(amount.units) + Decimal(amount.nanos).scaleb(-9)


def _process_order(order_id: str) -> None:
    """Would post the order to the ERP."""
