"""Who changed what, in rows that each cover the one before. Open this file to learn what an auditor can check.

The hash of a row covers all its columns and the hash of the row before it of the same subject; the record keeps the
last hash. So a row that was altered, taken out or put in shows, and one cut off at the end does too.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import Enum

from libs.common.aggregate import Aggregate
from libs.common.durable.tx.kind import A, Kind

NOT_AUDITED = {"update_time", "sequence", "create_time", "correlation_id", "traceparent"}
NOT_COVERED = {"position", "hash"}
"""Columns of a stored row that its hash does not cover: the database gives one, the other is the hash."""
MASK = "***"
VALUE_MAX = 2000


def audit_digest(chain: bytes, row: Mapping[str, object]) -> bytes:
    """Hash of an audit row chained to the one before; what a checker computes again."""
    text = json.dumps([str(row[name]) for name in sorted(row)], ensure_ascii=False)
    return hashlib.sha256(chain + text.encode()).digest()


def verify_audit(rows: Iterable[Mapping[str, object]], last: bytes | None = None) -> int | None:
    """Position of the first row of one subject that does not fit the rows before it; None when all fit.

    rows: all rows of `audit` of one tenant and subject, in order of position, with all columns.
    last: the hash the record keeps, where it keeps one; rows cut off at the end give the position after the last.
    """
    chain, position = b"", 0
    for row in rows:
        position = int(str(row["position"]))
        expected = audit_digest(chain, {name: row[name] for name in row if name not in NOT_COVERED})
        if row["hash"] != expected:
            return position
        chain = expected
    return position + 1 if last is not None and last != chain else None


def changes(kind: Kind[A], before: A | None, after: A) -> list[tuple[str, str, str]]:
    """Field, old and new value of what changed; one entry for a new record."""
    if before is None:
        return [("", "", "registered")]
    old, new = kind.dump(before), kind.dump(after)
    names = [name for name in new if name not in NOT_AUDITED and old.get(name) != new[name]]
    return [
        (name, MASK, MASK)
        if name in kind.redacted
        else (name, _shown(before, name, old.get(name)), _shown(after, name, new[name]))
        for name in names
    ]


def _shown(record: Aggregate, name: str, dumped: object) -> str:
    """People read names: `POSTED`, not the number it is stored as."""
    value = getattr(record, name, None)
    return value.name if isinstance(value, Enum) else _text(dumped)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"
