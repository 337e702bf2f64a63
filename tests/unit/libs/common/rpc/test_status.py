"""An error crosses a process border unchanged, and a status that is not ours is read with caution."""

from dataclasses import replace
from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation
from libs.common.rpc.contract import methods
from libs.common.rpc.status import (
    BARE,
    CODES,
    DETAILS_KEY,
    STATUS_BYTES_MAX,
    error_of,
    error_of_rpc,
    status_of,
)

READING = methods()["/ordermesh.connector.v1.ConnectorService/FindByKey"]
WRITING = methods()["/ordermesh.connector.v1.ConnectorService/ApplyChange"]
REPEATED = replace(WRITING, attempts_max=3)
"""No write of our contracts is repeated by gRPC itself; one that were would have to be sorted so."""

words = st.text(st.characters(codec="utf-8", exclude_characters=";", exclude_categories=["C"]), max_size=40)
keys = st.from_regex(r"[a-z_]{5,20}", fullmatch=True).filter(
    lambda key: key not in {"class", "owner", "verdict"}
)
violations = st.builds(
    Violation,
    field=words,
    description=words,
    reason=st.sampled_from(sorted(POLICIES)),
    rule=words,
    owner=words,
)


@given(
    kind=st.sampled_from([Refused, NotDone, OutcomeUnknown]),
    reason=st.sampled_from(sorted(POLICIES)),
    detail=words.filter(bool),
    found=st.lists(violations, max_size=5),
    retry_seconds=st.none() | st.integers(0, 100_000),
    metadata=st.dictionaries(keys, words.filter(bool), max_size=5),
    verdict=words,
)
def test_every_error_comes_back_as_it_went(
    kind: type[OrdermeshError],
    reason: str,
    detail: str,
    found: list[Violation],
    retry_seconds: int | None,
    metadata: dict[str, str],
    verdict: str,
) -> None:
    retry_after = None if retry_seconds is None else timedelta(seconds=retry_seconds)
    sent = kind(reason, detail, violations=found, retry_after=retry_after, metadata=metadata, verdict=verdict)
    status = status_of(sent)
    got = error_of(status_pb2.Status.FromString(status.SerializeToString()), WRITING)
    assert (type(got), got.reason, got.detail, got.facts) == (kind, reason, detail, sent.facts)
    assert status.code == POLICIES[reason].grpc_code


def test_class_and_owner_travel_for_readers_in_other_languages() -> None:
    info = error_details_pb2.ErrorInfo()
    status_of(NotDone("STORE_UNAVAILABLE")).details[0].Unpack(info)
    assert info.domain == "ordermesh"
    assert dict(info.metadata) == {"kind": "not_done", "class": "technical", "owner": "integration"}


def test_an_error_of_any_size_fits_into_an_answer_s_metadata() -> None:
    many = [Violation(f"order.lines[{n}].description", "é" * 500, rule="string.max_len") for n in range(1000)]
    facts = {f"fact_{n}": "x" * 1000 for n in range(100)}
    status = status_of(
        Refused("INVALID_FIELD", "ü" * 5000, violations=many, metadata=facts, verdict="v" * 9000)
    )
    assert status.ByteSize() <= STATUS_BYTES_MAX
    got = error_of(status, READING)
    assert got.violations[0].field == "order.lines[0].description"


def test_a_reason_from_a_newer_peer_keeps_its_kind() -> None:
    status = status_of(NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=7)))
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    info.reason = "MOON_IN_THE_WRONG_PHASE"
    status.details[0].Pack(info)
    got = error_of(status, WRITING)
    assert isinstance(got, NotDone)
    assert got.retry_after == timedelta(seconds=7)


def test_every_code_has_a_line_in_the_table_for_strangers() -> None:
    assert set(BARE) == set(grpc.StatusCode) == set(CODES.values())
    for line in BARE.values():
        assert {line.reading[1], line.writing[1]} <= set(POLICIES)


@pytest.mark.parametrize(
    ("code", "reading", "writing"),
    [
        (grpc.StatusCode.UNAVAILABLE, NotDone, OutcomeUnknown),
        (grpc.StatusCode.DEADLINE_EXCEEDED, NotDone, OutcomeUnknown),
        (grpc.StatusCode.CANCELLED, NotDone, OutcomeUnknown),
        (grpc.StatusCode.INTERNAL, NotDone, OutcomeUnknown),
        (grpc.StatusCode.UNKNOWN, NotDone, OutcomeUnknown),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, NotDone, NotDone),
        (grpc.StatusCode.UNIMPLEMENTED, Refused, Refused),
        (grpc.StatusCode.PERMISSION_DENIED, Refused, Refused),
    ],
)
def test_a_bare_status_counts_as_perhaps_applied_only_where_something_can_have_been(
    code: grpc.StatusCode, reading: type[OrdermeshError], writing: type[OrdermeshError]
) -> None:
    bare = grpc.aio.AioRpcError(code, details="10.0.0.7 said something")
    assert type(error_of_rpc(bare, READING)) is reading
    assert type(error_of_rpc(bare, WRITING)) is writing
    assert type(error_of_rpc(bare, None)) is writing
    assert "10.0.0.7" not in error_of_rpc(bare, None).detail


REFUSED_CONNECTION = grpc.aio.AioRpcError(
    grpc.StatusCode.UNAVAILABLE, details="failed to connect to all addresses; last error: Connection refused"
)


def test_a_refused_connection_is_not_done() -> None:
    assert isinstance(error_of_rpc(REFUSED_CONNECTION, WRITING), NotDone)


def test_a_refused_connection_may_be_the_second_try_where_grpc_repeats_on_its_own() -> None:
    assert isinstance(error_of_rpc(REFUSED_CONNECTION, REPEATED), OutcomeUnknown)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("CLIENT: Sent message larger than max (9 vs. 8)", Refused),
        ("SERVER: Received message larger than max (9 vs. 8)", Refused),
        ("Stream removed (CLIENT: Received message larger than max (9 vs. 8))", OutcomeUnknown),
    ],
)
def test_a_message_over_the_limit_is_refused_unless_it_was_the_answer_to_a_write(
    details: str, expected: type[OrdermeshError]
) -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, details=details)
    assert type(error_of_rpc(error, WRITING)) is expected
    assert type(error_of_rpc(error, READING)) is Refused


def test_details_that_cannot_be_read_are_no_details() -> None:
    mangled = grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), mangled)
    assert isinstance(error_of_rpc(error, WRITING), OutcomeUnknown)
