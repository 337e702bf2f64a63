"""What becomes of a value in a field that another system owns. Open this file to tell a write from an echo.

A system's feed tells whole records, so most of what it says of others' fields is what it was told itself. For each such
field a record keeps what the system showed last and what the record has held since (`Shown`):

    shows what the record holds, or has held since     an echo of our own writing
    shows what it showed before                        it was not told the news yet
    shows another value, and has shown all our news    a write; the field's policy decides
    shows another value, and has yet to show our news  a write that crossed the owner's: the owner's value wins
    is seen for the first time                         the owner's value wins

Pure besides the port `Contested`.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from libs.common.address import Address
from libs.common.aggregate import Aggregate, Ruled, Shown
from libs.common.ownership import FieldRule, Ownership, Policy, judge

A = TypeVar("A", bound=Aggregate)
A_contra = TypeVar("A_contra", bound=Aggregate, contravariant=True)
VALUES_MAX = 8
"""Values kept per system and field: the one shown last and the latest that the record has held since."""
NEVER_SHOWN = ""
"""In the place of what the system showed last: it was told the value behind, and has shown nothing yet."""
OWNER_WINS = "ownership.owner_wins"


class Contested(Protocol[A_contra]):
    """What the rules need of the records of a transaction."""

    @property
    def ownership(self) -> Ownership: ...

    @property
    def source(self) -> str:
        """`erp`, `crm` or `mesh`: who writes."""

    async def propose(self, record: A_contra, field: str, value: str) -> None:
        """Keeps the value for a steward, in place of an earlier proposal of the field."""

    async def withdraw(self, record: A_contra, fields: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """Closes open proposals of the fields; field → system and value of each."""


class Reading(StrEnum):
    """What it means that a system shows a value."""

    NOTHING_NEW = "nothing new"
    AGREED = "agreed"
    """Its value is the record's again."""
    FIRST = "first"
    CROSSED = "crossed"
    WROTE = "wrote"


@dataclass(frozen=True, slots=True)
class Claimed(Generic[A]):
    """A caller's write, as far as it is none of its fields."""

    record: A
    taken: frozenset[str]
    dropped: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()


# Callers ---------------------------------------------------------------------------------------------------------


async def claim(
    record: A, named: Collection[str], values: Mapping[str, object], by: str, records: Contested[A], path: str
) -> Claimed[A]:
    """A caller names fields. `values`: of those whose policy is not to refuse; `by`: the caller's system.

    A value that the record has already is no conflict. Refused with OWNERSHIP_VIOLATION.
    """
    ruling = judge(records.ownership, named, records.source, path)
    dropped = [rule for rule in ruling.dropped if _differs(record, rule, values)]
    proposed = [rule for rule in ruling.proposed if _differs(record, rule, values)]
    for rule in dropped:
        record = _with_ruling(record, rule.field, values[rule.field], _rule_text(rule.name, rule, by))
    for rule in proposed:
        record = await _proposed(record, rule, values[rule.field], by, records)
    return Claimed(
        record, ruling.taken, tuple(rule.field for rule in dropped), tuple(rule.field for rule in proposed)
    )


def _differs(record: Aggregate, rule: FieldRule, values: Mapping[str, object]) -> bool:
    return digest(values[rule.field]) != digest(held(record, rule.field))


# Feeds -----------------------------------------------------------------------------------------------------------


async def hear(
    record: A, system: str, values: Mapping[str, object], records: Contested[A], path: str
) -> tuple[A, bool]:
    """A system's feed shows values of fields that it does not own; the record, and whether the system is to be told it.

    Refused with OWNERSHIP_VIOLATION where a field's policy says so.
    """
    readings: dict[str, Reading] = {}
    for field, value in values.items():
        known = shown_by(record, system, field)
        if not value and (known is None or known.values[0] == NEVER_SHOWN):
            continue
        readings[field], shown = read(known, digest(value), digest(held(record, field)))
        record = _showing(record, replace(shown, system=system, field=field))
    agreed = [field for field, reading in readings.items() if reading is Reading.AGREED]
    if agreed:
        await records.withdraw(record, agreed)
    for field in _of(readings, Reading.FIRST, Reading.CROSSED):
        rule = records.ownership.fields[field]
        record = _with_ruling(record, field, values[field], _rule_text(OWNER_WINS, rule, system))
    ruling = judge(records.ownership, _of(readings, Reading.WROTE), records.source, path)
    for rule in ruling.dropped:
        record = _with_ruling(record, rule.field, values[rule.field], _rule_text(rule.name, rule, system))
    for rule in ruling.proposed:
        record = await _proposed(record, rule, values[rule.field], system, records)
        record = _showing(record, Shown(system, rule.field, (digest(values[rule.field]),)))
    return record, bool(ruling.dropped or _of(readings, Reading.CROSSED))


