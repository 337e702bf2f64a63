"""The vendor's database; open it to see what a simulator remembers and what survives a kill.

Documents live in SQLite and, as a whole, in memory: reads never touch the disk. There is one writer, the
event loop that owns the store, so a change is written without any waiting in between and needs no lock.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from connectors.kit.simulator.clock import Clock, system_clock
from connectors.kit.simulator.exact import JsonObject, dumps, loads

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    key      TEXT,              -- the caller's own key (external id), unique within its kind
    seq      INTEGER NOT NULL,  -- grows with every write of any document
    created  TEXT NOT NULL,     -- ISO 8601, UTC
    modified TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS document_key ON document (kind, key) WHERE key IS NOT NULL;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

# Not INSERT OR REPLACE: that would quietly delete another document that holds the same key.
_PUT_DOCUMENT = """
INSERT INTO document VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET
    key = excluded.key, seq = excluded.seq, modified = excluded.modified, body = excluded.body
"""

_SEQ = "_seq"
_WRITES = "_writes"


class DuplicateKey(Exception):
    """Another document of the kind already carries this external key."""

    def __init__(self, kind: str, key: str, holder: str) -> None:
        super().__init__(f"{kind} {key!r} is already {holder}")
        self.kind, self.key, self.holder = kind, key, holder


@dataclass(slots=True)
class Document:
    """One stored record. What `Store` hands out is shared: alter only what `Change` hands out."""

    kind: str
    id: str
    key: str | None
    body: JsonObject
    created: datetime
    modified: datetime
    seq: int = 0


class Store:
    """All documents of one simulator. `path` None keeps them in memory only."""

    def __init__(self, path: Path | None = None, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._kinds: dict[str, dict[str, Document]] = {}  # each kind in the order of last change
        self._ids: dict[tuple[str, str], str] = {}  # (kind, key) → id
        self._counters: dict[str, int] = {}
        self._latest: datetime | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5)
        # A second process on the same file would hand out the same ids: the lock makes it fail at start
        # instead.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        # NORMAL survives kill -9, which is what we promise: committed pages are with the kernel. Only a power
        # cut could take the last commits, and FULL would stall the event loop for an fsync on every request.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._load()

    def _load(self) -> None:
        for name, value in self._db.execute("SELECT name, value FROM counter"):
            self._counters[name] = value
        rows = self._db.execute(
            "SELECT kind, id, key, seq, created, modified, body FROM document ORDER BY seq"
        )
        for kind, id_, key, seq, created, modified, body in rows:
            when = datetime.fromisoformat(modified)
            fields = cast(JsonObject, loads(body))
            self._remember(Document(kind, id_, key, fields, datetime.fromisoformat(created), when, seq))
            self._latest = when

    def close(self) -> None:
        self._db.close()

    def now(self) -> datetime:
        """The vendor's clock."""
        return self._clock()

    # Reading

    def get(self, kind: str, id_: str) -> Document | None:
        return self._kinds.get(kind, {}).get(id_)

    def by_key(self, kind: str, key: str) -> Document | None:
        id_ = self._ids.get((kind, key))
        return None if id_ is None else self._kinds[kind][id_]

    def all(self, kind: str) -> list[Document]:
        """Every document of the kind, the one changed longest ago first."""
        return list(self._kinds.get(kind, {}).values())

    def changed_after(self, kind: str, seq: int) -> list[Document]:
        """Documents of the kind written after `seq`, in the order of their last write; none of the deleted."""
        newest_first: list[Document] = []
        for document in reversed(self._kinds.get(kind, {}).values()):
            if document.seq <= seq:
                break
            newest_first.append(document)
        return newest_first[::-1]

    def changed_since(self, kind: str, when: datetime) -> list[Document]:
        """Documents of the kind last written at `when` or later, in the order of their last write."""
        newest_first: list[Document] = []
        for document in reversed(self._kinds.get(kind, {}).values()):
            if document.modified < when:
                break
            newest_first.append(document)
        return newest_first[::-1]

    def kinds(self) -> list[str]:
        return sorted(kind for kind, documents in self._kinds.items() if documents)

    def count(self, kind: str) -> int:
        return len(self._kinds.get(kind, {}))

    def counter(self, name: str) -> int:
        """The last number that `Change.next_number` gave out under this name, 0 at first."""
        return self._counters.get(name, 0)

    @property
    def seq(self) -> int:
        """The highest sequence given out."""
        return self.counter(_SEQ)

    @property
    def writes(self) -> int:
        """How many counted changes were ever committed: the caller's, not those of seeding and advancing."""
        return self.counter(_WRITES)

    # Writing

    @contextmanager
    def change(self, *, counted: bool = True) -> "Iterator[Change]":
        """Collects one atomic change: all of it is committed when the block ends, nothing if it raises.

        Never await inside the block. counted: False for what the vendor's own people or the test do.
        Raises DuplicateKey at the end of the block.
        """
        now = self._clock()
        change = Change(self, now if self._latest is None else max(now, self._latest))
        yield change
        self._commit(change, counted)

    def _commit(self, change: "Change", counted: bool) -> None:
        written = [document for document in change.staged.values() if document is not None]
        removed = [name for name, document in change.staged.items() if document is None]
        if not written and not removed and not change.counters:
            return
        self._refuse_taken_keys(change, written)
        counters = {name: self.counter(name) + step for name, step in change.counters.items()}
        seq = self.seq
        for document in written:
            seq += 1
            document.seq, document.modified = seq, change.now
        counters[_SEQ] = seq
        counters[_WRITES] = self.writes + int(counted)
        self._write(written, removed, counters)
        for kind, id_ in removed:
            self._forget(kind, id_)
        for document in written:
            self._forget(document.kind, document.id)
            self._remember(document)
        self._counters.update(counters)
        self._latest = change.now

    def _refuse_taken_keys(self, change: "Change", written: list[Document]) -> None:
        claimed: dict[tuple[str, str], str] = {}
        for document in written:
            if document.key is None:
                continue
            name = (document.kind, document.key)
            holder = claimed.get(name) or self._ids.get(name)
            if holder is not None and holder != document.id:
                current = change.get(document.kind, holder)
                if current is not None and current.key == document.key:
                    raise DuplicateKey(document.kind, document.key, holder)
            claimed[name] = document.id

    def _write(
        self,
        written: list[Document],
        removed: list[tuple[str, str]],
        counters: dict[str, int],
    ) -> None:
        rows = [
            (
                d.kind,
                d.id,
                d.key,
                d.seq,
                d.created.isoformat(),
                d.modified.isoformat(),
                dumps(d.body),
            )
            for d in written
        ]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("DELETE FROM document WHERE kind = ? AND id = ?", removed)
            self._db.executemany(_PUT_DOCUMENT, rows)
            self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", list(counters.items()))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _remember(self, document: Document) -> None:
        self._kinds.setdefault(document.kind, {})[document.id] = document
        if document.key is not None:
            self._ids[document.kind, document.key] = document.id

    def _forget(self, kind: str, id_: str) -> None:
        old = self._kinds.get(kind, {}).pop(id_, None)
        if old is not None and old.key is not None and self._ids.get((kind, old.key)) == id_:
            del self._ids[kind, old.key]


