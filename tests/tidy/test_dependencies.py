"""What is imported is declared, so that a fresh machine has it and an upgrade elsewhere does not take it away."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.tidy.tree import CODE, PRODUCT, ROOT, Module, modules, report

GENERATED = frozenset({"ordermesh", "jsonpb", "buf"})
FOR_TESTS = "libs/common/testing/"
"""What tests of several tiers share; no process imports it."""
PARTS = {"protobuf": "protobuf-py"}
"""Packages that come in a part of the distribution one asks for."""
SHARED = frozenset({"google"})
"""Namespaces that several distributions fill."""


def declared() -> tuple[set[str], set[str]]:
    """Names of the distributions for the product, and of those that development adds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    product = {name_of(requirement) for requirement in project["project"]["dependencies"]}
    groups = project["dependency-groups"]
    return product, {name_of(requirement) for requirement in (*groups["dev"], *groups["bench"])}


def name_of(requirement: str) -> str:
    """`redis[hiredis]>=8.1,<9` → `redis`."""
    for mark in "[<>=!~; ":
        requirement = requirement.split(mark, 1)[0]
    return requirement.lower().replace("_", "-")


def imported_packages(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(CODE) - GENERATED - SHARED


def runs_in_production(module: Module) -> bool:
    return module.tier in PRODUCT and not module.path.startswith(FOR_TESTS)


def test_every_package_that_is_imported_is_declared() -> None:
    product, development = declared()
    distributions = {
        package: {name_of(name) for name in names} for package, names in packages_distributions().items()
    }
    undeclared = sorted(
        {
            f"{module.path}: {package}"
            for module in modules()
            for package in imported_packages(module.tree)
            if (product if runs_in_production(module) else product | development).isdisjoint(
                # Peers of the benchmarks are installed by `make bench` only; then their names must do.
                distributions.get(package, {name_of(package)}) | {PARTS.get(package, package)}
            )
        }
    )
    assert not undeclared, report(
        "Declare in pyproject.toml, under dependencies or the groups dev and bench", undeclared
    )
