"""DBOS Transact: its queue at the door, its worker behind. Open this file to judge how DBOS is set up.

At the door order and workflow are stored in one transaction, the quickest way DBOS has. The worker runs the same steps
as the others, each as a DBOS step: that is what DBOS is for.
"""

import threading
from typing import Annotated

from dbos import DBOS, DBOSClient, run_dbos_database_migrations
from fastapi import FastAPI, Header
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from benchmarks.peers.job import IN_FLIGHT, STATES, Job, settings
from benchmarks.peers.orm import BASE
from benchmarks.peers.shop import Accepted, NewOrder
from benchmarks.peers.typical import POOL, store

PATH = "/dbos/orders"
QUEUE, WORKFLOW, VERSION = "complete", "complete_order", "1"
POLL_SECONDS = 0.05


def add_route(app: FastAPI, database: str, redis: str) -> None:
    """Order and workflow in one transaction."""
    run_dbos_database_migrations(database)
    engine = create_engine(database, pool_size=POOL, max_overflow=0)
    BASE.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    client = DBOSClient(system_database_engine=engine)

    def submit(order: NewOrder, idempotency_key: Annotated[str, Header()]) -> Accepted:
        with sessions() as session:
            order_id, is_new = store(session, order, idempotency_key)
            if is_new:
                session.flush()
                client.enqueue_in_transaction(
                    session,
                    {
                        "queue_name": QUEUE,
                        "workflow_name": WORKFLOW,
                        "workflow_id": order_id,
                        "app_version": VERSION,
                    },
                    order_id,
                )
            session.commit()
        return Accepted(order_id=order_id, status="accepted")

    app.post(PATH, status_code=202)(submit)


def main() -> None:
    """The worker: `python -m benchmarks.peers.dbos_queue`."""
    told = settings()
    DBOS(
        config={
            "name": "complete",
            "system_database_url": told.database.replace("postgresql://", "postgresql+psycopg://"),
            "application_version": VERSION,
            "log_level": "WARNING",
            "sys_db_pool_size": IN_FLIGHT + 4,
        }
    )
    job = Job(told)

    @DBOS.step(name="read")
    def read(order_id: str) -> tuple[str, bytes]:
        return job.read(order_id)

    @DBOS.step(name="step")
    def step(order_id: str, place: int, body: bytes) -> None:
        job.step(order_id, place, body)

    @DBOS.workflow(name=WORKFLOW)
    def complete_order(order_id: str) -> None:
        state, body = read(order_id)
        for place in range(STATES.index(state), len(STATES) - 1):
            step(order_id, place, body)

    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=IN_FLIGHT, polling_interval_sec=POLL_SECONDS)
    threading.Event().wait()


if __name__ == "__main__":
    main()