class Change:
    """One change while it is being put together. Reads see what was staged before them."""

    def __init__(self, store: Store, now: datetime) -> None:
        self.now = now
        self._store = store
        self.staged: dict[tuple[str, str], Document | None] = {}  # None: removed
        self.counters: dict[str, int] = {}

    def get(self, kind: str, id_: str) -> Document | None:
        if (kind, id_) in self.staged:
            return self.staged[kind, id_]
        return self._store.get(kind, id_)

    def by_key(self, kind: str, key: str) -> Document | None:
        for document in self.staged.values():
            if document is not None and document.kind == kind and document.key == key:
                return document
        stored = self._store.by_key(kind, key)
        return stored if stored is not None and (kind, stored.id) not in self.staged else None

    def next_number(self, name: str) -> int:
        """1, 2, 3 … for each name; a number taken by a change that failed is given out again."""
        self.counters[name] = self.counters.get(name, 0) + 1
        return self._store.counter(name) + self.counters[name]

    def add(self, kind: str, id_: str, body: JsonObject, *, key: str | None = None) -> Document:
        """Stages a new document. The id must be free: take it from `next_number`."""
        assert self.get(kind, id_) is None, f"{kind} {id_} exists"
        document = Document(kind, id_, key, body, created=self.now, modified=self.now)
        self.staged[kind, id_] = document
        return document

    def edit(self, kind: str, id_: str) -> Document:
        """A private copy that will be written; the same one when asked again. Raises KeyError if absent."""
        if (kind, id_) in self.staged:
            staged = self.staged[kind, id_]
            if staged is None:
                raise KeyError((kind, id_))
            return staged
        stored = self._store.get(kind, id_)
        if stored is None:
            raise KeyError((kind, id_))
        body = cast(JsonObject, _copy(stored.body))
        copy = Document(kind, id_, stored.key, body, stored.created, stored.modified, stored.seq)
        self.staged[kind, id_] = copy
        return copy

    def remove(self, kind: str, id_: str) -> None:
        self.staged[kind, id_] = None


def _copy(value: object) -> object:
    """copy.deepcopy for JSON values, at a tenth of the price."""
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value
