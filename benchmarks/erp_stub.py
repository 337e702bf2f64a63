"""An ERP that takes 5 ms for anything and forgets it. Open this file to see what everybody's calls meet.

As little work as HTTP allows, so that it costs none of the machine that is measured. It also swallows the traces.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any

LATENCY_SECONDS = 0.005
AT_ONCE = frozenset({"/v1/traces", "/at-once"})
Message = MutableMapping[str, Any]

_numbers = count(1)


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """For uvicorn: `uvicorn --lifespan off benchmarks.erp_stub:app`."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] not in AT_ONCE:
        await asyncio.sleep(LATENCY_SECONDS)
    number = b"SO%08d" % next(_numbers)
    await send(
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(number))],
        }
    )
    await send({"type": "http.response.body", "body": number})
