"""Modules and functions stay small, say what they are for and bear names of the trade."""

import ast

import pytest

from tests.tidy.tree import PRODUCT, ROOT, Module, functions, modules, report, words_of

LINES_MAX = 400
LINES_WANTED = 300
TEST_LINES_MAX = 900
"""A suite of promises about one thing is read one promise at a time."""
LONG_MODULES: dict[str, str] = {
    "connectors/kit/simulator/store.py": "one store, its rows and its transaction, which know each other's parts",
    "connectors/netsuite/simulator/record_types.py": "the vendor's record types as tables",
    "libs/common/durable/operations/servicer.py": "one method per rpc, two or three lines each",
    "services/order/commands.py": "one function per intention, read like a table of contents",
}
"""Modules between both bounds, each with the reason why it is better in one piece."""
FUNCTION_LINES_MAX = 60
EMPTY_NAMES = frozenset({"manager", "managers", "helper", "helpers", "util", "utils", "misc", "stuff"})
EMPTY_PHRASES = frozenset({"handler2", "process_data", "common_base"})


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        module.path for module in modules() if module.text.strip() and not ast.get_docstring(module.tree)
    ]
    assert not silent, report("Open each module with a docstring: what it is for and when to open it", silent)


def test_no_module_is_too_long_to_read_at_once() -> None:
    long = [
        f"{m.path}: {m.line_count} lines"
        for m in modules()
        if m.line_count > (TEST_LINES_MAX if m.tier == "tests" else LINES_MAX)
    ]
    assert not long, report(
        f"Make a package of each module over {LINES_MAX} lines; nobody's imports change", long
    )


def test_modules_near_the_bound_give_a_reason() -> None:
    long = [
        f"{m.path}: {m.line_count} lines"
        for m in modules(*PRODUCT, "protos")
        if LINES_WANTED < m.line_count <= LINES_MAX and m.path not in LONG_MODULES
    ]
    assert not long, report(
        f"Split each module over {LINES_WANTED} lines, or add it to LONG_MODULES with a reason", long
    )


def test_the_list_of_long_modules_is_not_stale() -> None:
    counts = {module.path: module.line_count for module in modules()}
    stale = [path for path in LONG_MODULES if counts.get(path, 0) <= LINES_WANTED]
    assert not stale, report("Take these out of LONG_MODULES, they are gone or short enough", stale)


def test_no_function_is_too_long_to_read_at_once() -> None:
    long = [
        f"{module.path}:{node.lineno} {node.name}: {count} lines"
        for module in modules()
        for node in functions(module.tree)
        if (count := lines_without_docstring(node)) > FUNCTION_LINES_MAX
    ]
    assert not long, report(f"Cut each function over {FUNCTION_LINES_MAX} lines into steps with a name", long)


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, nested functions included."""
    count = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        count -= (first.end_lineno or first.lineno) - first.lineno + 1
    return count


def test_names_are_the_trade_s_words() -> None:
    empty = [
        f"{module.path}: {name}"
        for module in modules()
        for name in defined_names(module)
        if says_nothing(name)
    ]
    assert not empty, report("Name each of these for what it does or holds", empty)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ConnectionManager", True),
        ("string_utils", True),
        ("process_data", True),
        ("order_lines", False),
        ("managed_by", False),
    ],
)
def test_empty_names_are_recognised(name: str, expected: bool) -> None:
    assert says_nothing(name) is expected


def says_nothing(name: str) -> bool:
    return name.lower() in EMPTY_PHRASES or not EMPTY_NAMES.isdisjoint(words_of(name))


def defined_names(module: Module) -> set[str]:
    """Names this module gives: itself, its classes, functions, parameters and variables."""
    names = set(module.path.removesuffix(".py").split("/"))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_the_type_checker_looks_at_every_tier() -> None:
    settings = (ROOT / "pyproject.toml").read_text()
    checked = settings.split("[tool.mypy]", 1)[1].split("files = [", 1)[1].split("]", 1)[0]
    missing = [
        tier
        for tier in ("libs", "services", "connectors", "gateway", "tests", "benchmarks")
        if (ROOT / tier).is_dir() and f'"{tier}"' not in checked
    ]
    assert not missing, report("Add to `files` of [tool.mypy] in pyproject.toml", missing)
