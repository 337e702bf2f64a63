"""The stored text of a record: short, and read as what was written."""

import json
from dataclasses import replace

import pytest

from libs.common.aggregate import Link, revised
from libs.common.durable.tx.kind import STORED_APART
from libs.common.testing.clock import START
from libs.common.testing.records import NOTE, Note

EMPTY = Note(
    tenant="acme",
    record_id="nte_1",
    create_time=START,
    update_time=START,
    correlation_id="cor_1",
    traceparent="",
    text="hello",
)
FULL = replace(
    EMPTY, secret="s", hears=("stream",), links=(Link("erp", "110", "N1", "v1"),), sequence=3, version=2
)


def row_of(record: Note, text: str) -> dict[str, object]:
    return {
        "tenant": record.tenant,
        "record_id": record.record_id,
        "version": record.version,
        "audit_hash": b"",
        "record": text,
    }


def test_a_stored_record_is_read_as_it_was_and_holds_no_defaults() -> None:
    assert NOTE.load(row_of(EMPTY, NOTE.text(EMPTY))) == EMPTY
    assert NOTE.load(row_of(FULL, NOTE.text(FULL))) == FULL
    assert json.loads(NOTE.text(EMPTY)).keys() == {
        "create_time",
        "update_time",
        "correlation_id",
        "traceparent",
        "text",
    }


def test_a_record_that_was_stored_with_its_defaults_is_read_all_the_same() -> None:
    whole = NOTE.codec.dump_json(EMPTY, exclude=STORED_APART).decode()

    assert "secret" in whole
    assert NOTE.load(row_of(EMPTY, whole)) == EMPTY


def test_a_revised_record_differs_in_what_was_named_and_leaves_the_old_one_alone() -> None:
    later = revised(FULL, version=3, pending=())

    assert later == replace(FULL, version=3, pending=())
    assert FULL.version == 2


def test_a_record_is_not_revised_in_what_it_does_not_have() -> None:
    with pytest.raises(AttributeError):
        revised(FULL, colour="red")
