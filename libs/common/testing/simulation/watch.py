"""What must hold after every commit, read off the rows that changed. Open this file to add an invariant.

A trigger notes each changed row in the transaction that changes it, so what was rolled back is never seen. After each
commit the notes are read and judged: events count up without gaps, a record and its events move together, the audit is
one chain, states only advance, a settled delivery stays settled, and none is held or settled before an older one of its
subject.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from libs.common.durable.store import schema_of
from libs.common.durable.tables import OPEN_STATES
from libs.common.durable.tx import audit_digest
from libs.common.testing.history import HOLDABLE, RANK
from libs.common.testing.simulation.backend import Backend
from libs.common.testing.simulation.fate import Fate

SETTLED = frozenset({"DELIVERED", "DISCARDED"})
STANDING = frozenset({*OPEN_STATES, "PARKED"})
JOURNAL = """
CREATE SCHEMA IF NOT EXISTS simulation;
CREATE TABLE IF NOT EXISTS simulation.journal (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, schema text, name text, was jsonb, row jsonb);
CREATE OR REPLACE FUNCTION simulation.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO simulation.journal (schema, name, was, row) VALUES (
        TG_TABLE_SCHEMA, TG_TABLE_NAME, to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
END $$
"""
READ = """
WITH taken AS (DELETE FROM simulation.journal RETURNING *)
SELECT schema, name, was, row FROM taken ORDER BY number
"""
Row = Mapping[str, Any]


def watch_table(control: Backend, service: str, table: str) -> None:
    """Its changes are noted from now on."""
    control.query(
        f'CREATE TRIGGER noted AFTER INSERT OR UPDATE ON "{schema_of(service)}".{table}'
        " FOR EACH ROW EXECUTE FUNCTION simulation.note()"
    )


@dataclass(slots=True)
class Known:
    """What one run has shown so far. Keys begin with the schema."""

    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    chains: dict[tuple[str, str], bytes] = field(default_factory=dict)
    standing: dict[tuple[str, str, str], dict[int, str]] = field(default_factory=dict)
    """State of each delivery by target and subject, then sequence."""


class Watch:
    """Judges every commit of one run."""

    def __init__(self, control: Backend, fate: Fate) -> None:
        self._control = control
        self._fate = fate
        self._known = Known()

    def look(self) -> None:
        """Reads what was committed since the last time, and objects to what must not be."""
        rows = [
            (schema, name, _parsed(was), _parsed(row)) for schema, name, was, row in self._control.query(READ)
        ]
        for schema, name, was, row in rows:
            if name == "event":
                self._see_event(schema, row)
            elif name == "audit":
                self._see_audit(schema, row)
            elif name == "delivery":
                self._see_delivery(schema, was, row)
        for schema, name, was, row in rows:
            if name == "delivery" and row["lease_id"] and row["lease_id"] != was.get("lease_id"):
                self._see_held(schema, row)
            if "audit_hash" in row:
                self._see_record(schema, name, was, row)

    def _see_event(self, schema: str, row: Row) -> None:
        key, sequence = (schema, row["subject"]), row["sequence"]
        self._fate.note(f"  event {row['subject']} {sequence} {row['type'].rsplit('.', 1)[1]}")
        last = self._known.sequences.get(key, 0)
        if sequence != last + 1:
            self._fate.object(f"event lost: {row['subject']}: {sequence} follows {last}")
        self._known.sequences[key] = sequence

    def _see_audit(self, schema: str, row: Row) -> None:
        key = (schema, row["subject"])
        covered = {name: value for name, value in row.items() if name not in ("position", "hash")}
        covered["occurred_time"] = datetime.fromisoformat(row["occurred_time"]).astimezone(UTC)
        digest = audit_digest(self._known.chains.get(key, b""), covered)
        if digest != _bytes(row["hash"]):
            self._fate.object(f"audit broken: {row['subject']}: {row['field']} does not follow")
        self._known.chains[key] = digest

    def _see_delivery(self, schema: str, was: Row, row: Row) -> None:
        key, sequence, state = (schema, row["target"], row["subject"]), row["sequence"], row["state"]
        if not was or was["state"] != state:
            self._fate.note(
                f"  {row['subject']} {sequence} {state} for {row['target']} {row['reason']}".rstrip()
            )
        if was and was["state"] in SETTLED and (state != was["state"] or row["lease_id"]):
            self._fate.object(f"settled delivery moved: {row['subject']} for {row['target']}: {state}")
        line = self._known.standing.setdefault(key, {})
        line[sequence] = state
        if state == "DELIVERED" and any(
            other < sequence and standing in STANDING for other, standing in line.items()
        ):
            self._fate.object(f"overtaken: {row['subject']} {sequence} for {row['target']}")

    def _see_held(self, schema: str, row: Row) -> None:
        """Whoever claims a delivery, or makes and holds it in one, holds the first of its line."""
        line = self._known.standing[schema, row["target"], row["subject"]]
        if any(other < row["sequence"] and standing in STANDING for other, standing in line.items()):
            self._fate.object(f"held out of line: {row['subject']} {row['sequence']} for {row['target']}")

    def _see_record(self, schema: str, name: str, was: Row, row: Row) -> None:
        subject = f"{name}/{row['record_id']}"
        told, sequence = self._known.sequences.get((schema, subject), 0), row["record"]["sequence"]
        if told != sequence:
            self._fate.object(f"event lost: {subject}: {sequence} changes, {told} events")
        if self._known.chains.get((schema, subject), b"") != _bytes(row["audit_hash"]):
            self._fate.object(f"audit broken: {subject}: the chain does not end where the record says")
        if name == "orders":
            self._see_state(subject, was.get("state", "RECEIVED"), row["state"])

    def _see_state(self, subject: str, before: str, after: str) -> None:
        if before != after:
            self._fate.note(f"  {subject} {before} → {after}")
        if not advances(before, after):
            self._fate.object(f"state went back: {subject}: {before} → {after}")


def advances(before: str, after: str) -> bool:
    """An order may go from hold back to where it was; every other step is forward."""
    return RANK[after] >= RANK[before] or {RANK[before], RANK[after]} <= HOLDABLE


def columns_to_watch(tables: Sequence[str]) -> Sequence[str]:
    """Tables whose changes are judged."""
    return ["event", "audit", "delivery", *tables]


def _parsed(text: str) -> Row:
    found: Row = json.loads(text) if text else {}
    return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))
