"""dramatiq's worker: `dramatiq benchmarks.peers.dramatiq_queue`. Open this file to judge how dramatiq is set up."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.job import Job, settings

told = settings()
dramatiq.set_broker(RedisBroker(url=told.redis))
_jobs: list[Job] = []


@dramatiq.actor(queue_name="complete_dramatiq")
def complete_order(order_id: str) -> None:
    if not _jobs:
        _jobs.append(Job(told))
    _jobs[0].run(order_id)
