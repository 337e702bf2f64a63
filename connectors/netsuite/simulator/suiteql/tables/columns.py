"""Tables, rows and the column functions they are made of; open it before you add a table.

A column is a function of one row's source. Column names are those of the Records Catalog as far as we know them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from connectors.kit.simulator import Document, JsonObject
from connectors.netsuite.simulator.account import Account, decimal, stored_kind, text
from connectors.netsuite.simulator.record_types import ITEM_TYPES
from connectors.netsuite.simulator.rendering import display_name

Scalar = str | Decimal | datetime | date | None


@dataclass(frozen=True, slots=True)
class Row:
    """What a column reads: a document, and the line of it (or the address, price …) that the row stands for."""

    document: Document
    line: JsonObject = field(default_factory=dict)


Getter = Callable[[Account, Row], Scalar]


@dataclass(frozen=True, slots=True)
class Table:
    """A table. scan: all rows. lookups: rows by the value of a column, for those that can be found quickly.

    since: rows changed at or after a UTC time, for tables with `lastmodifieddate`. display: what BUILTIN.DF prints
    of a column instead of its value.
    """

    columns: Mapping[str, Getter]
    scan: Callable[[Account], Iterable[Row]]
    lookups: Mapping[str, Callable[[Account, str], Iterable[Row]]] = field(default_factory=dict)
    since: Callable[[Account, datetime], Iterable[Row]] | None = None
    display: Mapping[str, Getter] = field(default_factory=dict)


# Getters


def id_of(account: Account, row: Row) -> Scalar:
    return Decimal(row.document.id)


def key_of(account: Account, row: Row) -> Scalar:
    return row.document.key


def local_time(account: Account, moment: datetime) -> datetime:
    """The account's wall clock, whole seconds, without a zone: that is all SuiteQL knows of time."""
    return moment.astimezone(account.preferences.time_zone).replace(tzinfo=None, microsecond=0)


def created(account: Account, row: Row) -> Scalar:
    return local_time(account, row.document.created)


def modified(account: Account, row: Row) -> Scalar:
    return local_time(account, row.document.modified)


def text_of(name: str) -> Getter:
    return lambda account, row: text(row.document.body, name) or None


def number_of(name: str) -> Getter:
    return lambda account, row: optional_decimal(row.document.body, name)


def flag_of(name: str) -> Getter:
    return lambda account, row: "T" if row.document.body.get(name) else "F"


def date_of(name: str) -> Getter:
    return lambda account, row: optional_date(row.document.body, name)


def line_text(name: str) -> Getter:
    return lambda account, row: text(row.line, name) or None


def line_number(name: str) -> Getter:
    return lambda account, row: optional_decimal(row.line, name)


def line_flag(name: str) -> Getter:
    return lambda account, row: "T" if row.line.get(name) else "F"


def constant(value: str) -> Getter:
    return lambda account, row: value


def optional_decimal(body: JsonObject, name: str) -> Decimal | None:
    return None if body.get(name) in (None, "") else decimal(body, name)


def optional_date(body: JsonObject, name: str) -> date | None:
    return date.fromisoformat(text(body, name)) if text(body, name) else None


def named(record_type: str, name: str) -> Getter:
    """The display name of the record that a column refers to."""

    def get(account: Account, row: Row) -> Scalar:
        id_ = text(row.line, name) or text(row.document.body, name)
        for kind in ITEM_TYPES if record_type == "item" else (stored_kind(record_type),):
            found = account.store.get(kind, id_)
            if found is not None:
                return display_name(found)
        return None

    return get


# Rows


def documents(*kinds: str) -> Callable[[Account], Iterable[Row]]:
    return lambda account: (Row(document) for kind in kinds for document in account.store.all(kind))


def by_id(*kinds: str) -> Callable[[Account, str], Iterable[Row]]:
    return lambda account, id_: (
        Row(document) for kind in kinds if (document := account.store.get(kind, id_)) is not None
    )


def by_key(*kinds: str) -> Callable[[Account, str], Iterable[Row]]:
    return lambda account, key: (
        Row(document) for kind in kinds if (document := account.store.by_key(kind, key)) is not None
    )


def since_of(*kinds: str) -> Callable[[Account, datetime], Iterable[Row]]:
    return lambda account, moment: (
        Row(document) for kind in kinds for document in account.store.changed_since(kind, moment)
    )
