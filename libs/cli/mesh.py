"""The whole mesh on this machine, as an object: `ordermesh up`, the demo and the end-to-end tests all run this.

    async with Mesh(Path("/tmp/try")) as mesh:
        token = mesh.token(Bearer(tenant="acme", system="salesforce"))
        …requests to mesh.base_url…
        mesh.kill("order")

Open it to learn in which order things start and stop.
"""

import asyncio
import logging
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

from libs.cli.api import trusted
from libs.cli.certs import GATEWAY, connector_name, files_of, make_certificates
from libs.cli.config import Surroundings, surroundings
from libs.cli.files import last_lines, shorten_log, start_log, write_whole
from libs.cli.instance import AlreadyRunning, DataDir, ProcessRecord, RunRecord, point_at
from libs.cli.keys import Bearer, make_keys, token_for
from libs.cli.orphans import clear_away
from libs.cli.plan import Plan, make_plan, topology_text
from libs.cli.ports import LOOPBACK
from libs.cli.processes import StoreUrls, process_specs
from libs.cli.sealing import ensure_keys
from libs.cli.stores import POSTGRES, REDIS, Postgres, redis_spec
from libs.cli.supervisor import Kept, StartFailed, Supervisor
from libs.common.clock import Clock, SystemClock

log = logging.getLogger("ordermesh.mesh")

READY_LIMIT = timedelta(seconds=90)
READY_LOOK_EVERY = timedelta(milliseconds=100)
READY_SECONDS = 2.0
LOCK_AGAIN_AFTER = timedelta(milliseconds=300)
LOG_BYTES_MAX = 32 * 1024 * 1024
LOG_LOOK_EVERY = timedelta(seconds=30)
LOG_LINES_SHOWN = 15


class MeshFailed(Exception):
    """The mesh does not get ready; the text shows the end of the log that says why."""


