"""Hands orders to the peers' queues. Open this file to see what waits for a worker before it is measured."""

from collections.abc import Callable, Mapping
from itertools import cycle, islice

import psycopg
from dbos import DBOSClient
from fastapi import FastAPI

from benchmarks.peers import celery_queue, dramatiq_queue
from benchmarks.peers.dbos_queue import QUEUE, VERSION, WORKFLOW
from benchmarks.peers.job import TABLE, JobSettings
from benchmarks.peers.procrastinate_queue import QUEUE as PROCRASTINATE_QUEUE
from benchmarks.peers.procrastinate_queue import TASK, opened
from libs.common.ids import new_id

PATH = "/waiting"


def add_route(app: FastAPI, told: JobSettings) -> None:
    """`POST /waiting?peer=celery&count=200`: so many orders are stored and handed to the peer's queue; their ids."""
    assert told.bench_bodies is not None
    bodies = cycle(told.bench_bodies.read_bytes().splitlines())
    connection = psycopg.connect(told.database, autocommit=True)
    connection.execute(TABLE)
    client = DBOSClient(system_database_url=told.database.replace("postgresql://", "postgresql+psycopg://"))
    queue = opened(told.database)
    hands: Mapping[str, Callable[[str], object]] = {
        "celery": celery_queue.complete_order.delay,
        "dramatiq": dramatiq_queue.complete_order.send,
        "dbos": lambda order_id: client.enqueue(
            {
                "queue_name": QUEUE,
                "workflow_name": WORKFLOW,
                "workflow_id": order_id,
                "app_version": VERSION,
            },
            order_id,
        ),
        "procrastinate": lambda order_id: queue.configure_task(TASK, queue=PROCRASTINATE_QUEUE).defer(
            order_id=order_id
        ),
    }

    def wait(peer: str, count: int) -> list[str]:
        rows = [(new_id("ord"), peer, "RECEIVED", body) for body in islice(bodies, count)]
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO peer_order (id, peer, state, body) VALUES (%s, %s, %s, %s)", rows)
        for row in rows:
            hands[peer](row[0])
        return [row[0] for row in rows]

    app.post(PATH, status_code=202)(wait)
