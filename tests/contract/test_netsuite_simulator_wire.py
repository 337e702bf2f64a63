"""Names and letters of the simulated NetSuite account against the wire sheet, where that is on this machine."""

import json
from pathlib import Path

import pytest

from connectors.netsuite.simulator.record_types import RECORD_TYPES
from connectors.netsuite.simulator.schema import Shape

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire" / "netsuite" / "rest"
needs_wire_sheet = pytest.mark.skipif(not WIRE.is_dir(), reason="the wire sheet is not on this machine")


CUSTOM = "custentity_"
"""Begins the script id of a field that an account's administrator has added to entities."""


# Against the wire sheet


@needs_wire_sheet
@pytest.mark.parametrize(
    ("record", "file", "section", "sublist"),
    [
        ("salesOrder", "salesOrder.fields.json", "header", None),
        ("salesOrder", "salesOrder.fields.json", "item (line)", "item"),
        ("customer", "customer.fields.json", "header", None),
    ],
)
def test_field_names_are_the_published_ones(
    record: str, file: str, section: str, sublist: str | None
) -> None:
    published = json.loads((WIRE / file).read_text())
    names = {name.split("(")[0] for name in published[section]}
    for key in published["enums" if sublist is None else "item enums"]:
        names |= {part.split(".")[0].split(" ")[0] for part in key.split(" / ")}
    shape = RECORD_TYPES[record].shape if sublist is None else _sublist(RECORD_TYPES[record].shape, sublist)
    assert {field.name for field in shape if not field.name.startswith(CUSTOM)} <= names


@needs_wire_sheet
def test_address_fields_are_the_published_ones() -> None:
    published = json.loads((WIRE / "salesOrder.fields.json").read_text())["address subrecord"]
    address = RECORD_TYPES["salesOrder"].shape.field("shippingAddress")
    assert address is not None
    assert address.shape is not None
    assert {field.name for field in address.shape} <= set(published)


@needs_wire_sheet
def test_status_letters_are_the_published_ones() -> None:
    published = json.loads((WIRE / "statuses.json").read_text())
    sections = {"salesOrder": "salesOrder", "invoice": "invoice (CustInvc)"}
    sections |= {
        "itemFulfillment": "itemFulfillment (ItemShip)",
        "customerPayment": "customerPayment (CustPymt)",
    }
    for record, section in sections.items():
        status = RECORD_TYPES[record].shape.field("status")
        assert status is not None
        assert status.choices == published[section]


def _sublist(shape: Shape, name: str) -> Shape:
    field = shape.field(name)
    assert field is not None
    assert field.shape is not None
    return field.shape
