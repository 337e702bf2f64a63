"""One call under way on the server. Open this file to see what the steps between socket and servicer hand on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import Message

from libs.common.context import CallContext
from libs.common.metrics import RPC_SERVER
from libs.common.rpc.contract import Method
from libs.common.rpc.interceptors.measuring import Timing

if TYPE_CHECKING:
    ServicerContext = grpc.aio.ServicerContext[Message, Message]
else:
    ServicerContext = grpc.aio.ServicerContext


@dataclass(slots=True)
class Call:
    """Filled step by step; a step may rely on what those before it have set."""

    method: Method
    servicer_context: ServicerContext
    metadata: Mapping[str, str]
    """First value of each text key, keys in lower case."""
    context: CallContext
    """Without tenant until the caller is identified."""
    cancel_after_seconds: float | None = None
    """Set by the deadline step where gRPC would not end the call, because its caller set no deadline."""
    timing: Timing = field(init=False)

    def __post_init__(self) -> None:
        self.timing = Timing(RPC_SERVER, self.method.path)


Step = Callable[[Call], None]
"""What is done before the servicer runs; raises an OrdermeshError to end the call. Never waits."""


def text_metadata(servicer_context: ServicerContext) -> dict[str, str]:
    """Metadata as sent; binary values are left out, a repeated key keeps its first value."""
    found: dict[str, str] = {}
    for key, value in servicer_context.invocation_metadata() or ():
        if isinstance(value, str):
            found.setdefault(key, value)
    return found