class Mesh:
    """Start it with `async with`; it is ready inside the block and gone after it.

    port: the gateway's; 0 takes a free one. config: see `plan.py`. announce: commands without --data shall
    find this mesh. tls: the processes show each other certificates, and the gateway serves HTTPS.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        config: Path | None = None,
        simulators: bool = True,
        announce: bool = False,
        around: Surroundings | None = None,
        clock: Clock | None = None,
        tls: bool = False,
    ) -> None:
        self._tls = tls
        self.data = DataDir(data_dir.expanduser().resolve())
        self._wanted_port, self._config, self._with_simulators = port, config, simulators
        self._announce = announce
        self._around = around or surroundings()
        self._clock = clock or SystemClock()
        self._lock: IO[str] | None = None
        self._plan: Plan | None = None
        self._supervisor: Supervisor | None = None
        self._postgres: Postgres | None = None
        self._urls = StoreUrls()
        self._log_watch: asyncio.Task[None] | None = None

    # What the mesh looks like

    @property
    def plan(self) -> Plan:
        assert self._plan is not None, "the mesh was not started"
        return self._plan

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None, "the mesh was not started"
        return self._supervisor

    @property
    def base_url(self) -> str:
        return self.plan.base_url if not self._tls else self.plan.base_url.replace("http:", "https:", 1)

    @property
    def ca_file(self) -> str:
        """Authority of the gateway's certificate; empty without TLS."""
        return str(files_of(self.data.certificates, GATEWAY).authorities) if self._tls else ""

    @property
    def processes(self) -> list[Kept]:
        """Empty before the start."""
        return self._supervisor.processes if self._supervisor else []

    def token(self, bearer: Bearer, lifetime: timedelta = timedelta(hours=1)) -> str:
        """A token that the mesh accepts."""
        return token_for(self.data.keys, bearer, self._around.settings, lifetime)

    # Faults

    def kill(self, name: str) -> int:
        """`kill -9` of one process, which is started again. Gives its pid.

        KeyError for a name that does not run.
        """
        return self.supervisor.kill(name)

    async def stop_store(self, name: str) -> None:
        """Stops `postgres` or `redis` and leaves it stopped."""
        await self.supervisor.stop(name)

    def start_store(self, name: str) -> None:
        self.supervisor.start(name)

    # Start and stop

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when the gateway says that all of it is ready.

        Raises MeshFailed, AlreadyRunning, PortTaken, TopologyInvalid, StoreUnusable; nothing runs then.
        """
        self._lock = await self._take_lock()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Gateway first, stores last; returns when everything has ended. May be called twice."""
        if self._log_watch is not None:
            self._log_watch.cancel()
        if self._supervisor is not None:
            await self._supervisor.stop_all()
        if self._postgres is not None:
            self._postgres.clear_up()
        if self._plan is not None:
            self._plan.release()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _take_lock(self) -> IO[str]:
        """Another command that looks whether a mesh runs holds the lock for a moment, hence a second try."""
        try:
            return self.data.lock()
        except AlreadyRunning:
            await self._clock.wait(asyncio.Event(), LOCK_AGAIN_AFTER)
            return self.data.lock()

    async def _start(self) -> None:
        before = self.data.read()
        if before is not None:
            for name in await clear_away(before.processes, self._clock):
                log.warning("%s was left over from an earlier run and has been ended", name)
        for folder in (self.data.logs, self.data.root / "simulators"):
            folder.mkdir(parents=True, exist_ok=True)
        make_keys(self.data.keys)
        self._plan = make_plan(self._wanted_port, self._config, self._with_simulators)
        write_whole(self.data.topology, topology_text(self._plan.topology))
        ensure_keys(self.data.keys.seal, self._plan.topology.tenants)
        if self._tls:
            connectors = map(connector_name, self._plan.connectors)
            make_certificates(self.data.certificates, [GATEWAY, *self._plan.services, *connectors])
        self._supervisor = Supervisor(self._clock, self._note)
        await self._start_everything()
        self._log_watch = asyncio.create_task(self._keep_logs_short(), name="keep logs short")
        await self._until_ready()
        if self._announce:
            point_at(self.data, self._around)

    async def _start_everything(self) -> None:
        """The database's files first, which takes half a second alone; then everything at once.

        A service spends longer on its imports than the database on its start, so nobody waits for anybody.
        """
        supervisor, environment = self.supervisor, self._around.inherited
        self._postgres = postgres = Postgres(self.data.root) if self._around.needs_database else None
        redis_port = self.plan.take_port().number if self._around.needs_redis else 0
        self._urls = StoreUrls(
            database=postgres.url if postgres else "",
            redis=f"redis://{LOOPBACK}:{redis_port}/0" if redis_port else "",
        )
        if postgres is not None:
            database_log = self._fresh_log(POSTGRES)
            await postgres.prepare(database_log, environment)
            supervisor.add(postgres.spec(database_log, environment))
        if redis_port:
            redis_log = self._fresh_log(REDIS)
            supervisor.add(redis_spec(self.data.root / REDIS, redis_port, redis_log, environment))
        for spec in process_specs(self.plan, self.data, self._urls, self._around, tls=self._tls):
            self._fresh_log(spec.name)
            supervisor.add(spec)
        for kept in supervisor.processes:
            supervisor.start(kept.name)

    async def _settle(self, names: set[str]) -> None:
        try:
            reached = await self.supervisor.until_ready(names, READY_LIMIT)
        except StartFailed as error:
            raise MeshFailed(f"{error}\n{self._end_of_log(error.spec.name)}") from error
        if not reached:
            late = ", ".join(name for name in names if not self.supervisor.process(name).ready_once)
            raise MeshFailed(f"not ready after {READY_LIMIT}: {late}; see {self.data.logs}")

    async def _until_ready(self) -> None:
        await self._settle({kept.name for kept in self.supervisor.processes})
        deadline = self._clock.now() + READY_LIMIT
        never = asyncio.Event()
        async with httpx.AsyncClient(
            base_url=self.base_url,
            timeout=READY_SECONDS,
            trust_env=False,
            verify=trusted(self.ca_file),
        ) as client:
            answer = ""
            while self._clock.now() < deadline:
                with suppress(httpx.TransportError):
                    response = await client.get("/health/ready")
                    if response.status_code == httpx.codes.OK:
                        return
                    answer = response.text
                await self._clock.wait(never, READY_LOOK_EVERY)
        raise MeshFailed(f"the gateway is not ready after {READY_LIMIT}: {answer or 'no answer'}")

    def _end_of_log(self, name: str) -> str:
        lines = last_lines(self.data.logs / f"{name}.log", LOG_LINES_SHOWN)
        return "\n".join([f"last lines of {self.data.logs / name}.log:", *lines])

    def _fresh_log(self, name: str) -> Path:
        path = self.data.logs / f"{name}.log"
        start_log(path)
        return path

    async def _keep_logs_short(self) -> None:
        never = asyncio.Event()
        while True:
            await self._clock.wait(never, LOG_LOOK_EVERY)
            for kept in self.processes:
                shorten_log(kept.spec.log, LOG_BYTES_MAX)

    def _note(self) -> None:
        """run.json is always up to date: other commands see what runs, the next start what was left."""
        self.data.write(self.record())

    def record(self) -> RunRecord:
        """The mesh as run.json shows it."""
        return RunRecord(
            pid=os.getpid(),
            base_url=self.base_url,
            redis_url=self._urls.redis,
            ca_file=self.ca_file,
            simulators=dict(self.plan.simulator_urls),
            processes=tuple(_record(kept) for kept in self.processes),
        )


def _record(kept: Kept) -> ProcessRecord:
    return ProcessRecord(
        name=kept.name,
        tier=kept.spec.tier.name.lower(),
        state=kept.state.value,
        pid=kept.pid,
        address=kept.spec.address,
        restarts=kept.restarts,
        command=kept.spec.command,
        log=str(kept.spec.log),
        metrics=kept.spec.metrics,
    )
