"""What a migration may do while the release before it still runs. Open it when a migration was refused.

A statement contracts when code that knows only the schema before it would fail: it takes something away, renames it, or
asks for what the old code does not give. Tables that the same migration makes are free.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

NAME = r'"?(?:\w+"?\."?)?(\w+)"?'
MADE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{NAME}", re.IGNORECASE)
ABOUT = re.compile(rf"(?:ALTER TABLE|DROP TABLE)(?: IF EXISTS)?(?: ONLY)? {NAME}| ON {NAME}", re.IGNORECASE)
RULES: Sequence[tuple[str, str]] = (
    (r"\bDROP (TABLE|VIEW|COLUMN|SCHEMA|TYPE|SEQUENCE|FUNCTION)\b", "takes away what older code may use"),
    (r"\bALTER TABLE \S+ DROP (?!CONSTRAINT|NOT|IDENTITY|EXPRESSION|DEFAULT)", "takes a column away"),
    (r"\bRENAME\b", "renames what older code knows"),
    (r"\bALTER (COLUMN )?\S+ (SET DATA )?TYPE\b", "changes a column's type and rewrites its table"),
    (r"\bSET NOT NULL\b", "demands a value that older code may not give"),
    (r"\bDROP DEFAULT\b", "takes away what older code relies on"),
    (
        r"\bADD (COLUMN )?(?!CONSTRAINT)(IF NOT EXISTS )?\S+ (?=[^,]*NOT NULL)(?![^,]*(DEFAULT|GENERATED))",
        "demands a value that older code does not give",
    ),
    (
        r"\bADD (CONSTRAINT \S+ )?(CHECK|UNIQUE|FOREIGN|PRIMARY|EXCLUDE)\b",
        "refuses what older code may write",
    ),
    (r"\bCREATE UNIQUE INDEX\b", "refuses what older code may write"),
    (r"^\s*(TRUNCATE|DELETE)\b", "deletes"),
)
VERSION = re.compile(r"^## \[(\d+\.\d+\.\d+)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration: its file, its statements as PostgreSQL gets them, and what it says of itself."""

    path: Path
    statements: Sequence[str]
    last_used_by: str
    """Release whose code was the last to use what goes; empty for a migration that only adds."""


def revisions(folder: Path) -> Iterator[Revision]:
    """Of one service, oldest first."""
    for path in sorted((folder / "versions").glob("[0-9]*.py")):
        spec = spec_from_file_location(f"migration_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        written = io.StringIO()
        context = MigrationContext.configure(
            dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
        )
        with Operations.context(context):
            module.upgrade()
        yield Revision(path, statements_in(written.getvalue()), getattr(module, "last_used_by", ""))


def statements_in(script: str) -> list[str]:
    """Statements without comments, each on one line."""
    plain = re.sub(r"--[^\n]*", "", script)
    return [" ".join(statement.split()) for statement in plain.split(";") if statement.strip()]


def contracting(statements: Sequence[str]) -> list[str]:
    """What is wrong with each statement that contracts, in words."""
    made = {found[1] for statement in statements if (found := MADE.search(statement))}
    said = []
    for statement in statements:
        about = next((name for found in ABOUT.finditer(statement) for name in found.groups() if name), "")
        if about in made or MADE.search(statement):
            continue
        said += [
            f"{why}: {statement[:120]}" for rule, why in RULES if re.search(rule, statement, re.IGNORECASE)
        ]
    return said


def releases(changelog: str) -> list[tuple[int, ...]]:
    """Released versions, newest first."""
    return sorted((number(text) for text in VERSION.findall(changelog)), reverse=True)


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def may_contract(last_used_by: str, released: Sequence[tuple[int, ...]]) -> bool:
    """True when the newest release, whose processes run while this migration does, no longer used it."""
    return bool(last_used_by and released) and number(last_used_by) < released[0]
