"""Who calls, and on behalf of what. Open this file to learn what travels with a call besides its request.

Server interceptors set it, client interceptors send it on, logs and events read it. A loop (relay, ingest) sets
it itself, from the row it works on:

    with using(CallContext(tenant=row.tenant, system="mesh", actor="order.relay", …)):
        await stub.ApplyChange(request)
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MESH_ROLE = "mesh"
MESH_SYSTEM = "mesh"


@dataclass(frozen=True, slots=True)
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


@contextmanager
def using(context: CallContext) -> Iterator[CallContext]:
    """Sets the context for the block; tasks started inside inherit it."""
    before = current.set(context)
    try:
        yield context
    finally:
        current.reset(before)


def accepted_id(text: str) -> str:
    """`text` when it may serve as correlation or causation id, else empty."""
    return text if CORRELATION_ID.fullmatch(text) else ""
