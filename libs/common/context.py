"""Who calls, and on behalf of what. Open this file to learn what travels with a call besides its request.

Server interceptors set it, client interceptors send it on, logs and events read it. A loop (relay, ingest) sets
it itself, from the row it works on:

    with using(CallContext(tenant=row.tenant, system="mesh", actor="order.relay", …)):
        await stub.ApplyChange(request)
"""

import re
from contextvars import ContextVar

from libs.common.value import value

CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MESH_ROLE = "mesh"
MESH_SYSTEM = "mesh"


@value()
class CallContext:
    """One call's surroundings."""

    tenant: str
    """From the verified token and nowhere else. Empty before it is verified."""
    system: str
    """System the caller is: `salesforce`, `netsuite`, `mesh`. Empty for a person."""
    actor: str
    """Subject of the token."""
    roles: frozenset[str]
    """Role names in lower case, for example `support_viewer`."""
    correlation_id: str
    """One value for everything that follows from one request."""
    causation_id: str = ""
    """Event or request that led here. Empty at the edge."""
    traceparent: str = ""
    """W3C trace context. Empty when there is none."""


current: ContextVar[CallContext] = ContextVar("current")
"""Context of the running task."""


def current_context() -> CallContext:
    """Context of the running task. Asking outside of one is a bug."""
    context = current.get(None)
    assert context is not None, "no call context: enter `using(...)` first"
    return context


class Using:
    """A block within which a context is set."""

    __slots__ = ("_before", "_context")

    def __init__(self, context: CallContext) -> None:
        self._context = context

    def __enter__(self) -> CallContext:
        self._before = current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        current.reset(self._before)


def using(context: CallContext) -> Using:
    """Sets the context for the block; tasks started inside inherit it."""
    return Using(context)


def accepted_id(text: str) -> str:
    """`text` when it may serve as correlation or causation id, else empty."""
    return text if CORRELATION_ID.fullmatch(text) else ""
