"""An edited payload before it is taken. Open this file to follow what an edit must pass.

the item's kind lets its payload be edited at all
it is JSON of the item's type; what the caller could not see is the original's
it keeps the rules of its contract
it would be taken in now: the same domain checks as for a fresh one
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ordermesh.common.v1 import difference_pb2

from libs.common.context import current_context
from libs.common.differences import message_differences, shown_to
from libs.common.durable.model import Delivery
from libs.common.durable.operations.handling import Handling
from libs.common.durable.operations.payloads import message_of, parse_payload

Differences = Sequence[difference_pb2.FieldDifference]


@dataclass(frozen=True, slots=True)
class Edited:
    """What is to be carried, None for the original, and what differs from what was carried before."""

    data: bytes | None
    differences: Differences
    shown: Differences
    """As the caller may see them."""


async def check(handling: Handling, held: Delivery, original: bytes, text: str) -> Edited:
    """held: with what it carries now. Refused with NOT_SUPPORTED, MALFORMED_BODY, INVALID_FIELD, or as a fresh one."""
    if not handling.editable:
        await handling.check_edit(held)
    event, caller = held.event, current_context()
    message = parse_payload(event.type, text, event.data)
    data = message.SerializeToString(deterministic=True)
    await handling.check_edit(replace(held, event=replace(event, data=data, actor=caller.actor)))
    found = message_differences(event.subject, message_of(event.type, event.data), message)
    is_original = message_of(event.type, original) == message
    return Edited(None if is_original else data, found, shown_to(caller.roles, found))
