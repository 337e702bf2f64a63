"""Time, chance, waiting and the environment enter in one place each, so that a simulation can replay a run."""

import ast
from fnmatch import fnmatch

import pytest

from tests.tidy.tree import Module, dotted, imported_names, modules, report

TIME = ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today")
CHANCE = ("uuid.uuid1", "uuid.uuid4", "uuid.uuid7", "random.", "secrets.", "os.urandom")
BARRED = (
    *TIME,
    "time.time",
    "time.time_ns",
    *CHANCE,
    "time.sleep",
    "asyncio.sleep",
    "os.environ",
    "os.getenv",
)
BARRED_IN_TESTS = ("time.sleep", "asyncio.sleep")
SEEDED = frozenset({"random.Random"})
"""Replayable by its seed, hence free."""

ALLOWED: dict[str, tuple[tuple[str, ...], str]] = {
    "libs/common/clock.py": ((*TIME,), "the clock itself"),
    "libs/common/telemetry/spans.py": (
        ("time.time_ns",),
        "what a span tells of time goes to the collector only",
    ),
    "libs/common/ids.py": (("time.time_ns", "os.urandom"), "the maker of ids itself"),
    "*/config.py": (("os.environ",), "the place that reads settings"),
    "protos/generate.py": (("os.environ",), "hands PATH to the compiler's plug-ins"),
    "libs/common/durable/relay.py": (
        ("random.random",),
        "the default where jitter enters; a simulation hands in its own",
    ),
    "libs/common/durable/surroundings.py": (
        ("random.random",),
        "the default where jitter enters; a simulation hands in its own",
    ),
    "libs/common/durable/seal.py": (("os.urandom",), "a nonce must not be replayable"),
    "connectors/kit/simulator/clock.py": (
        ("datetime.datetime.now",),
        "the clock of a vendor that runs by itself",
    ),
    "connectors/kit/simulator/app.py": (("asyncio.sleep",), "being slow is what the fault switch is for"),
    "connectors/netsuite/simulator/auth.py": (("secrets.*",), "a vendor makes its own tokens"),
    "connectors/netsuite/simulator/errors.py": (("secrets.*",), "a vendor makes its own error ids"),
    "libs/cli/keys.py": (("secrets.*",), "makes secrets for development"),
    "libs/cli/sealing.py": (("secrets.*",), "makes sealing keys"),
    "tests/conftest.py": (("os.environ",), "takes the machine's settings away from the tests"),
}
"""Path pattern → what it may use, and why."""


def test_time_chance_and_environment_enter_in_one_place_each() -> None:
    found = [
        use
        for module in modules("libs", "services", "connectors", "gateway", "protos")
        for use in barred_uses(module)
    ]
    assert not found, report(
        "Take time from libs/common/clock.py, ids from libs/common/ids.py, settings from config.py, and let the caller "
        "hand in chance; where that is impossible, add the file to ALLOWED with a reason",
        found,
    )


def test_no_test_sleeps() -> None:
    found = [use for module in modules("tests") for use in barred_uses(module, BARRED_IN_TESTS)]
    assert not found, report("Wait for an event or a state with a deadline, or move a fake clock", found)


def test_the_list_of_exceptions_is_not_stale() -> None:
    paths = [module.path for module in modules()]
    stale = [pattern for pattern in ALLOWED if not any(fnmatch(path, pattern) for path in paths)]
    assert not [pattern for pattern in stale if "*" not in pattern], report(
        "Take these out of ALLOWED", stale
    )


def barred_uses(module: Module, barred: tuple[str, ...] = BARRED) -> list[str]:
    names = imported_names(module.tree)
    yields = {
        id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call) and only_yields(node)
    }
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute | ast.Name) or id(node) in yields:
            continue
        full = dotted(node, names)
        if full and is_barred(full, barred) and not allowed(module.path, full):
            found.append(f"{module.path}:{node.lineno} {full}")
    return found


def only_yields(call: ast.Call) -> bool:
    """`sleep(0)` lets others run and waits for nothing."""
    return [ast.unparse(argument) for argument in call.args] == ["0"]


def is_barred(full: str, barred: tuple[str, ...] = BARRED) -> bool:
    """`random.` stands for everything in the module."""
    if full in SEEDED:
        return False
    return any(full.startswith(entry) if entry.endswith(".") else full == entry for entry in barred)


def allowed(path: str, full: str) -> bool:
    return any(
        fnmatch(path, pattern) and any(fnmatch(full, name) for name in granted)
        for pattern, (granted, _reason) in ALLOWED.items()
    )


@pytest.mark.parametrize(
    "source",
    [
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import datetime\ndatetime.now()",
        "from asyncio import sleep\nsleep(1)",
        "import random\nrandom.random()",
        "import os\nos.environ['HOME']",
    ],
)
def test_the_check_sees_through_imports(source: str) -> None:
    assert barred_uses(Module("services/order/commands.py", source, ast.parse(source)))


@pytest.mark.parametrize(
    "source", ["import random\nrandom.Random(7)", "def now(): ...\nnow()", "import asyncio\nasyncio.sleep(0)"]
)
def test_the_check_leaves_the_innocent_alone(source: str) -> None:
    assert not barred_uses(Module("services/order/commands.py", source, ast.parse(source)))
