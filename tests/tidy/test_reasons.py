"""One list of reasons: what code raises is declared, what is declared is raised, and each has a word for operators."""

import ast
import re
from collections.abc import Iterator

from libs.common.errors import POLICIES
from tests.tidy.tree import PRODUCT, ROOT, Module, dotted, imported_names, modules, report

RAISED_BY = (
    "libs.common.errors.Refused",
    "libs.common.errors.Refused.field",
    "libs.common.errors.NotDone",
    "libs.common.errors.OutcomeUnknown",
    "libs.common.errors.Violation",
    "libs.common.retry.Parked",
)
PAGE = ROOT / "docs/reasons.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| (\d+) \| (\w+) \| ([\w-]+) \|(.*)\|$", re.MULTILINE)
NOT_YET = "not raised yet"


def raised(module: Module) -> Iterator[tuple[str, int]]:
    """Reasons that this module names where it makes an error, with their lines."""
    names = imported_names(module.tree)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or dotted(node.func, names) not in RAISED_BY:
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        if dotted(node.func, names) != "libs.common.errors.Violation":
            given += node.args[:1]
        for argument in given:
            for constant in ast.walk(argument):
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                    yield constant.value, constant.lineno


def test_every_reason_raised_is_declared() -> None:
    unknown = [
        f"{module.path}:{line} {reason}"
        for module in modules(*PRODUCT)
        for reason, line in raised(module)
        if reason not in POLICIES
    ]
    assert not unknown, report("Declare it in protos/ordermesh/common/v1/error_reason.proto", unknown)


def strings_of(module: Module) -> str:
    """All text of the module's code; docstrings only speak of things."""
    spoken = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    constants = [
        node for node in ast.walk(module.tree) if isinstance(node, ast.Constant) and id(node) not in spoken
    ]
    return " ".join(node.value for node in constants if isinstance(node.value, str))


def used_reasons() -> set[str]:
    """Reasons that stand anywhere in the product's code, the vendors' tables and SQL included."""
    words = set().union(*(re.findall(r"[A-Z_]+", strings_of(module)) for module in modules(*PRODUCT)))
    return set(POLICIES) & words


def documented() -> dict[str, tuple[str, str, str, str]]:
    """Reason → HTTP status, class, owner and advice, as docs/reasons.md says."""
    return {row[1]: (row[2], row[3], row[4], row[5]) for row in ROW.finditer(PAGE.read_text())}


def test_every_reason_declared_is_raised_or_said_to_wait() -> None:
    waiting = {reason for reason, (*_, advice) in documented().items() if NOT_YET in advice}
    unused = sorted(set(POLICIES) - used_reasons() - waiting)
    assert not unused, report(f"Raise it, or write `{NOT_YET}` into its row of docs/reasons.md", unused)
    raised_after_all = sorted(waiting & used_reasons())
    assert not raised_after_all, report(f"Take `{NOT_YET}` out of docs/reasons.md", raised_after_all)


def test_operators_find_every_reason_with_its_true_policy() -> None:
    pages = documented()
    expected = {
        name: (str(policy.http_status), policy.failure_class, policy.owner)
        for name, policy in POLICIES.items()
    }
    wrong = [
        f"{name}: expected `| {' | '.join(row)} |`"
        for name, row in expected.items()
        if pages.get(name, ())[:3] != row
    ]
    assert not wrong, report("Mend the row in docs/reasons.md", wrong)
    stale = sorted(set(pages) - set(expected))
    assert not stale, report("Take these out of docs/reasons.md", stale)