def read(known: Shown | None, said: str, holds: str) -> tuple[Reading, Shown]:
    """What it means that a system shows `said` while the record holds `holds`, and what to remember. Digests."""
    if said == holds:
        agreed = known is not None and known.values[0] not in (said, NEVER_SHOWN)
        return (Reading.AGREED if agreed else Reading.NOTHING_NEW), Shown("", "", (said,))
    if known is None:
        return Reading.FIRST, Shown("", "", (said, holds))
    if said in known.values:
        last = len(known.values) - 1 - known.values[::-1].index(said)
        return Reading.NOTHING_NEW, replace(known, values=known.values[last:])
    known_there = 2 if known.values[0] == NEVER_SHOWN else 1
    return (Reading.CROSSED if len(known.values) > known_there else Reading.WROTE), Shown(
        "", "", (said, holds)
    )


def _of(readings: Mapping[str, Reading], *wanted: Reading) -> list[str]:
    return [field for field, reading in readings.items() if reading in wanted]


def told(record: Aggregate, system: str, ownership: Ownership) -> tuple[Shown, ...]:
    """What a system knows once it was told the record, as far as others' writes of it are not refused anyway."""
    return tuple(
        Shown(system, rule.field, (NEVER_SHOWN, digest(held(record, rule.field))))
        for rule in ownership.fields.values()
        if rule.policy is not Policy.REFUSE
    )


def remember_told(record: A, knows: Sequence[Shown]) -> A:
    """A system was told an earlier state of the record; nothing to remember where it has shown something already."""
    for shown in knows:
        if shown_by(record, shown.system, shown.field) is None:
            news = digest(held(record, shown.field))
            values = shown.values if shown.values[-1] == news else (*shown.values, news)
            record = _showing(record, replace(shown, values=values))
    return record


# Owners ----------------------------------------------------------------------------------------------------------


async def owner_stated(before: A, after: A, records: Contested[A]) -> A:
    """The owner has stated its fields: remembers what systems have yet to show, closes what was proposed."""
    changed = [shown.field for shown in after.shown if held(before, shown.field) != held(after, shown.field)]
    for shown in after.shown:
        news = digest(held(after, shown.field))
        if shown.field in changed and shown.values[-1] != news:
            kept = (shown.values[0], *shown.values[1:][2 - VALUES_MAX :], news)
            after = _showing(after, replace(shown, values=kept))
    text = [rule.field for rule in records.ownership.fields.values() if rule.policy == "propose"]
    moved = [field for field in text if before.version and held(before, field) != held(after, field)]
    closed = await records.withdraw(after, moved) if moved else {}
    for field, (system, value) in closed.items():
        if digest(value) != digest(held(after, field)):
            rule = records.ownership.fields[field]
            after = _with_ruling(after, field, value, _rule_text(OWNER_WINS, rule, system))
    return after


# Parts -----------------------------------------------------------------------------------------------------------

ATTRIBUTES: Mapping[str, str] = {"currency_code": "currency", "amount_due": "amount_stated"}
"""Fields of the contracts that domains call by another name."""
FIELDS: Mapping[str, str] = {attribute: field for field, attribute in ATTRIBUTES.items()}


def held(record: Aggregate, field: str) -> object:
    """What the record holds in a field of its contract."""
    return getattr(record, ATTRIBUTES.get(field, field))


def shown_by(record: Aggregate, system: str, field: str) -> Shown | None:
    return next((shown for shown in record.shown if (shown.system, shown.field) == (system, field)), None)


def digest(value: object) -> str:
    """Equal for values that say the same: blanks do not count, and of an address only its letters and digits."""
    if isinstance(value, Address):
        parts = (
            value.addressee,
            *value.lines,
            value.locality,
            value.region,
            value.postal_code,
            value.country_code,
        )
        text = "".join(letter for letter in "".join(parts).casefold() if letter.isalnum())
    elif isinstance(value, Decimal):
        text = format(value.normalize(), "f")
    else:
        text = " ".join(str(value or "").split())
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


async def _proposed(record: A, rule: FieldRule, value: object, by: str, records: Contested[A]) -> A:
    await records.propose(record, rule.field, str(value or ""))
    return _with_ruling(record, rule.field, value, _rule_text(rule.name, rule, by))


def _with_ruling(record: A, field: str, wanted: object, rule: str) -> A:
    ruled = Ruled(ATTRIBUTES.get(field, field), str(held(record, field) or ""), str(wanted or ""), rule)
    return replace(record, ruled=(*record.ruled, ruled))


def _rule_text(name: str, rule: FieldRule, loser: str) -> str:
    return f"{name}: owner {rule.owner}, not taken from {loser}"


def _showing(record: A, shown: Shown) -> A:
    others = tuple(
        other for other in record.shown if (other.system, other.field) != (shown.system, shown.field)
    )
    kept = tuple(sorted((*others, shown), key=lambda each: (each.system, each.field)))
    return record if kept == record.shown else replace(record, shown=kept)
