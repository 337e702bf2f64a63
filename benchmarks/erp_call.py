"""What a call to an ERP costs the caller: httpx alone, and httpx as the connectors use it. Open this file to measure
another transport.

`python -m benchmarks.erp_call URL`; takes lines such as `plain 300` or `kit 300`, answers each with one line of JSON.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import httpx
import uvloop

from benchmarks.sample import Found
from connectors.kit.http import Call, HttpLimits, VendorHttp

AT_A_TIME = 16
BODY = b'{"externalId":"ord_1","memo":"PO-20-1","item":{"items":[{"quantity":3}]}}' * 8
if TYPE_CHECKING:
    from benchmarks.ground import Child

Once = Callable[[], Awaitable[object]]


async def _calls(once: Once, count: int) -> dict[str, float]:
    left = count
    used = resource.getrusage(resource.RUSAGE_SELF)

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await once()

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_A_TIME):
            workers.create_task(work())
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return {"calls": count, "cpu_us": 1e6 * cpu / count}


async def main() -> None:
    url = sys.argv[1]
    plain = httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=AT_A_TIME))
    kit = VendorHttp(url, None, limits=HttpLimits(concurrency_max=AT_A_TIME))
    call = Call("POST", "/at-once", effect=True, content=BODY, headers={"Content-Type": "application/json"})
    ways: dict[str, Once] = {
        "plain": lambda: plain.post("/at-once", content=BODY, headers={"Content-Type": "application/json"}),
        "kit": lambda: kit.send(call),
    }
    for once in ways.values():
        await _calls(once, 4 * AT_A_TIME)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        way, count = line.split()
        print(json.dumps(await _calls(ways[way], int(count))), flush=True)
    await plain.aclose()
    await kit.close()


async def measure(child: "Child", rounds: int, calls: int) -> Found:
    """Least CPU per call of each over the rounds."""
    await child.line()
    taken = [
        {way: (await child.ask(f"{way} {calls}"))["cpu_us"] for way in ("plain", "kit")}
        for _ in range(rounds)
    ]
    least = {way: min(each[way] for each in taken) for way in taken[0]}
    return Found(
        ratios={"erp_call_cpu_vs_httpx": least["kit"] / least["plain"]},
        figures={
            "A call to the ERP, 16 at a time": {
                "httpx with its own transport": {"CPU µs": least["plain"]},
                "httpx as connectors/kit uses it": {"CPU µs": least["kit"]},
            }
        },
    )


if __name__ == "__main__":
    uvloop.run(main())
