"""What a write would change, field by field. Open this file to let a connector preview its writes.

A connector maps as it would for the write, reads what the vendor holds at the same places, and compares. Values are in
the clear here; who may see them is decided where the caller is known.
"""

from collections.abc import Callable

from google.protobuf.message import Message
from ordermesh.common.v1 import difference_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.exact_json import JsonObject
from libs.common.differences import Place, differing, leaves
from libs.common.masking import is_redacted

ToField = Callable[[str], str]
"""The vendor's path to ours, such as `order.lines[0].tax_code`; anything else for what we have no word for."""


def differences(
    target: str, wanted: JsonObject, held: JsonObject, change: change_pb2.Change, to_field: ToField
) -> list[difference_pb2.FieldDifference]:
    """Of what is wanted to what is held; fields that would not be written are left out of `held` by the caller."""
    record = _record_of(change)

    def field(path: str) -> str:
        ours = to_field(path)
        return ours if ours.partition(".")[0] == change.WhichOneof("record") else ""

    def sensitive(path: str) -> bool:
        """What has no word of ours might be anything."""
        return is_redacted(record, field(path).partition(".")[2])

    return differing(Place(target, field, sensitive), leaves(held), leaves(wanted))


def compared(
    mapping: str,
    target: str,
    wanted: JsonObject,
    found: JsonObject | None,
    change: change_pb2.Change,
    to_field: ToField,
) -> connector_service_pb2.PreviewChangeResponse:
    """The whole answer for a vendor's record, None where there is none yet."""
    held = at_the_same_places(found or {}, wanted)
    return connector_service_pb2.PreviewChangeResponse(
        mapping=mapping,
        exists=found is not None,
        differences=differences(target, wanted, held if isinstance(held, dict) else {}, change, to_field),
    )


def at_the_same_places(held: object, wanted: object) -> object:
    """The part of `held` that a write of `wanted` would touch; further entries of a list that is sent whole stay."""
    if isinstance(wanted, dict):
        known = held if isinstance(held, dict) else {"id": held}  # a reference may be told by its bare id
        return {name: at_the_same_places(known.get(name), inner) for name, inner in wanted.items()}
    if isinstance(wanted, list):
        entries = held if isinstance(held, list) else []
        like = wanted[-1] if wanted else {}
        return [
            at_the_same_places(entry, wanted[place] if place < len(wanted) else like)
            for place, entry in enumerate(entries)
        ]
    return held


def _record_of(change: change_pb2.Change) -> Message:
    record: Message = getattr(change, str(change.WhichOneof("record")))
    return record
