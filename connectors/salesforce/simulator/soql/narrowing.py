"""What a condition demands of every match: open this when a query is slow because it looks at every record."""

from __future__ import annotations

from collections.abc import Iterator

from .syntax import Both, Compare, Condition, Literal, Member, Path


def demanded(condition: Condition | None) -> Iterator[tuple[Path, tuple[Literal, ...]]]:
    """Fields that can only have one of these values in any record the condition lets pass."""
    if isinstance(condition, Both):
        for part in condition.parts:
            yield from demanded(part)
    elif isinstance(condition, Compare):
        if condition.operator == "=" and isinstance(condition.left, tuple):
            yield condition.left, (condition.right,)
    elif isinstance(condition, Member) and isinstance(condition.values, tuple) and not condition.negated:
        yield condition.left, condition.values


def changed_since(condition: Condition | None) -> Literal | None:
    """The bound, when the condition demands `SystemModstamp >= bound` (or >): what a poll asks."""
    if isinstance(condition, Both):
        return next((found for part in condition.parts if (found := changed_since(part))), None)
    if not isinstance(condition, Compare) or condition.operator not in (">", ">="):
        return None
    own_stamp = isinstance(condition.left, tuple) and [name.lower() for name in condition.left] == [
        "systemmodstamp"
    ]
    return condition.right if own_stamp and condition.right.kind == "datetime" else None
