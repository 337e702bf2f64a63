"""Masking by contract. Open this file to learn how a field marked `debug_redact` is kept from people's eyes."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from libs.common.personal import hidden

MASK = "***"


def masked(message: Message) -> Message:
    """A copy in which every field marked `debug_redact` in the contract is blanked; texts show `***`.

    In other texts only the personal values are, which a person may have put there (`personal.py`).
    """
    copy = type(message)()
    copy.CopyFrom(message)
    _mask(copy)
    return copy


def _mask(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            message.ClearField(field.name)
            if field.type == field.TYPE_STRING and field.is_repeated:
                getattr(message, field.name).append(MASK)
            elif field.type == field.TYPE_STRING:
                setattr(message, field.name, MASK)
        elif field.type == field.TYPE_STRING:
            _hide(message, field.name, value)
        elif field.message_type is None:
            continue
        elif field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for item in value.values():
                    _mask(item)
        elif field.is_repeated:
            for item in value:
                _mask(item)
        else:
            _mask(value)


def _hide(message: Message, name: str, value: str | Sequence[str]) -> None:
    if isinstance(value, str):
        setattr(message, name, hidden(value))
    else:
        value[:] = [hidden(each) for each in value]  # type: ignore[index]


def is_redacted(message: Message, path: str) -> bool:
    """Whether the field at a path like `lines[0].ship_to` is marked, lies in one that is, or holds one.

    A path that the message does not have counts as marked: what is not known is not shown.
    """
    here = message.DESCRIPTOR if path else None
    for name in (name.partition("[")[0] for name in path.split(".")):
        field = here.fields_by_name.get(name) if here is not None else None
        if field is None or field.GetOptions().debug_redact:
            return True
        here = field.message_type
    return here is not None and _holds_redacted(here.fields, frozenset())


def _holds_redacted(fields: Sequence[Any], seen: frozenset[str]) -> bool:
    for field in fields:
        inner = field.message_type
        if field.GetOptions().debug_redact:
            return True
        if inner is None or inner.full_name in seen:
            continue
        if _holds_redacted(inner.fields, seen | {inner.full_name}):
            return True
    return False


def unmasked(message: Message, original: Message) -> None:
    """Puts back into `message` what a caller saw masked in `original` and handed in as it was shown.

    A text that still reads as it was shown takes the original's; a marked value of another kind, which is not shown at
    all, does so where it is left out. List entries are matched by their place.
    """
    for field in message.DESCRIPTOR.fields:
        if field.GetOptions().debug_redact:
            _put_back(message, original, field.name)
        elif field.type == field.TYPE_STRING:
            _put_words_back(message, original, field.name)
        elif field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        elif field.is_repeated:
            for mine, theirs in zip(
                getattr(message, field.name), getattr(original, field.name), strict=False
            ):
                unmasked(mine, theirs)
        elif message.HasField(field.name) and original.HasField(field.name):
            unmasked(getattr(message, field.name), getattr(original, field.name))


def _put_back(message: Message, original: Message, name: str) -> None:
    field, value = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if field.is_repeated:
        hidden = MASK in value if field.type == field.TYPE_STRING else not value
        if hidden:
            message.ClearField(field.name)
            getattr(message, field.name).MergeFrom(getattr(original, field.name))
    elif field.type == field.TYPE_STRING:
        if value == MASK:
            setattr(message, field.name, getattr(original, field.name))
    elif field.message_type is not None:
        if not message.HasField(field.name) and original.HasField(field.name):
            value.CopyFrom(getattr(original, field.name))
    elif not value:
        setattr(message, field.name, getattr(original, field.name))


def _put_words_back(message: Message, original: Message, name: str) -> None:
    mine, theirs = getattr(message, name), getattr(original, name)
    if isinstance(mine, str):
        if mine != theirs and mine == hidden(theirs):
            setattr(message, name, theirs)
    else:
        for place, (here, there) in enumerate(zip(mine, theirs, strict=False)):
            mine[place] = there if here == hidden(there) else here


def masked_json(message: Message) -> str:
    """JSON for people, sensitive fields masked."""
    text: str = MessageToJson(masked(message), preserving_proto_field_name=False, indent=2)
    return text
