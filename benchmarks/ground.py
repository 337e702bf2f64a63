"""What a measurement stands on: embedded stores, the processes that take part, and how to ask them. Open this file to
add a process.

    async with Ground(folder) as ground:
        ground.cpu("gateway", "order", "postgres")

Relays and connectors do not run: nothing but the accepting of orders is measured. All processes run at the same time
and only one way is under load.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import asyncpg
from ordermesh.common.v1 import event_pb2, event_pb2_grpc

from benchmarks.cpu import tree_cpu_seconds
from libs.cli.child import ProcessSpec, Tier
from libs.cli.config import Surroundings, surroundings
from libs.cli.instance import DataDir
from libs.cli.keys import Bearer, make_keys, token_for
from libs.cli.plan import topology_text
from libs.cli.ports import LOOPBACK, HeldPort, hold_port
from libs.cli.processes import StoreUrls, common_environment
from libs.cli.stores import POSTGRES, Postgres, redis_spec
from libs.cli.supervisor import Supervisor
from libs.common.config import ProcessSettings
from libs.common.context import CallContext, using
from libs.common.ids import new_id
from libs.common.rpc.channel import open_channel
from libs.common.topology import Route, System, Topology

READY_LIMIT = timedelta(seconds=60)
TOKEN_LIFETIME = timedelta(hours=2)
ASK_SECONDS = 120.0
EVENTS_AT_A_TIME = 50


class Ground:
    """Start it with `async with`; everything is gone after the block."""

    def __init__(self, folder: Path) -> None:
        self.data = DataDir(folder)
        self.around: Surroundings = surroundings()
        self.ports: dict[str, int] = {}
        self._held: list[HeldPort] = []
        self._open = AsyncExitStack()
        self._database = ""
        self._environment: Mapping[str, str] = {}
        self.pgbench: tuple[str, ...] = ()
        """Command line up to the database."""

    async def __aenter__(self) -> Self:
        self.supervisor = Supervisor()
        self._open.push_async_callback(self._stop)
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _stop(self) -> None:
        await self.supervisor.stop_all(timedelta(seconds=5))
        for port in self._held:
            port.release()

    async def _start(self) -> None:
        self.data.logs.mkdir(parents=True)
        make_keys(self.data.keys)
        await self._start_stores()
        for order, gateway, module in (
            ("order", "gateway", "services.order"),
            ("null-order", "null-gateway", "benchmarks.null_order"),
        ):
            topology = self._write_topology(order)
            self._add(order, [module, "serve", "--migrate"], {"ORDERMESH_TOPOLOGY_FILE": topology})
            self._add(gateway, ["gateway"], {"ORDERMESH_TOPOLOGY_FILE": topology})
        port = self._port("typical")
        uvicorn = ["uvicorn", "--factory", "benchmarks.peers.typical:build", "--port", str(port)]
        self._add("typical", [*uvicorn, "--log-level", "warning", "--no-access-log"])
        names = {kept.name for kept in self.supervisor.processes}
        for name in names:
            self.supervisor.start(name)
        if not await self.supervisor.until_ready(names, READY_LIMIT):
            raise SystemExit(f"not everything is ready after {READY_LIMIT}")

    async def _start_stores(self) -> None:
        postgres = Postgres(self.data.root)
        log = self.data.logs / "postgres.log"
        await postgres.prepare(log, self.around.inherited)
        spec = postgres.spec(log, self.around.inherited)
        redis = self._port("redis")
        self._database = postgres.url
        self.pgbench = (str(Path(spec.command[0]).with_name("pgbench")), "-h", self._socket, "-U", "postgres")
        self.supervisor.add(spec)
        self.supervisor.add(
            redis_spec(self.data.root / "redis", redis, self.data.logs / "redis.log", self.around.inherited)
        )
        urls = StoreUrls(database=postgres.url, redis=f"redis://{LOOPBACK}:{redis}/0")
        self._environment = {
            **common_environment(self.data, urls, self.around),
            "ORDERMESH_ENVIRONMENT": "production",
        }
        for name in (POSTGRES, "redis"):
            self.supervisor.start(name)
        await self.supervisor.until_ready({POSTGRES, "redis"}, READY_LIMIT)

    @property
    def _socket(self) -> str:
        return unquote(self._database.partition("host=")[2])

    def _port(self, name: str) -> int:
        held = hold_port()
        self._held.append(held)
        self.ports[name] = held.number
        return held.number

    def _write_topology(self, order: str) -> str:
        nowhere = f"{LOOPBACK}:9"
        topology = Topology(
            services={"order": f"{LOOPBACK}:{self._port(order)}"},
            systems={
                "netsuite": System(role="erp", address=nowhere, tenants=("acme",)),
                "salesforce": System(role="crm", address=nowhere, tenants=("acme",)),
            },
            routing=[Route(erp="netsuite", crm="salesforce")],
        )
        path = self.data.root / f"{order}.toml"
        path.write_text(topology_text(topology))
        return str(path)

    def _add(self, name: str, words: Sequence[str], own: Mapping[str, str] | None = None) -> None:
        address = f"{LOOPBACK}:{self.ports.get(name) or self._port(name)}"
        self.supervisor.add(
            ProcessSpec(
                name=name,
                tier=Tier.SERVICE,
                command=(sys.executable, "-m", *words),
                log=self.data.logs / f"{name}.log",
                environment={**self._environment, **(own or {}), "ORDERMESH_LISTEN": address},
                address=address,
                cwd=self.data.root,
            )
        )

    # What measurements ask ------------------------------------------------------------------------

    def cpu(self, *names: str) -> dict[str, float]:
        """CPU seconds used so far, by process."""
        return {name: tree_cpu_seconds(self.supervisor.process(name).pid) for name in names}

    def token(self) -> str:
        bearer = Bearer(tenant="acme", system="salesforce", subject="bench")
        return token_for(self.data.keys, bearer, self.around.settings, TOKEN_LIFETIME)

    async def tell(self, events: Sequence[event_pb2.Event]) -> None:
        """Hands events to the order service, as the services they come from would."""
        settings = ProcessSettings(mesh_key_file=self.data.keys.mesh, jwks_file=self.data.keys.public)
        context = CallContext(
            tenant="acme",
            system="mesh",
            actor="bench",
            roles=frozenset({"mesh"}),
            correlation_id=new_id("cor"),
            causation_id="",
            traceparent="",
        )
        async with open_channel(f"{LOOPBACK}:{self.ports['order']}", settings, "bench") as channel:
            intake = event_pb2_grpc.EventIntakeServiceStub(channel)
            with using(context):
                for start in range(0, len(events), EVENTS_AT_A_TIME):
                    some = events[start : start + EVENTS_AT_A_TIME]
                    await intake.AcceptEvents(event_pb2.AcceptEventsRequest(events=some))

    async def connect(self) -> asyncpg.Connection:
        """A connection to the database of the run; closed with the ground."""
        connection = await asyncpg.connect(host=self._socket, user="postgres", database="postgres")
        self._open.push_async_callback(connection.close)
        return connection

    async def child(self, *words: str) -> "Child":
        """A process that answers each line with a line; ended with the ground."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *words,
            stdin=PIPE,
            stdout=PIPE,
            env={**self._environment, "ORDERMESH_TOPOLOGY_FILE": str(self.data.root / "order.toml")},
            cwd=self.data.root,
            limit=1 << 20,
        )
        child = Child(process)
        self._open.push_async_callback(child.close)
        return child


class Child:
    """A process with a question and an answer at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def ask(self, question: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n".encode())
        answer = json.loads(await self.line())
        assert isinstance(answer, dict)
        return answer

    async def line(self) -> bytes:
        """The next line. EOFError when the process has ended; its words are on standard error."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ASK_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise EOFError("a process of the benchmark has ended")
        return line

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
