"""The repository as the tidiness tests see it: files, syntax trees and dotted names. Works without git."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("libs", "services", "connectors", "gateway")
CODE = (*PRODUCT, "tests", "benchmarks", "protos")
NOT_OURS = frozenset({"gen", "build", "dist", "__pycache__"})
"""Folders with generated code; hidden ones hold packages, data and caches."""
HIDDEN_OURS = frozenset({".ci"})


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file of ours."""

    path: str
    """From the root, with slashes: `libs/common/clock.py`."""
    text: str
    tree: ast.Module

    @property
    def tier(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def line_count(self) -> int:
        return self.text.count("\n")


def files(*suffixes: str) -> Iterator[Path]:
    """Our files with one of these suffixes, in order of path; all of them when none is named."""
    for path in sorted(_walk(ROOT)):
        if not suffixes or path.suffix in suffixes:
            yield path


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if _is_ours(path.name):
                yield from _walk(path)
        elif path.is_file():
            yield path


def _is_ours(folder: str) -> bool:
    return folder in HIDDEN_OURS or not (
        folder in NOT_OURS or folder.startswith(".") or folder.endswith(".egg-info")
    )


def name_of(path: Path) -> str:
    """Path from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


@cache
def modules(*tiers: str) -> tuple[Module, ...]:
    """Our modules, those of `tiers` or of all."""
    wanted = tiers or CODE
    found = [path for path in files(".py") if name_of(path).split("/", 1)[0] in wanted]
    return tuple(
        Module(name_of(path), text := path.read_text(), ast.parse(text, str(path))) for path in found
    )


def imported_names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `{"dt": "datetime", "sleep": "asyncio.sleep"}`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """Full name of an expression such as `dt.datetime.now`, through the module's imports; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def words_of(name: str) -> list[str]:
    """`OrderUtils_v2` → `["order", "utils", "v2"]`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


def report(what: str, found: list[str]) -> str:
    """Message of a failed check: what to do, then each place."""
    return "\n  ".join([f"{what} ({len(found)})", *found])
