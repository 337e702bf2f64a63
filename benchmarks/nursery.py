"""Forks the processes of a run, so that what most of them import is imported once: a run has some twenty of them, and
importing takes each about two seconds. Open this file when a process behaves otherwise than `python -m` would make it.

Takes lines of JSON (`words`, `environment`, `log`, `folder`) and answers each with the process's id.
"""

import gc
import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from libs.cli.orphans import dies_with_parent

PRELOADED = (
    "uvloop",
    "uvicorn",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
    "alembic.command",
    "gateway.app",
    "services.order.app",
    "services.product.app",
    "libs.common.durable.process",
    "libs.common.telemetry.recorder",
    "connectors.kit.servicer",
    "connectors.kit.http",
    "benchmarks.orders",
)
"""Nothing among them reads a setting or opens a connection while it is imported."""


def main() -> None:
    for name in PRELOADED:
        import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    tie = dies_with_parent(signal.SIGKILL) or (lambda: None)
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if not pid:
            tie()
            _become(told)
        print(json.dumps({"pid": pid}), flush=True)


def _become(told: Mapping[str, object]) -> NoReturn:
    """Goes on as `python -m words…` in a session of its own."""
    code = 1
    try:
        _leave(told)
        words = list(map(str, told["words"]))  # type: ignore[call-overload]
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  (the last frame of the process)
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave(told: Mapping[str, object]) -> None:
    """Takes over nothing of the nursery but what it has imported."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    environment = told["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(told["folder"]))
    log = os.open(Path(str(told["log"])), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)


if __name__ == "__main__":
    main()
