"""One key, one document: however often a change is made, and whatever is lost on the way."""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TypeVar

import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.ids import new_id
from libs.common.testing.suites.connector.target import ConformanceTarget, Connect, Stub
from libs.common.testing.vendor import Fault, Kind, On

T = TypeVar("T")
AT_ONCE = 8
"""Calls; more than a caller makes one by one."""
MAPPING = re.compile(r"[a-z][a-z0-9_-]*\.[a-z_]+@[1-9][0-9]*")
SECRETS = re.compile(rb"(?i)bearer |client_secret|access_token|private_key|eyJ[\w-]{8,}\.")


async def capabilities(stub: Stub) -> Sequence[connector_service_pb2.KindCapability]:
    return (await stub.Describe(connector_service_pb2.DescribeRequest())).kinds


async def written_kinds(stub: Stub) -> Sequence[Kind.ValueType]:
    """Kinds that can be written by key and found by it; skips the test when there are none."""
    kinds = [entry.kind for entry in await capabilities(stub) if entry.upsert_by_key and entry.find_by_key]
    if not kinds:
        pytest.skip("the connector declares no kind with upsert_by_key and find_by_key")
    return kinds


async def apply(
    stub: Stub, change: change_pb2.Change, *, mapping: str = "", timeout: float | None = None
) -> change_pb2.Receipt:
    request = connector_service_pb2.ApplyChangeRequest(change=change, pinned_mapping=mapping)
    return (await stub.ApplyChange(request, timeout=timeout)).receipt


async def preview(stub: Stub, change: change_pb2.Change) -> connector_service_pb2.PreviewChangeResponse:
    return await stub.PreviewChange(connector_service_pb2.PreviewChangeRequest(change=change))


async def find(stub: Stub, kind: Kind.ValueType, key: str) -> change_pb2.Receipt | None:
    answer = await stub.FindByKey(connector_service_pb2.FindByKeyRequest(kind=kind, key=key))
    return answer.receipt if answer.HasField("receipt") else None


async def outcome(call: Awaitable[T]) -> T | OrdermeshError:
    """What the call brings, be it an error: an HTTP client may repeat on its own what has no further effect."""
    try:
        return await call
    except OrdermeshError as error:
        return error


async def failure(call: Awaitable[object]) -> OrdermeshError:
    with pytest.raises(OrdermeshError) as failed:
        await call
    return failed.value


