"""Who changed what, in rows that each cover the one before. Open this file to learn what an auditor can check.

The hash of a row covers all its columns and the hash of the row before it of the same subject; the record keeps the
last hash. So a row that was altered, taken out or put in shows, and one cut off at the end does too.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from json.encoder import encode_basestring

from libs.common.aggregate import Aggregate
from libs.common.durable.tx.kind import A, Kind
from libs.common.personal import hidden

NOT_AUDITED = {"update_time", "sequence", "create_time", "correlation_id", "traceparent", "shown"}
NOT_COVERED = {"position", "hash"}
"""Columns of a stored row that its hash does not cover: the database gives one, the other is the hash."""
MASK = "***"
VALUE_MAX = 2000


def audit_digest(chain: bytes, row: Mapping[str, object]) -> bytes:
    """Hash of an audit row chained to the one before; what a checker computes again."""
    texts = [encode_basestring(str(row[name])) for name in sorted(row)]
    return hashlib.sha256(chain + f"[{', '.join(texts)}]".encode()).digest()


def verify_audit(
    rows: Iterable[Mapping[str, object]], last: bytes | None = None, anchor: bytes = b""
) -> int | None:
    """Position of the first row of one subject that does not fit the rows before it; None when all fit.

    rows: all rows of `audit` of one tenant and subject, in order of position, with all columns.
    last: the hash the record keeps, where it keeps one; rows cut off at the end give the position after the last.
    anchor: the hash in the subject's `audit_anchor`, where its oldest rows have gone.
    """
    chain, position = anchor, 0
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
    touched = {
        field.name
        for field in fields(after)
        if field.name not in NOT_AUDITED and getattr(before, field.name) is not getattr(after, field.name)
    }
    if not touched:
        return []
    old, new = kind.dump(before, touched), kind.dump(after, touched)
    names = [name for name in new if old.get(name) != new[name]]
    return [
        (name, MASK, MASK)
        if name in kind.redacted
        else (name, _shown(before, name, old.get(name)), _shown(after, name, new[name]))
        for name in names
    ]


def rulings(kind: Kind[A], record: A) -> list[tuple[str, str, str, str]]:
    """Field, value kept, value not taken and rule of each write that the record has not taken."""
    return [
        (ruled.field, MASK, MASK, ruled.rule)
        if ruled.field in kind.redacted
        else (ruled.field, _text(ruled.kept), f"not taken: {_text(ruled.wanted)}", ruled.rule)
        for ruled in record.ruled
    ]


def _shown(record: Aggregate, name: str, dumped: object) -> str:
    """People read names: `POSTED`, not the number it is stored as."""
    value = getattr(record, name, None)
    return value.name if isinstance(value, Enum) else _text(dumped)


def _text(value: object) -> str:
    """A remark may hold what a masked field would: no audit keeps it, for audits outlive records."""
    text = hidden(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"
