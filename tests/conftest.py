"""What holds for every test. Open this file to see which marker a folder brings or how a failure is to be repeated.

    tests/integration → integration    tests/e2e → e2e    tests/simulation → sim

Where tests run in parallel a file stays on one worker, and all of tests/e2e on the same: two whole meshes on two cores
would only measure each other. Nothing here starts anything; stores are started by the tiers' own `conftest.py`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

TESTS = Path(__file__).resolve().parent
MARKER_OF_TIER = {"integration": "integration", "e2e": "e2e", "simulation": "sim"}
JOURNEYS = "tests/e2e/"
FAULTS = "tests/faults"
MACHINE_SETTINGS = ("ORDERMESH_", "OTEL_")
KEPT_SETTINGS = frozenset({"ORDERMESH_FUZZ_EXAMPLES"})
"""What a person hands to the tests themselves."""


def pytest_configure(config: pytest.Config) -> None:
    """Takes the settings of this machine away: a test must not reach the stores that a shell happens to name."""
    for name in [name for name in os.environ if name.startswith(MACHINE_SETTINGS)]:
        if name not in KEPT_SETTINGS:
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(TESTS):
            tier = item.path.relative_to(TESTS).parts[0]
            if tier in MARKER_OF_TIER:
                item.add_marker(MARKER_OF_TIER[tier])


class ByFile(LoadFileScheduling):
    """One worker per file, one for all journeys."""

    def _split_scope(self, nodeid: str) -> str:
        return JOURNEYS if nodeid.startswith((JOURNEYS, FAULTS)) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> ByFile:
    return ByFile(config, log)
