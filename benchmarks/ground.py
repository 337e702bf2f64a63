"""What a measurement stands on: embedded stores, the processes that take part, and how to ask them. Open this file to
learn how a process is started, frozen and asked.

    async with Ground(folder) as ground:
        ground.pair("order", "gateway", "services.order", ["serve"])
        await ground.start(["order", "gateway"])
        ground.cpu("gateway", "order", "postgres")

Which processes each measurement needs stands in `cast.py`. Those that do something while idle, such as workers that
poll, are frozen (SIGSTOP) except while they are measured, so that one under load has the machine to itself.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import asyncpg
import grpc.aio
from ordermesh.common.v1 import event_pb2, event_pb2_grpc

from benchmarks.cpu import is_there, resident_mib, tree_cpu_seconds
from benchmarks.database import SETTINGS, wear_in
from benchmarks.erp_stub import LEAVE, RETURN
from benchmarks.hurry import AS_EVER, HURRY
from benchmarks.sample import Unexpected
from libs.cli.child import reachable, send_group
from libs.cli.config import Surroundings, surroundings
from libs.cli.instance import DataDir
from libs.cli.keys import Bearer, make_keys, token_for
from libs.cli.plan import topology_text
from libs.cli.ports import LOOPBACK, HeldPort, hold_port
from libs.cli.processes import StoreUrls, common_environment
from libs.cli.sealing import ensure_keys
from libs.cli.stores import POSTGRES, Postgres, redis_spec
from libs.cli.supervisor import Supervisor
from libs.common.config import ProcessSettings
from libs.common.context import CallContext, using
from libs.common.durable.store import Store
from libs.common.ids import new_id
from libs.common.rpc.channel import open_channel
from libs.common.topology import Route, System, Topology

READY_LIMIT = timedelta(seconds=90)
TOKEN_LIFETIME = timedelta(hours=2)
ASK_SECONDS = 120.0
LOG_CHARACTERS = 3000
CONNECTIONS_MAX = 600
PROBE_SECONDS = 0.05
EVENTS_AT_A_TIME = 50
TENANTS = ("acme", "globex")
FREEZE_TRIES, FREEZE_AGAIN_SECONDS = 100, 0.05
"""Between two tries there is more time after each ten in vain: what gives way to everybody ends nothing in a twentieth
of a second of a busy machine."""
REST_PROBES, REST_SECONDS = 3, 0.01
IN_TRANSACTION = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    " AND xact_start IS NOT NULL AND query NOT LIKE 'SELECT pg_try_advisory_xact_lock%'"
)
"""DBOS keeps its place at the queue by a transaction that hardly ever ends, and that holds up nobody."""
CONNECTOR = "connector"
"""The process that stands for both outside systems, where one runs."""


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
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._specs: dict[str, dict[str, object]] = {}
        self._addresses: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self.pgbench: tuple[str, ...] = ()
        """Command line up to the database."""

    async def __aenter__(self) -> Self:
        self.supervisor = Supervisor()
        self._open.push_async_callback(self._stop)
        try:
            self.data.logs.mkdir(parents=True)
            make_keys(self.data.keys)
            ensure_keys(self.data.keys.seal, TENANTS)
            await self._prepare_stores()
            self._nursery = await self.lasting_child("benchmarks.nursery")
            await self._start_stores()
            await self._nursery.line()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _stop(self) -> None:
        """Nothing that is measured here is worth a clean end."""
        for channel in self._channels.values():
            await channel.close()
        for pid in self._pids.values():
            send_group(pid, signal.SIGKILL)
        await self.supervisor.stop_all(timedelta(seconds=5))
        for port in self._held:
            port.release()

    async def _prepare_stores(self) -> None:
        postgres = Postgres(self.data.root)
        log = self.data.logs / "postgres.log"
        await postgres.prepare(log, self.around.inherited)
        spec = postgres.spec(log, self.around.inherited)
        # All peers keep their pools while others are measured; what is measured alone never needs as many.
        own = ("-c", f"max_connections={CONNECTIONS_MAX}", *SETTINGS)
        spec = replace(spec, command=(*spec.command, *own))
        self._database = postgres.url
        self.pgbench = (str(Path(spec.command[0]).with_name("pgbench")), "-h", self._socket, "-U", "postgres")
        self.supervisor.add(spec)
        redis = self.port("redis")
        self.supervisor.add(
            redis_spec(self.data.root / "redis", redis, self.data.logs / "redis.log", self.around.inherited)
        )
        urls = StoreUrls(database=postgres.url, redis=f"redis://{LOOPBACK}:{redis}/0")
        self._environment = {
            **common_environment(self.data, urls, self.around),
            "ORDERMESH_ENVIRONMENT": "production",
        }

    async def _start_stores(self) -> None:
        for name in (POSTGRES, "redis"):
            self.supervisor.start(name)
        await self.supervisor.until_ready({POSTGRES, "redis"}, READY_LIMIT)
        await wear_in(await self.connect())

    @property
    def _socket(self) -> str:
        return unquote(self._database.partition("host=")[2])

    def port(self, name: str) -> int:
        """The port of a process, the same each time."""
        if name not in self.ports:
            held = hold_port()
            self._held.append(held)
            self.ports[name] = held.number
        return self.ports[name]

    # The processes ----------------------------------------------------------------------------------

    def pair(self, order: str, gateway: str, module: str, own: Mapping[str, str] | None = None) -> None:
        """An order service that answers calls, and a gateway before it, both with the settings in `own`."""
        topology = {"ORDERMESH_TOPOLOGY_FILE": self.write_topology(order)}
        self.add(order, [module, "serve", "--migrate"], {**topology, **(own or {})})
        self.add(gateway, ["gateway"], {**topology, **(own or {})})

    def write_topology(self, order: str) -> str:
        """Where everything is, for processes around the order service `order`."""
        connector = f"{LOOPBACK}:{self.port(CONNECTOR)}"
        topology = Topology(
            services={"order": f"{LOOPBACK}:{self.port(order)}"},
            systems={
                "netsuite": System(role="erp", address=connector, tenants=TENANTS),
                "salesforce": System(role="crm", address=connector, tenants=TENANTS),
            },
            routing=[Route(erp="netsuite", crm="salesforce")],
        )
        path = self.data.root / f"{order}.toml"
        path.write_text(topology_text(topology))
        return str(path)

    def add(
        self, name: str, words: Sequence[str], own: Mapping[str, str] | None = None, *, ready: bool = True
    ) -> None:
        """A Python module to run; `ready`: it takes connections at its port once it is ready."""
        address = f"{LOOPBACK}:{self.port(name)}"
        environment = {**self._environment, **(own or {}), "ORDERMESH_LISTEN": address}
        self._specs[name] = {
            "words": list(words),
            "environment": environment,
            "log": str(self.data.logs / f"{name}.log"),
            "folder": str(self.data.root),
        }
        self._addresses[name] = address if ready else ""

    async def start(self, names: Iterable[str]) -> None:
        """Starts and waits until all take connections. Ends the run with the log of one that does not."""
        wanted = list(names)
        for name in wanted:
            self._pids[name] = int((await self._nursery.ask(json.dumps(self._specs[name])))["pid"])
        async with asyncio.timeout(READY_LIMIT.total_seconds()):
            for name in wanted:
                await self._until(name, listens=True)

    async def _until(self, name: str, *, listens: bool) -> None:
        while await reachable(self._addresses[name]) is not listens:
            if not is_there(self._pids[name]):
                raise SystemExit(f"{name} does not run:\n{self._last_words(name)}")
            await asyncio.sleep(PROBE_SECONDS)

    def _last_words(self, name: str) -> str:
        log = self.data.logs / f"{name}.log"
        return log.read_text()[-LOG_CHARACTERS:] if log.exists() else ""

    async def freeze(self, *names: str) -> None:
        """They stand still, with their connections open and no transaction begun, until `awake`.

        Meanwhile the outside systems say nothing: who takes a feed in page after page is never without a transaction.
        """
        driver = await self.connect()
        self._signal(signal.SIGSTOP, CONNECTOR)
        try:
            for number in range(FREEZE_TRIES):
                self._signal(signal.SIGSTOP, *names)
                if await _is_at_rest(driver):
                    break
                self._signal(signal.SIGCONT, *names)
                await asyncio.sleep(FREEZE_AGAIN_SECONDS * (1 + number // 10))
            else:
                raise Unexpected(f"always in a transaction: {', '.join(names)}")
        finally:
            self._signal(signal.SIGCONT, CONNECTOR)
        await driver.close()

    @asynccontextmanager
    async def awake(self, *names: str) -> AsyncIterator[None]:
        """Frozen processes run within the block."""
        self._signal(signal.SIGCONT, *names)
        try:
            yield
        finally:
            await self.freeze(*names)

    @asynccontextmanager
    async def away(self, name: str) -> AsyncIterator[None]:
        """An outside system hangs up and refuses connections within the block."""
        self._signal(LEAVE, name)
        await self._until(name, listens=False)
        try:
            yield
        finally:
            self._signal(RETURN, name)
            await self._until(name, listens=True)

    @asynccontextmanager
    async def hurrying(self, *names: str) -> AsyncIterator[None]:
        """Time passes faster for these processes, which run on such a clock, within the block."""
        self._signal(HURRY, *names)
        try:
            yield
        finally:
            self._signal(AS_EVER, *names)

    def _signal(self, number: signal.Signals, *names: str) -> None:
        for name in names:
            send_group(self._pids.get(name, 0), number)

    # What measurements ask ------------------------------------------------------------------------

    def cpu(self, *names: str) -> dict[str, float]:
        """CPU seconds used so far, by process."""
        return {name: tree_cpu_seconds(self.pid(name)) for name in names}

    def memory(self, *names: str) -> float:
        """MiB of memory that the processes hold."""
        return sum(resident_mib(self.pid(name)) for name in names)

    def pid(self, name: str) -> int:
        """The process's id."""
        return self._pids.get(name) or self.supervisor.process(name).pid

    def token(self, tenant: str = TENANTS[0]) -> str:
        bearer = Bearer(tenant=tenant, system="salesforce", subject="bench")
        return token_for(self.data.keys, bearer, self.around.settings, TOKEN_LIFETIME)

    async def tell(
        self, events: Sequence[event_pb2.Event], *, order: str = "order", tenant: str = TENANTS[0]
    ) -> None:
        """Hands events to an order service, as the services they come from would."""
        intake = event_pb2_grpc.EventIntakeServiceStub(self._channel(order))
        with using(_mesh(tenant)):
            for start in range(0, len(events), EVENTS_AT_A_TIME):
                some = events[start : start + EVENTS_AT_A_TIME]
                await intake.AcceptEvents(event_pb2.AcceptEventsRequest(events=some))

    def _channel(self, order: str) -> grpc.aio.Channel:
        if order not in self._channels:
            settings = ProcessSettings(mesh_key_file=self.data.keys.mesh, jwks_file=self.data.keys.public)
            self._channels[order] = open_channel(f"{LOOPBACK}:{self.ports[order]}", settings, "bench")
        return self._channels[order]

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        """A connection to a database of the run; closed with the ground."""
        connection = await asyncpg.connect(host=self._socket, user="postgres", database=database)
        self._open.push_async_callback(connection.close)
        return connection

    def store(self, service: str) -> Store:
        """A pool of connections to a service's schema; to be closed."""
        return Store(self._database, service, pool_max=2)

    async def database(self, name: str) -> Mapping[str, str]:
        """Makes a database; the setting that points a process to it."""
        driver = await self.connect()
        await driver.execute(f"CREATE DATABASE {name}")
        return {"ORDERMESH_DATABASE_URL": self._database.replace("/postgres?", f"/{name}?")}

    @asynccontextmanager
    async def child(self, *words: str, own: Mapping[str, str] | None = None) -> AsyncIterator["Child"]:
        """A process that answers each line with a line."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *words,
            stdin=PIPE,
            stdout=PIPE,
            env={**self._environment, **(own or {})},
            cwd=self.data.root,
            limit=1 << 20,
        )
        child = Child(process)
        try:
            yield child
        finally:
            await child.close()

    async def lasting_child(self, *words: str, own: Mapping[str, str] | None = None) -> "Child":
        """The same, ended with the ground."""
        return await self._open.enter_async_context(self.child(*words, own=own))


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


async def _is_at_rest(driver: asyncpg.Connection) -> bool:
    """Soon without any transaction. What those that run on were asked meanwhile ends by itself; what stays was begun by
    one that stands still."""
    for _ in range(REST_PROBES):
        if not await driver.fetchval(IN_TRANSACTION):
            return True
        await asyncio.sleep(REST_SECONDS)
    return False


def _mesh(tenant: str) -> CallContext:
    context = CallContext(
        tenant="acme",
        system="mesh",
        actor="bench",
        roles=frozenset({"mesh"}),
        correlation_id=new_id("cor"),
        causation_id="",
        traceparent="",
    )
    return replace(context, tenant=tenant)
