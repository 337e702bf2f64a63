"""Who owns a field, as the contract says. Open this file to see how a write of somebody else's field is refused."""

from collections.abc import Mapping, Sequence
from functools import cache

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from ordermesh.common.v1 import ownership_pb2

from libs.common.errors import Refused, Violation

OUTPUT_ONLY = field_behavior_pb2.OUTPUT_ONLY


def owner_of(field: FieldDescriptor) -> str:
    """`erp`, `crm` or `mesh`; empty where the contract names none."""
    owner = field.GetOptions().Extensions[ownership_pb2.owner]
    return ownership_pb2.Owner.Name(owner).removeprefix("OWNER_").lower() if owner else ""


@cache
def field_owners(descriptor: Descriptor) -> Mapping[str, str]:
    """Field name to owner."""
    return {field.name: owner_of(field) for field in descriptor.fields}


@cache
def output_only_fields(descriptor: Descriptor) -> frozenset[str]:
    """Names of the fields a caller must leave absent."""
    return frozenset(
        field.name
        for field in descriptor.fields
        if OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]  # type: ignore[index]
    )


@cache
def nested_resources(descriptor: Descriptor) -> tuple[tuple[str, bool], ...]:
    """Fields of ours that hold messages of ours, and whether they repeat."""
    return tuple(
        (field.name, field.is_repeated)
        for field in descriptor.fields
        if field.message_type is not None
        and field.message_type.full_name.startswith("ordermesh.")
        and not field.message_type.GetOptions().map_entry
    )


def refuse_output_only(message: Message, path: str) -> None:
    """Refused with OWNERSHIP_VIOLATION when the caller sets what only its owner sets. `path`: of the message."""
    violations: list[Violation] = []
    _collect(message, path, violations)
    if violations:
        raise Refused("OWNERSHIP_VIOLATION", violations[0].description, violations=violations)


def fields_to_update(
    record: Message, mask: Sequence[str], *, owner: str, identity: str, path: str
) -> frozenset[str]:
    """Names of the fields that a write by `owner` changes: those of the mask, or all that are present without one.

    identity: field that says which record is meant. path: of the record in the request.
    Refused with OWNERSHIP_VIOLATION for each field of the mask or the record that somebody else owns, INVALID_FIELD for
    a name in the mask that the record does not have.
    """
    owners = field_owners(record.DESCRIPTOR)
    unknown = [name for name in mask if name not in owners]
    if unknown:
        raise Refused.field("INVALID_FIELD", "update_mask", f"there is no field {unknown[0]}")
    present = [field.name for field, _ in record.ListFields() if field.name != identity]
    violations = [
        Violation(
            f"{path}.{name}",
            f"is set by the {owners[name].upper()}",
            "OWNERSHIP_VIOLATION",
            owner=owners[name],
        )
        for name in dict.fromkeys([*mask, *present])
        if owners[name] != owner
    ]
    if violations:
        raise Refused("OWNERSHIP_VIOLATION", violations[0].description, violations=violations)
    return frozenset(mask or present)


def _collect(message: Message, path: str, violations: list[Violation]) -> None:
    forbidden = output_only_fields(message.DESCRIPTOR)
    for field, _ in message.ListFields():
        if field.name in forbidden:
            owner = owner_of(field)
            said = f"is set by the {owner.upper()} and must be absent"
            violations.append(Violation(f"{path}.{field.name}", said, "OWNERSHIP_VIOLATION", owner=owner))
    for name, repeated in nested_resources(message.DESCRIPTOR):
        if name in forbidden:
            continue
        if repeated:
            for index, item in enumerate(getattr(message, name)):
                _collect(item, f"{path}.{name}[{index}]", violations)
        elif message.HasField(name):
            _collect(getattr(message, name), f"{path}.{name}", violations)
