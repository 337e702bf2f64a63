"""The typical stack: FastAPI, SQLAlchemy's ORM, psycopg, Celery. Open this file to judge whether it is done justice."""

import hashlib
from decimal import Decimal
from typing import Annotated

from celery import Celery
from fastapi import FastAPI, Header, HTTPException
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.peers.orm import BASE, IdempotencyRow, LineRow, OrderRow
from benchmarks.peers.shop import Accepted, NewOrder
from libs.common.ids import new_id

POOL = 20
PATH = "/typical/orders"


def add_route(app: FastAPI, database: str, redis: str) -> None:
    """One transaction per order, then Celery's `.delay()`."""
    engine = create_engine(database, pool_size=POOL, max_overflow=0)
    BASE.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    queue = Celery("typical", broker=redis)
    queue.conf.task_ignore_result = True
    process_order = queue.task(name="process_order")(_process_order)

    def submit(order: NewOrder, idempotency_key: Annotated[str, Header()]) -> Accepted:
        with sessions() as session:
            order_id, is_new = store(session, order, idempotency_key)
            session.commit()
        if is_new:
            process_order.delay(order_id)
        return Accepted(order_id=order_id, status="accepted")

    app.post(PATH, status_code=202)(submit)


def store(session: Session, order: NewOrder, key: str) -> tuple[str, bool]:
    """Adds the order under its key; the id, and whether it is new. The caller commits."""
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
        total=order.total.decimal,
        state="received",
        lines=[
            LineRow(
                number=line.line_number,
                sku=line.sku,
                quantity=Decimal(line.quantity.value),
                unit=line.unit_code,
                price=line.unit_price.decimal,
                tax_code=line.tax_code,
            )
            for line in order.lines
        ],
    )
    order_id = row.id
    session.add_all([row, IdempotencyRow(key=key, fingerprint=fingerprint, order_id=row.id)])
    return order_id, True


def _process_order(order_id: str) -> None:
    """Would post the order to the ERP."""
