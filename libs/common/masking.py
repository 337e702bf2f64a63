"""Masking by contract. Open this file to learn how a field marked `debug_redact` is kept from people's eyes."""

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

MASK = "***"


def masked(message: Message) -> Message:
    """A copy in which every field marked `debug_redact` in the contract is blanked; texts show `***`."""
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


def masked_json(message: Message) -> str:
    """JSON for people, sensitive fields masked."""
    text: str = MessageToJson(masked(message), preserving_proto_field_name=False, indent=2)
    return text
