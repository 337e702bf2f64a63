"""`python -m gateway` as a process: starts on its settings, answers, and ends in order."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.contract.test_gateway.mesh import Mesh

START_SECONDS = 40.0
END_SECONDS = 20.0


@asynccontextmanager
async def running(folder: Path, **settings: str) -> AsyncIterator[tuple[Process, str]]:
    """The process and its address."""
    jwks = folder / "jwks.json"
    environment = {
        **os.environ,
        "ORDERMESH_LISTEN": "127.0.0.1:0",
        "ORDERMESH_JWKS_FILE": str(jwks),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process, await address_in(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def address_in(process: Process) -> str:
    """Address from the log, once it listens."""
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        async for line in process.stdout:
            found = re.search(rb"http://127\.0\.0\.1:\d+", line)
            if found:
                return found[0].decode()
    raise AssertionError("the process ended before it listened")


async def test_process_answers_and_ends_with_zero_on_sigterm(mesh: Mesh, tmp_path: Path) -> None:
    services = "\n".join(
        f'{name} = "127.0.0.1:{b.port}"' for name, b in mesh.backends.items() if name != "netsuite"
    )
    topology = tmp_path / "topology.toml"
    topology.write_text(f"[services]\n{services}\n")
    async with running(tmp_path, ORDERMESH_TOPOLOGY_FILE=str(topology)) as (process, address):
        async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
            assert (await http.get("/health/ready")).status_code == 200
            answer = await http.get("/v1/orders", headers=mesh.bearer())
            assert answer.json() == {"orders": [], "nextPageToken": ""}
            assert "server" not in answer.headers
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_SECONDS):
            assert await process.wait() == 0
        assert process.stdout is not None
        for line in (await process.stdout.read()).splitlines():
            assert isinstance(json.loads(line), dict)


async def test_process_says_that_it_is_about_to_stop_before_it_does(mesh: Mesh, tmp_path: Path) -> None:
    async with (
        running(tmp_path, ORDERMESH_GATEWAY_ANNOUNCE_SECONDS="60") as (process, address),
        httpx.AsyncClient(base_url=address, trust_env=False) as http,
    ):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_SECONDS):
            while (await http.get("/health/ready")).json()["status"] != "draining":
                pass
        assert (await http.get("/health/live")).status_code == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_SECONDS):
            assert await process.wait() == 0


async def test_process_with_wrong_settings_says_which_and_ends(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ORDERMESH_GATEWAY_BODY_BYTES_MAX": "many",
        "ORDERMESH_LISTEN": "127.0.0.1:0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"ORDERMESH_GATEWAY_BODY_BYTES_MAX" in output
