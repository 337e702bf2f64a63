"""Deadlines. No call runs without one, and calls it makes in turn end with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from typing import cast

from libs.common.errors import NotDone
from libs.common.reach import Reach, kind_after
from libs.common.rpc.call import Call
from libs.common.rpc.contract import Method

ends_at: ContextVar[float] = ContextVar("ends_at")
"""When the running call ends, on the event loop's clock. Not set outside of calls."""


def keep_deadline(call: Call) -> None:
    """Takes the caller's deadline, or the method's own when there is none. NotDone when it has passed."""
    remaining = cast("float | None", call.servicer_context.time_remaining())
    if remaining is None:
        call.cancel_after_seconds = remaining = call.method.timeout_seconds
    elif remaining <= 0:
        raise NotDone("DEADLINE_EXCEEDED", "the deadline had passed before the call began")
    end_in(remaining)


def end_in(seconds: float) -> "Token[float]":
    """The running call ends then, and with it what it calls."""
    return ends_at.set(asyncio.get_running_loop().time() + seconds)


@contextmanager
def ending_in(seconds: float) -> Iterator[None]:
    """What is called in the block ends by then."""
    token = end_in(seconds)
    try:
        yield
    finally:
        ends_at.reset(token)


def seconds_for(timeout_seconds: float | None) -> float | None:
    """Deadline of a call made now: what is asked for, cut to what the running call has left. None leaves it to gRPC."""
    end = ends_at.get(None)
    if end is None:
        return timeout_seconds
    left = max(0.0, end - asyncio.get_running_loop().time())
    return left if timeout_seconds is None else min(left, timeout_seconds)


@asynccontextmanager
async def within(seconds: float | None, method: Method) -> AsyncIterator[None]:
    """Cancels what runs in the block after so long, where gRPC does not end the call of the method by itself.

    Perhaps applied then, unless the method has no effects.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        kind = kind_after(Reach.SENT, effect=method.effect)
        raise kind("DEADLINE_EXCEEDED", "the answer was not ready in time") from error
