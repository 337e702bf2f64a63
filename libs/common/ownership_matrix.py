"""Who owns what, of all records, as one table. Open this file to change the page or the answer of `/v1/ownership`.

Both are made of the compiled contracts and of nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.descriptor import Descriptor
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.order.v1 import order_pb2
from ordermesh.product.v1 import product_pb2

from libs.common.ownership import (
    MESH,
    FieldRule,
    Ownership,
    Policy,
    field_rule,
    output_only_fields,
    ownership_of,
)

RESOURCES: tuple[Descriptor, ...] = (
    customer_pb2.Customer.DESCRIPTOR,
    product_pb2.Product.DESCRIPTOR,
    order_pb2.Order.DESCRIPTOR,
    invoice_pb2.Invoice.DESCRIPTOR,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One field, parts of a record included."""

    path: str
    """As the contract names it, for example `lines[].unit_price`."""
    json_path: str
    """As REST names it, for example `lines[].unitPrice`."""
    owner: str
    updaters: tuple[str, ...]
    """Who may change it, the owner first."""
    policy: Policy
    """What happens to a write by anybody else."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One kind of record."""

    resource: str
    owner: str
    sync_cadence: timedelta
    entries: tuple[Entry, ...]


def matrices() -> tuple[Matrix, ...]:
    """One for each kind of record, fields in the order of the contract."""
    return tuple(_matrix(descriptor) for descriptor in RESOURCES)


def _matrix(descriptor: Descriptor) -> Matrix:
    ownership = ownership_of(descriptor)
    entries = tuple(_entries(descriptor, ownership, ("", ""), closed=False))
    return Matrix(ownership.resource, ownership.owner, ownership.sync_cadence, entries)


def _entries(
    descriptor: Descriptor, ownership: Ownership, within: tuple[str, str], *, closed: bool
) -> Iterator[Entry]:
    """Fields of a message and of its parts.

    within: path and JSON path of the message, with a dot behind each. closed: true for a part of a field that callers
    must leave absent; its fields are refused whatever they say themselves.
    """
    for field in descriptor.fields:
        rule = field_rule(field, ownership.updaters, ownership.policy)
        if not rule.owner:
            continue
        many = "[]" if field.is_repeated else ""
        path, json_path = f"{within[0]}{field.name}{many}", f"{within[1]}{field.json_name}{many}"
        locked = closed or field.name in output_only_fields(descriptor)
        yield _entry(path, json_path, rule, locked=locked)
        part = field.message_type
        if part is not None and part.file.package == descriptor.file.package:
            yield from _entries(part, ownership, (f"{path}.", f"{json_path}."), closed=locked)


def _entry(path: str, json_path: str, rule: FieldRule, *, locked: bool) -> Entry:
    if locked or rule.owner == MESH:
        return Entry(path, json_path, rule.owner, (rule.owner,), Policy.REFUSE)
    return Entry(path, json_path, rule.owner, (rule.owner, *sorted(rule.updaters)), rule.policy)