class Writing:
    """Promises about ApplyChange and FindByKey."""

    async def test_a_change_made_twice_is_one_document(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                first = await apply(stub, change)
                again = await apply(stub, change)
                assert first.external_id
                assert (first.existed, again.existed) == (False, True)
                assert again.external_id == first.external_id
                assert await target.vendor.copies(kind, change.key) == 1

    async def test_a_preview_writes_nothing_and_what_was_written_differs_in_nothing(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                before = await outcome(preview(stub, change))
                if isinstance(before, OrdermeshError):
                    assert before.reason == "NOT_SUPPORTED"
                    continue
                assert (before.exists, len(before.differences) > 0) == (False, True)
                assert await target.vendor.copies(kind, change.key) == 0
                receipt = await apply(stub, change)
                after = await preview(stub, change)
                assert (after.exists, after.mapping) == (True, receipt.mapping)
                assert [each.path for each in after.differences] == []

    async def test_a_change_made_twice_at_once_is_one_document(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub, connect() as other:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                answers = await asyncio.gather(
                    apply(stub, change), apply(other, change), return_exceptions=True
                )
                assert not [answer for answer in answers if isinstance(answer, Refused)]
                await apply(stub, change)
                assert await target.vendor.copies(kind, change.key) == 1

    async def test_changes_under_way_at_the_same_time_are_each_answered_for_itself(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                changes = [target.change(kind, new_id("key")) for _ in range(AT_ONCE)]
                changes[-1].key = changes[-2].key
                await asyncio.gather(*(outcome(apply(stub, change)) for change in changes))
                receipts = await asyncio.gather(*(apply(stub, change) for change in changes))
                found = await asyncio.gather(*(find(stub, kind, change.key) for change in changes))
                assert [each.external_id for each in found if each] == [each.external_id for each in receipts]
                assert len({each.external_id for each in receipts}) == AT_ONCE - 1
                assert [await target.vendor.copies(kind, each.key) for each in changes] == [1] * AT_ONCE

    @pytest.mark.parametrize("fault", [Fault.LOSE_REPLY, Fault.RESET])
    async def test_a_lost_answer_leaves_a_write_in_doubt_and_the_look_up_settles_it(
        self, target: ConformanceTarget, connect: Connect, fault: Fault
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                await target.vendor.strike(fault, On.WRITE)
                told = await outcome(apply(stub, change))
                assert isinstance(told, OutcomeUnknown | change_pb2.Receipt)
                found = await find(stub, kind, change.key)
                done = fault is Fault.LOSE_REPLY or isinstance(told, change_pb2.Receipt)
                assert (found is not None) == done
                receipt = await apply(stub, change)
                assert found is None or receipt.external_id == found.external_id
                assert await target.vendor.copies(kind, change.key) == 1

    @pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER])
    async def test_what_may_have_been_done_is_never_called_not_done(
        self, target: ConformanceTarget, connect: Connect, fault: Fault
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                await target.vendor.strike(fault, On.WRITE)
                error = await failure(apply(stub, change))
                assert isinstance(error, NotDone | OutcomeUnknown)
                if isinstance(error, NotDone):
                    assert await target.vendor.copies(kind, change.key) == 0
                await apply(stub, change)
                assert await target.vendor.copies(kind, change.key) == 1

    async def test_a_call_cut_off_by_its_deadline_can_be_repeated(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                await target.vendor.strike(Fault.SLOW, On.WRITE, seconds=0.6)
                error = await failure(apply(stub, change, timeout=0.3))
                assert isinstance(error, OutcomeUnknown)
                await apply(stub, change)
                assert await target.vendor.copies(kind, change.key) == 1

    async def test_an_expired_token_is_renewed_and_nobody_notices(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                await target.vendor.strike(Fault.EXPIRED_TOKEN, On.WRITE)
                assert (await apply(stub, change)).external_id
                assert await target.vendor.copies(kind, change.key) == 1

    async def test_throttling_is_not_done_and_hands_the_vendor_s_time_on(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            kind = (await written_kinds(stub))[0]
            change = target.change(kind, new_id("key"))
            await target.vendor.strike(Fault.THROTTLE, On.WRITE, retry_after="7")
            error = await failure(apply(stub, change))
            assert isinstance(error, NotDone)
            assert error.retry_after is not None
            assert timedelta(seconds=5) < error.retry_after <= timedelta(seconds=10)
            assert await target.vendor.copies(kind, change.key) == 0

    async def test_a_refused_connection_is_not_done(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            kind = (await written_kinds(stub))[0]
            change = target.change(kind, new_id("key"))
            await target.vendor.leave()
            assert isinstance(await failure(apply(stub, change)), NotDone)
            assert isinstance(await failure(find(stub, kind, change.key)), NotDone)

    async def test_nothing_is_found_under_a_key_that_was_never_used(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                assert await find(stub, kind, new_id("key")) is None

    @pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.RESET, Fault.LOSE_REPLY])
    async def test_a_look_up_that_fails_never_says_that_there_is_nothing(
        self, target: ConformanceTarget, connect: Connect, fault: Fault
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                change = target.change(kind, new_id("key"))
                receipt = await apply(stub, change)
                await target.vendor.strike(fault, On.READ)
                told = await outcome(find(stub, kind, change.key))
                assert isinstance(told, NotDone | change_pb2.Receipt)
                assert isinstance(told, NotDone) or told.external_id == receipt.external_id

    async def test_a_refusal_has_a_reason_and_points_at_the_field(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        change = target.refused_change(new_id("key"))
        if change is None:
            pytest.skip("the system refuses nothing because of a field")
        async with connect() as stub:
            error = await failure(apply(stub, change))
            assert isinstance(error, Refused)
            assert error.violations
            assert error.violations[0].field
            assert await target.vendor.copies(change.kind, change.key) == 0

    async def test_a_receipt_tells_the_mapping_and_what_went_over_the_wire_without_secrets(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                receipt = await apply(stub, target.change(kind, new_id("key")))
                assert MAPPING.fullmatch(receipt.mapping)
                assert receipt.verdict
                assert receipt.exchange.operation
                assert receipt.exchange.status
                assert not SECRETS.search(receipt.exchange.SerializeToString())

    async def test_a_mapping_can_be_pinned_and_an_unknown_one_is_refused(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await written_kinds(stub):
                current = (await apply(stub, target.change(kind, new_id("key")))).mapping
                pinned = await apply(stub, target.change(kind, new_id("key")), mapping=current)
                assert pinned.mapping == current
                stranger = target.change(kind, new_id("key"))
                error = await failure(apply(stub, stranger, mapping=f"{current}9"))
                assert isinstance(error, Refused)
                assert await target.vendor.copies(kind, stranger.key) == 0

    async def test_a_cancelled_record_stays_cancelled_when_cancelled_again(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            kinds = [entry.kind for entry in await capabilities(stub) if entry.cancel]
            if not kinds:
                pytest.skip("the connector declares no kind with cancel")
            for kind in kinds:
                change = target.change(kind, new_id("key"))
                receipt = await apply(stub, change)
                change.intent = change_pb2.INTENT_CANCEL
                change.external_id = receipt.external_id
                first = await apply(stub, change)
                again = await apply(stub, change)
                assert first.external_id == again.external_id == receipt.external_id
