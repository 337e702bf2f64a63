"""procrastinate: its queue at the door, its worker behind. Open this file to judge how procrastinate is set up."""

import asyncio
from typing import Annotated

import procrastinate
from fastapi import FastAPI, Header
from procrastinate.schema import SchemaManager
from psycopg import errors
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from benchmarks.peers.job import IN_FLIGHT, Job, settings
from benchmarks.peers.orm import BASE
from benchmarks.peers.shop import Accepted, NewOrder
from benchmarks.peers.typical import POOL, store

PATH = "/procrastinate/orders"
QUEUE, TASK = "complete", "complete_order"


def add_route(app: FastAPI, database: str, redis: str) -> None:
    """One transaction per order, then `defer`."""
    engine = create_engine(database, pool_size=POOL, max_overflow=0)
    BASE.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    queue = opened(database.replace("+psycopg", ""))

    def submit(order: NewOrder, idempotency_key: Annotated[str, Header()]) -> Accepted:
        with sessions() as session:
            order_id, is_new = store(session, order, idempotency_key)
            session.commit()
        if is_new:
            queue.configure_task(TASK, queue="accepted").defer(order_id=order_id)
        return Accepted(order_id=order_id, status="accepted")

    app.post(PATH, status_code=202)(submit)


def opened(database: str) -> procrastinate.App:
    """An application with its tables made."""
    connector = procrastinate.SyncPsycopgConnector(conninfo=database, min_size=1, max_size=POOL)
    queue = procrastinate.App(connector=connector)
    queue.open()
    try:
        SchemaManager(connector=connector).apply_schema()
    except procrastinate.exceptions.ConnectorException as error:
        if not isinstance(error.__cause__, errors.DuplicateObject | errors.DuplicateTable):
            raise
    return queue


def main() -> None:
    """The worker: `python -m benchmarks.peers.procrastinate_queue`."""
    told = settings()
    opened(told.database).close()
    job = Job(told)
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=told.database, min_size=2, max_size=IN_FLIGHT)
    )

    @app.task(name=TASK, queue=QUEUE)
    def complete_order(order_id: str) -> None:
        job.run(order_id)

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(queues=[QUEUE], concurrency=IN_FLIGHT, install_signal_handlers=False)

    asyncio.run(work())


if __name__ == "__main__":
    main()
