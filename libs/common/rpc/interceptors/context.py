"""Correlation and trace: taken from the caller when usable, else made. Both are in place before anything can fail."""

from collections.abc import Mapping

from libs.common.context import CallContext, accepted_id
from libs.common.ids import new_id
from libs.common.telemetry import (
    TRACEPARENT_KEY,
    accepted_traceparent,
    current_traceparent,
    new_traceparent,
)

CORRELATION_KEY = "x-correlation-id"
CAUSATION_KEY = "x-causation-id"


def context_in(metadata: Mapping[str, str]) -> CallContext:
    """What the metadata says, without anything that only a verified token may say."""
    return unidentified(
        metadata.get(CORRELATION_KEY, ""),
        metadata.get(CAUSATION_KEY, ""),
        current_traceparent() or metadata.get(TRACEPARENT_KEY, ""),
    )


def unidentified(correlation_id: str, causation_id: str, traceparent: str) -> CallContext:
    """The context of a caller of whom nothing is verified yet."""
    return CallContext(
        tenant="",
        system="",
        actor="",
        roles=frozenset(),
        correlation_id=accepted_id(correlation_id) or new_id("cor"),
        causation_id=accepted_id(causation_id),
        traceparent=accepted_traceparent(traceparent) or new_traceparent(),
    )
