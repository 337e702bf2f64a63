"""Deadlines. No call runs without one, and calls it makes in turn end with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import cast

from libs.common.errors import NotDone
from libs.common.reach import Reach, kind_after
from libs.common.rpc.call import Call

ends_at: ContextVar[float] = ContextVar("ends_at")
"""When the running call ends, on the event loop's clock. Not set outside of calls."""


def keep_deadline(call: Call) -> None:
    """Takes the caller's deadline, or the method's own when there is none. NotDone when it has passed."""
    remaining = cast("float | None", call.servicer_context.time_remaining())
    if remaining is None:
        call.cancel_after_seconds = remaining = call.method.timeout_seconds
    elif remaining <= 0:
        raise NotDone("DEADLINE_EXCEEDED", "the deadline had passed before the call began")
    ends_at.set(asyncio.get_running_loop().time() + remaining)


def seconds_for(timeout_seconds: float | None) -> float | None:
    """Deadline of a call made now: what is asked for, cut to what the running call has left. None leaves it to gRPC."""
    end = ends_at.get(None)
    if end is None:
        return timeout_seconds
    left = max(0.0, end - asyncio.get_running_loop().time())
    return left if timeout_seconds is None else min(left, timeout_seconds)


@asynccontextmanager
async def within(call: Call) -> AsyncIterator[None]:
    """Cancels what runs in the block when the method's own deadline has passed; gRPC does so for a caller's.

    Perhaps applied then, unless the method has no effects.
    """
    limit = asyncio.timeout(call.cancel_after_seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        kind = kind_after(Reach.SENT, effect=call.method.effect)
        raise kind("DEADLINE_EXCEEDED", "the answer was not ready in time") from error
