"""Every change after the cursor comes at least once, in order, and then the stream ends."""

from collections.abc import Sequence

import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from libs.common.errors import NotDone
from libs.common.testing.suites.connector.target import ConformanceTarget, Connect, Stub
from libs.common.testing.suites.connector.writing import capabilities, outcome
from libs.common.testing.vendor import Fault, Kind, On

Item = connector_service_pb2.ReadChangesResponse
READS_MAX = 50
"""Reads after which a feed that does not end is given up."""


async def fed_kinds(stub: Stub) -> Sequence[Kind.ValueType]:
    """Kinds with a change feed; skips the test when there are none."""
    kinds = [entry.kind for entry in await capabilities(stub) if entry.change_feed]
    if not kinds:
        pytest.skip("the connector declares no kind with change_feed")
    return kinds


async def read(stub: Stub, kind: Kind.ValueType, cursor: bytes, limit: int = 100) -> list[Item]:
    request = connector_service_pb2.ReadChangesRequest(kind=kind, cursor=cursor, limit=limit)
    return [item async for item in stub.ReadChanges(request)]


async def read_up(
    stub: Stub, kind: Kind.ValueType, cursor: bytes = b"", limit: int = 100
) -> tuple[list[Item], bytes]:
    """Reads on until a read brings nothing new; the items and the last cursor."""
    items: list[Item] = []
    seen: set[tuple[str, str]] = set()
    for _ in range(READS_MAX):
        page = await read(stub, kind, cursor, limit)
        assert len(page) <= limit
        new = [item for item in page if version(item) not in seen]
        seen.update(version(item) for item in page)
        items += page
        cursor = page[-1].cursor if page else cursor
        if not [item for item in new if item.HasField("change")]:
            return items, cursor
    raise AssertionError(f"the feed does not end after {READS_MAX} reads")


def version(item: Item) -> tuple[str, str]:
    return item.change.ref.external_id, item.change.version


def versions(items: Sequence[Item]) -> set[tuple[str, str]]:
    """Those of the changes alone: a read may end with an item that only moves the cursor."""
    return {version(item) for item in items if item.HasField("change")}


def ids(items: Sequence[Item]) -> list[str]:
    """The vendor's ids in order of first appearance."""
    return list(dict.fromkeys(item.change.ref.external_id for item in items if item.HasField("change")))


class Reading:
    """Promises about ReadChanges."""

    async def test_every_change_comes_in_order_and_then_the_feed_ends(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await fed_kinds(stub):
                _, cursor = await read_up(stub, kind)
                touched = await target.vendor.touch(kind, 4)
                items, cursor = await read_up(stub, kind, cursor)
                assert [found for found in ids(items) if found in touched] == list(touched)
                times = [item.change.changed_time.ToDatetime() for item in items if item.HasField("change")]
                assert times == sorted(times)

    async def test_a_small_page_and_a_restart_lose_nothing(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            kinds = await fed_kinds(stub)
        for kind in kinds:
            touched = await target.vendor.touch(kind, 5)
            found: list[str] = []
            cursor = b""
            for _ in range(READS_MAX):
                async with connect() as stub:
                    page = await read(stub, kind, cursor, limit=2)
                assert len(page) <= 2
                if not page or page[-1].cursor == cursor:
                    break
                found += ids(page)
                cursor = page[-1].cursor
            assert set(touched) <= set(found)

    async def test_reading_on_after_any_change_loses_nothing_that_came_after_it(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        """A reader may stop after any of them."""
        async with connect() as stub:
            for kind in await fed_kinds(stub):
                _, cursor = await read_up(stub, kind)
                await target.vendor.touch(kind, 4)
                items, _ = await read_up(stub, kind, cursor)
                for number, item in enumerate(items, 1):
                    rest, _ = await read_up(stub, kind, item.cursor)
                    assert versions(items[number:]) <= versions([*items[:number], *rest])

    async def test_what_changes_after_the_cursor_comes_with_the_next_read(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            for kind in await fed_kinds(stub):
                await target.vendor.touch(kind, 1)
                _, cursor = await read_up(stub, kind)
                touched = await target.vendor.touch(kind, 2)
                items, _ = await read_up(stub, kind, cursor)
                assert set(touched) <= set(ids(items))

    async def test_each_change_names_record_version_time_and_mapping(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            system = (await stub.Describe(connector_service_pb2.DescribeRequest())).system
            for kind in await fed_kinds(stub):
                await target.vendor.touch(kind, 1)
                items, _ = await read_up(stub, kind)
                changes = [item.change for item in items if item.HasField("change")]
                assert changes
                for change in changes:
                    assert (change.kind, change.ref.system) == (kind, system)
                    assert change.ref.external_id
                    assert change.version
                    assert change.HasField("changed_time")
                    assert change.deleted or (change.mapping and change.WhichOneof("record"))
                assert all(item.cursor for item in items)

    @pytest.mark.parametrize("fault", [Fault.DUPLICATE, Fault.OUT_OF_ORDER])
    async def test_a_vendor_that_tells_things_twice_or_late_hides_nothing(
        self, target: ConformanceTarget, connect: Connect, fault: Fault
    ) -> None:
        async with connect() as stub:
            for kind in await fed_kinds(stub):
                _, cursor = await read_up(stub, kind)
                touched = await target.vendor.touch(kind, 3)
                await target.vendor.strike(fault, On.READ)
                items, cursor = await read_up(stub, kind, cursor)
                more, _ = await read_up(stub, kind, cursor)
                assert set(touched) <= set(ids([*items, *more]))

    @pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.RESET, Fault.LOSE_REPLY])
    async def test_a_read_that_fails_is_not_done_and_can_be_repeated_from_the_same_place(
        self, target: ConformanceTarget, connect: Connect, fault: Fault
    ) -> None:
        async with connect() as stub:
            for kind in await fed_kinds(stub):
                _, cursor = await read_up(stub, kind)
                touched = await target.vendor.touch(kind, 2)
                await target.vendor.strike(fault, On.READ)
                told = await outcome(read(stub, kind, cursor))
                assert isinstance(told, NotDone | list)
                items, _ = await read_up(stub, kind, cursor)
                assert set(touched) <= set(ids(items))

    async def test_an_order_s_changes_carry_our_key(
        self, target: ConformanceTarget, connect: Connect
    ) -> None:
        async with connect() as stub:
            declared = {entry.kind: entry for entry in await capabilities(stub)}
            order = declared.get(change_pb2.KIND_ORDER)
            if order is None or not (order.upsert_by_key and order.change_feed):
                pytest.skip("the connector does not both write and read orders")
            change = target.change(change_pb2.KIND_ORDER, "ord_conformance")
            request = connector_service_pb2.ApplyChangeRequest(change=change)
            receipt = (await stub.ApplyChange(request)).receipt
            items, _ = await read_up(stub, change_pb2.KIND_ORDER)
            keys = {item.change.ref.external_id: item.change.key for item in items}
            assert keys[receipt.external_id] == "ord_conformance"
