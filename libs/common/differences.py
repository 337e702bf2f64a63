"""What differs between two states of something, field by field. Open this file to change how a difference is told.

leaves     a value to path and text: `lines[0].unit_price` → `12.50 EUR`
differing  two sets of leaves to the fields that differ
shown_to   the same with what a role may not see masked
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from google.protobuf import json_format
from google.protobuf.message import Message
from google.type import money_pb2
from ordermesh.common.v1 import difference_pb2

from libs.common.masking import MASK, is_redacted
from libs.common.money import money_from
from libs.common.personal import hidden

DIFFERENCES_MAX = 1000
SHOWN_MAX = 2000
"""Characters of a value that are told."""
SEES_ALL = frozenset({"admin", "approver", "steward"})
"""Roles that see personal and financial values: who decides must see what he decides about."""
Leaves = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path lies: the record it belongs to, our word for the field, and whether its value is sensitive."""

    target: str
    field: Callable[[str], str] = lambda path: path
    sensitive: Callable[[str], bool] = lambda path: False


def leaves(value: object, path: str = "") -> dict[str, str]:
    """Path to text of everything in a JSON value or message that is neither absent nor empty."""
    return {at: text for at, text in _leaves(value, path) if text}


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Message):
        yield from _message_leaves(value, path)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, _text(value)


def _message_leaves(message: Message, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(message, money_pb2.Money):
        money = money_from(message)
        yield path, f"{money.text} {money.currency}"
    elif message.DESCRIPTOR.full_name.startswith("google."):
        told: object = json_format.MessageToDict(message)
        yield path, told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
    else:
        for field, value in message.ListFields():
            at = f"{path}.{field.name}" if path else field.name
            if field.enum_type is not None and not field.is_repeated:
                known = field.enum_type.values_by_number.get(value)
                yield at, known.name if known is not None else str(value)
            elif field.message_type is not None and field.message_type.GetOptions().map_entry:
                yield from _leaves({str(key): inner for key, inner in value.items()}, at)
            elif field.is_repeated:
                yield from _leaves(list(value), at)
            else:
                yield from _leaves(value, at)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value.hex() if isinstance(value, bytes) else str(value)


def differing(place: Place, old: Leaves, new: Leaves) -> list[difference_pb2.FieldDifference]:
    """In order of the new value, what would go last. At most `DIFFERENCES_MAX`."""
    found = [path for path in new if path not in old or not _same(old[path], new[path])]
    found += [path for path in old if path not in new]
    return [
        difference_pb2.FieldDifference(
            target=place.target,
            path=path,
            field=place.field(path),
            old_value=_cut(old.get(path)),
            new_value=_cut(new.get(path)),
            sensitive=place.sensitive(path),
        )
        for path in found[:DIFFERENCES_MAX]
    ]


def message_differences(
    target: str, old: Message | None, new: Message
) -> list[difference_pb2.FieldDifference]:
    """Of two messages of one type; what their contract marks is sensitive."""
    place = Place(target, sensitive=lambda path: is_redacted(new, path))
    return differing(place, leaves(old) if old is not None else {}, leaves(new))


def shown_to(
    roles: Collection[str], differences: Sequence[difference_pb2.FieldDifference]
) -> list[difference_pb2.FieldDifference]:
    """Copies, masked where the values are sensitive and no role of the caller's may see them; words likewise."""
    shown, sees_all = [], not SEES_ALL.isdisjoint(roles)
    for each in differences:
        copy = difference_pb2.FieldDifference()
        copy.CopyFrom(each)
        for name in () if sees_all else ("old_value", "new_value"):
            if each.HasField(name):
                setattr(copy, name, MASK if each.sensitive else hidden(getattr(each, name)))
        shown.append(copy)
    return shown


def _same(one: str, other: str) -> bool:
    """Numbers are the same whatever their digits: `12.5` is `12.50`."""
    if one == other:
        return True
    try:
        return Decimal(one) == Decimal(other)
    except ArithmeticError:
        return False


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"
