"""What goes along with a call that we make: context, token, deadline. Open this file to add a header."""

from collections.abc import Sequence

import grpc

from libs.common.context import CallContext
from libs.common.errors import NotDone
from libs.common.identity import MeshSigner
from libs.common.rpc.contract import Method
from libs.common.rpc.interceptors.context import CAUSATION_KEY, CORRELATION_KEY
from libs.common.rpc.interceptors.deadline import seconds_for
from libs.common.rpc.interceptors.identity import AUTHORIZATION_KEY
from libs.common.telemetry import TRACEPARENT_KEY

Metadata = grpc.aio.Metadata | Sequence[tuple[str, str | bytes]]


def metadata_of(context: CallContext, signer: MeshSigner, given: Metadata, *, spans: bool) -> Metadata:
    """The context as metadata; what the caller gives takes precedence. spans: the call's span brings its own trace."""
    given_keys = {key for key, _ in given}
    sent: list[tuple[str, str | bytes]] = [(CORRELATION_KEY, context.correlation_id)]
    if context.causation_id:
        sent.append((CAUSATION_KEY, context.causation_id))
    if context.traceparent and not spans:
        sent.append((TRACEPARENT_KEY, context.traceparent))
    if AUTHORIZATION_KEY not in given_keys:
        assert context.tenant, "a call of our own needs the tenant it is made for"
        sent.append((AUTHORIZATION_KEY, f"Bearer {signer.token(context.tenant)}"))
    return [*(pair for pair in sent if pair[0] not in given_keys), *given] if given else sent


def seconds_of(timeout: float | None, method: Method | None) -> float | None:
    """The deadline to send. Without it the service config would end the call here, and the server would not know."""
    wanted = timeout if timeout is not None or method is None else method.timeout_seconds
    seconds = seconds_for(wanted)
    if seconds is not None and seconds <= 0:
        raise NotDone("DEADLINE_EXCEEDED", "the deadline had passed before the call was made")
    return seconds
