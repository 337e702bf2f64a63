"""Whatever a servicer raises becomes a status here, once. Expected errors keep their reason; of a bug the caller learns
the correlation id and nothing else, the stack is in the log under it.
"""

from typing import NoReturn

import grpc
import structlog

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.metrics import RPC_REFUSED
from libs.common.reach import Reach, after
from libs.common.rpc.call import Call
from libs.common.rpc.contract import Method
from libs.common.rpc.interceptors.context import CORRELATION_KEY
from libs.common.rpc.status import CODES, DETAILS_KEY, error_of_rpc, status_of

LOG = structlog.get_logger(__name__)
NO_RETRY = ("grpc-retry-pushback-ms", "-1")
"""Tells gRPC's client not to repeat the call on its own: what we answered is meant, and may name a time to wait."""

NOT_CONNECTED = frozenset(
    {
        "asyncpg.exceptions.CannotConnectNowError",
        "asyncpg.exceptions.TooManyConnectionsError",
        "builtins.ConnectionRefusedError",
        "sqlalchemy.exc.TimeoutError",
    }
)
"""The store was never asked. By name, because connectors do not have the database's packages."""
CONNECTION_LOST = frozenset(
    {
        "asyncpg.exceptions.AdminShutdownError",
        "asyncpg.exceptions.CrashShutdownError",
        "asyncpg.exceptions.PostgresConnectionError",
        "asyncpg.exceptions._base.InterfaceError",
        "builtins.ConnectionError",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.OperationalError",
    }
)
"""The store was asked and the answer is missing."""


def as_ours(error: Exception, method: Method) -> OrdermeshError:
    """The error the caller shall see. A bug becomes INTERNAL; it may have struck after the effect."""
    if isinstance(error, OrdermeshError):
        return error
    if isinstance(error, grpc.aio.AioRpcError):
        return error_of_rpc(error, None)
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if names & NOT_CONNECTED:
        return NotDone("STORE_UNAVAILABLE")
    if names & CONNECTION_LOST:
        lost = "the database's answer was lost"
        return after(Reach.SENT, effect=method.effect, detail=lost, not_done="STORE_UNAVAILABLE")
    kind = OutcomeUnknown if method.effect else Refused
    return kind("INTERNAL", "a fault of ours; its details are in the log under the correlation id")


def told_as(error: Exception, method: Method) -> OrdermeshError:
    """`as_ours`, with a line in the log: whoever gets the answer may ask what lies behind it."""
    ours = as_ours(error, method)
    RPC_REFUSED.at(method.path[1:], ours.reason).inc()
    if ours.reason == "INTERNAL":
        LOG.error("call crashed", method=method.path, error=error, exc_info=error)
    elif ours.policy.failure_class == "technical":
        LOG.warning(
            "call failed", method=method.path, error=ours, cause=type(error.__cause__ or error).__name__
        )
    else:
        LOG.info("call refused", method=method.path, error=ours)
    return ours


async def answer_with(error: Exception, call: Call) -> NoReturn:
    """Ends the call with the error's status; raises gRPC's AbortError."""
    status = status_of(told_as(error, call.method))
    call.timing.code = CODES[status.code].name
    trailing = (
        (CORRELATION_KEY, call.context.correlation_id),
        NO_RETRY,
        (DETAILS_KEY, status.SerializeToString()),
    )
    await call.servicer_context.abort(CODES[status.code], status.message, trailing)
