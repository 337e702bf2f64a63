"""Celery's worker: `celery -A benchmarks.peers.celery_queue worker`. Open this file to judge how Celery is set up.

Late acknowledgement, so that a killed worker loses nothing; threads, which measure better here than processes.
"""

from celery import Celery

from benchmarks.peers.job import Job, settings

told = settings()
app = Celery("complete", broker=told.redis)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="complete",
    worker_hijack_root_logger=False,
)
_jobs: list[Job] = []


@app.task(name="complete_order")
def complete_order(order_id: str) -> None:
    if not _jobs:
        _jobs.append(Job(told))
    _jobs[0].run(order_id)
