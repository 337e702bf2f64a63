"""Whether taking old history out disturbs anybody. Open this file with `libs/common/durable/retention.py`.

What is forgotten are the copies that `growth.py` made, as if they were old; what is accepted meanwhile stays.
"""

import asyncio
from datetime import timedelta

from benchmarks.accept import PRODUCT, Accepting
from benchmarks.isolation import RATE
from benchmarks.sample import Found
from libs.common.clock import SystemClock
from libs.common.durable import sweep
from libs.common.durable.retention import Retention

DAY = timedelta(days=1)


async def measure(ways: Accepting, seconds: float) -> Found:
    """p99 of accepting while deliveries, events and audit are taken out step by step, over p99 alone."""
    alone = await ways.accept(PRODUCT, seconds, RATE)
    store = ways.ground.store("order")
    stop = asyncio.Event()
    forgetting = asyncio.create_task(
        sweep.forget_history(store, SystemClock().now() + 2 * DAY, Retention(DAY, DAY), stop)
    )
    beside = await ways.accept(PRODUCT, seconds, RATE)
    stop.set()
    rows = sum((await forgetting).values())
    await store.close()
    return Found(
        ratios={"forgetting_p99": beside.p99_ms / alone.p99_ms},
        figures={
            f"Taking old history out, beside {RATE:g} orders/s": {
                "order accept": {
                    "p99 ms alone": alone.p99_ms,
                    "p99 ms beside": beside.p99_ms,
                    "rows taken out per second": rows / seconds,
                }
            }
        },
    )
