"""Tells a caller that an answer was given before. Open this file to see where `Idempotent-Replayed` comes from."""

from contextvars import ContextVar

from libs.common.context import current_context
from libs.common.rpc.call import ServicerContext
from libs.common.rpc.interceptors.context import CORRELATION_KEY

REPLAYED_KEY = "x-idempotent-replayed"

serving: ContextVar[ServicerContext | None] = ContextVar("serving", default=None)
"""The call that the running task answers."""


def note_replayed() -> None:
    """Marks the running call's answer as a stored one."""
    servicer_context = serving.get()
    if servicer_context is not None:
        correlation = (CORRELATION_KEY, current_context().correlation_id)
        servicer_context.set_trailing_metadata((correlation, (REPLAYED_KEY, "true")))
