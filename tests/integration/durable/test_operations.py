"""What an operator sees is his tenant's, and what he does is done once, audited and safe to repeat."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import pytest
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.operations.v1 import operations_pb2
from ordermesh.operations.v1 import operations_service_pb2 as pb
from ordermesh.order.v1 import order_pb2
from structlog.testing import capture_logs

from libs.common.context import using
from libs.common.durable.lanes import OPEN_AFTER_FAILURES
from libs.common.durable.model import Delivery
from libs.common.durable.operations.handling import ConnectorHandling
from libs.common.durable.operations.queries import EXCEPTION_FILTER
from libs.common.durable.operations.servicer import Context, OperationsServicer
from libs.common.durable.relay import Relay
from libs.common.durable.targets import Outgoing
from libs.common.durable.tx import verify_audit
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, Refused
from libs.common.listing import parse_page
from libs.common.testing.faults import MemorySystem, refusing
from libs.common.testing.records import NoteTx, a_context
from tests.integration.durable.world import ERP, Recorder, World, connector_target

STAGE = "stage:next"
CALL = cast(Context, None)
"""The servicer never looks at it."""
PARKED = operations_pb2.DELIVERY_STATE_PARKED


class Desk:
    """The operations service of one schema of notes."""

    def __init__(self, world: World, unit: Unit[NoteTx] | None = None) -> None:
        """unit: of another process, where it is not the first one's."""
        unit = unit or world.unit
        self.world = world
        self.system = MemorySystem()
        self.stage = Recorder()
        self.relay: Relay[NoteTx] = world.new_relay({ERP: connector_target(self.system), STAGE: self.stage})
        self.rung: list[str] = []
        self.servicer = OperationsServicer(
            unit,
            lambda: self.relay.lanes,
            {ERP: ConnectorHandling(self.system, self._prepare, unit.store)},
            self.rung.append,
            frozenset({"erp"}),
        )
        self._keys = 0

    async def _prepare(self, delivery: Delivery) -> Outgoing:
        address = address_pb2.Address(addressee="4711-secret", lines=["4711-secret"], country_code="DE")
        order = order_pb2.Order(order_id=delivery.event.record_id, ship_to=address, memo="hello")
        change = change_pb2.Change(kind=change_pb2.KIND_ORDER, key=delivery.event.record_id, order=order)
        return Outgoing(change, lambda receipt: None, creates=True)

    def key(self) -> str:
        self._keys += 1
        return f"operator-{self._keys}"

    async def park(self, reason: str = "ERP_REFUSED", target: str = ERP) -> str:
        """A note whose delivery is parked; the id of the item."""
        note_id = await self.world.write("x", target)
        if target == ERP:
            self.system.apply_faults.append(refusing(Refused(reason)))
        else:
            self.stage._outcomes.append(Refused(reason))
        await self.relay.run_once()
        row = await self.world.delivery(f"notes/{note_id}")
        assert row["state"] == "PARKED"
        return f"{self.world.service}.{row['delivery_id']}"

    async def replay(self, item: str, key: str = "", **more: object) -> operations_pb2.Delivery:
        request = pb.ReplayExceptionRequest(exception_id=item, idempotency_key=key or self.key(), **more)  # type: ignore[arg-type]
        return (await self.servicer.ReplayException(request, CALL)).exception

    async def replay_many(self, key: str = "", **more: object) -> pb.ReplayExceptionsResponse:
        request = pb.ReplayExceptionsRequest(idempotency_key=key or self.key(), **more)  # type: ignore[arg-type]
        return await self.servicer.ReplayExceptions(request, CALL)

    async def discard(self, item: str, key: str = "") -> operations_pb2.Delivery:
        request = pb.DiscardExceptionRequest(
            exception_id=item, idempotency_key=key or self.key(), reason="not ours"
        )
        return (await self.servicer.DiscardException(request, CALL)).exception

    async def assign(self, item: str, assignee: str, key: str = "") -> operations_pb2.Delivery:
        request = pb.AssignExceptionRequest(
            exception_id=item, idempotency_key=key or self.key(), assignee=assignee
        )
        return (await self.servicer.AssignException(request, CALL)).exception

    async def listed(self, **more: object) -> pb.ListExceptionsResponse:
        return await self.servicer.ListExceptions(pb.ListExceptionsRequest(**more), CALL)  # type: ignore[arg-type]


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.fixture
def other_tenant() -> Iterator[None]:
    """An operator of another tenant."""
    with using(a_context("other", "operator:9")):
        yield


# Seeing -------------------------------------------------------------------------------------------------


async def test_lineage_shows_everything_that_happened_to_a_record(desk: Desk) -> None:
    item = await desk.park()
    await desk.replay(item, reason="mended in the ERP")
    await desk.relay.run_once()
    subject = str((await desk.world.delivery())["subject"])

    lineage = await desk.servicer.GetLineage(pb.GetLineageRequest(subject=subject), CALL)

    assert [event.type for event in lineage.events] == ["ordermesh.note.v1.NoteWritten"]
    (delivery,) = lineage.deliveries
    assert (delivery.delivery_id, delivery.state) == (item, operations_pb2.DELIVERY_STATE_DELIVERED)
    assert [attempt.outcome for attempt in lineage.attempts] == ["parked", "delivered"]
    assert [(entry.subject, entry.rule) for entry in lineage.audit] == [
        (subject, "write_note"),
        (f"deliveries/{item.split('.')[1]}", "replay_exception"),
    ]
    assert "mended in the ERP" in lineage.audit[1].new_value


async def test_the_exception_queue_comes_oldest_first_page_by_page(desk: Desk) -> None:
    items = [await desk.park() for _ in range(7)]

    pages, token = [], ""
    while True:
        page = await desk.listed(page_size=3, page_token=token)
        pages.append([item.delivery_id for item in page.exceptions])
        token = page.next_page_token
        if not token:
            break

    assert pages == [items[:3], items[3:6], items[6:]]


async def test_the_exception_queue_can_be_filtered(desk: Desk) -> None:
    refused, other = await desk.park("ERP_REFUSED"), await desk.park("REFERENCE_UNKNOWN")
    stage = await desk.park("CREDIT_HOLD", STAGE)
    await desk.assign(other, "operator:1")

    async def found(text: str) -> list[str]:
        return [item.delivery_id for item in (await desk.listed(filter=text)).exceptions]

    assert await found("reason = ERP_REFUSED") == [refused]
    assert await found("owner = master-data") == [other]
    assert await found(f'target = "{STAGE}"') == [stage]
    assert await found('assignee = "operator:1" AND reason = REFERENCE_UNKNOWN') == [other]
    (shown,) = (await desk.listed(filter="reason = ERP_REFUSED")).exceptions
    assert await found(f'subject = "{shown.subject}"') == [refused]
    assert await found(f'subject = "{shown.subject}" AND owner = master-data') == []
    assert await found("state = DELIVERED") == []
    with pytest.raises(Refused):
        await found("tenant = other")


async def test_an_item_shows_all_a_person_needs(desk: Desk) -> None:
    item = await desk.park("REFERENCE_UNKNOWN")

    answer = await desk.servicer.GetException(pb.GetExceptionRequest(exception_id=item), CALL)

    shown = answer.exception
    assert (shown.state, shown.reason, shown.target) == (PARKED, "REFERENCE_UNKNOWN", ERP)
    assert shown.correlation_id == "cor-1"
    assert shown.HasField("park_time")
    assert [attempt.reason for attempt in answer.attempts] == ["REFERENCE_UNKNOWN"]


async def test_queues_tell_depth_and_open_breakers(desk: Desk) -> None:
    await desk.park()
    await asyncio.gather(*(desk.world.write(str(number), ERP) for number in range(OPEN_AFTER_FAILURES)))
    desk.system.apply_faults.extend([refusing(NotDone("SYSTEM_UNAVAILABLE"))] * OPEN_AFTER_FAILURES)
    await desk.relay.run_once()

    (queue,) = (await desk.servicer.GetQueues(pb.GetQueuesRequest(), CALL)).queues

    assert (queue.target, queue.waiting, queue.parked, queue.breaker_open) == (ERP, 5, 1, True)


async def test_the_bell_rings_for_known_systems_only(desk: Desk) -> None:
    await desk.servicer.RingBell(pb.RingBellRequest(system="erp"), CALL)
    with pytest.raises(Refused):
        await desk.servicer.RingBell(pb.RingBellRequest(system="wms"), CALL)

    assert desk.rung == ["ingest"]


# Other tenants ------------------------------------------------------------------------------------------


async def test_another_tenant_s_item_is_not_there(desk: Desk) -> None:
    item = await desk.park()
    row = await desk.world.delivery()

    with using(a_context("other", "operator:9")):
        calls = [
            desk.servicer.GetException(pb.GetExceptionRequest(exception_id=item), CALL),
            desk.servicer.GetLineage(pb.GetLineageRequest(subject=str(row["subject"])), CALL),
            desk.replay(item),
            desk.replay(item, validate_only=True),
            desk.discard(item),
            desk.assign(item, "operator:9"),
        ]
        for call in calls:
            with pytest.raises(Refused) as refused:
                await call
            assert refused.value.reason == "NOT_FOUND"
        assert list((await desk.listed()).exceptions) == []
        assert list((await desk.servicer.GetQueues(pb.GetQueuesRequest(), CALL)).queues) == []

    assert await desk.world.delivery() == row


async def test_a_page_token_opens_no_other_tenant_s_queue(desk: Desk) -> None:
    for _ in range(3):
        await desk.park()
    token = (await desk.listed(page_size=1)).next_page_token

    with using(a_context("other")), pytest.raises(Refused) as refused:
        await desk.listed(page_size=1, page_token=token)

    assert refused.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize("last", ["ord_1", "-1", "9" * 30, "1; DROP TABLE delivery", "\u0661"])
async def test_a_forged_page_token_is_refused(desk: Desk, last: str) -> None:
    token = parse_page("acme", 1, "", "", EXCEPTION_FILTER).token(last)

    with pytest.raises(Refused) as refused:
        await desk.listed(page_token=token)

    assert refused.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    "item", ["order.1", "1", ".1", "x", "{service}.x", "{service}.-1", "{service}." + "9" * 30]
)
async def test_an_id_of_another_form_or_service_is_not_found(desk: Desk, item: str) -> None:
    request = pb.GetExceptionRequest(exception_id=item.format(service=desk.world.service))

    with pytest.raises(Refused) as refused:
        await desk.servicer.GetException(request, CALL)

    assert refused.value.reason == "NOT_FOUND"


# Acting -------------------------------------------------------------------------------------------------


async def test_a_replayed_write_outside_is_looked_up_first(desk: Desk) -> None:
    item = await desk.park()
    desk.system.calls.clear()

    shown = await desk.replay(item)
    assert shown.state == operations_pb2.DELIVERY_STATE_IN_DOUBT
    assert shown.attempt == 0
    await desk.relay.run_once()

    assert [call.split()[0] for call in desk.system.calls] == ["find", "apply"]
    assert await desk.world.states() == ["DELIVERED"]


async def test_a_replay_carries_the_pinned_mapping(desk: Desk) -> None:
    item = await desk.park()
    await desk.replay(item, pinned_mapping="memory.note@1")

    (held,) = await desk.relay.claim()

    assert held.pinned_mapping == "memory.note@1"


async def test_followers_go_on_after_a_replay_or_a_discard(desk: Desk) -> None:
    for act in (desk.replay, desk.discard):
        item = await desk.park("STOCK_SHORT", STAGE)
        row = await desk.world.delivery(sequence=1, subject=await subject_of(desk, item))
        await desk.world.change(str(row["subject"]).split("/")[1], act.__name__)
        assert await desk.relay.run_once() == 0

        await act(item)
        while await desk.relay.run_once():
            pass

        assert desk.stage.seen[-1] == f"{row['subject']}#2"


async def subject_of(desk: Desk, item: str) -> str:
    answer = await desk.servicer.GetException(pb.GetExceptionRequest(exception_id=item), CALL)
    return answer.exception.subject


async def test_acting_wakes_the_relay(desk: Desk) -> None:
    replayed, discarded = await desk.park(), await desk.park()
    desk.world.woken.clear()

    await desk.replay(replayed)
    await desk.discard(discarded)

    assert desk.world.woken == [{ERP}, {ERP}]


async def test_a_preview_changes_nothing_and_shows_nothing_sensitive(desk: Desk) -> None:
    item = await desk.park()
    before = await desk.world.delivery()
    request = pb.ReplayExceptionRequest(
        exception_id=item, idempotency_key="k", validate_only=True, pinned_mapping="memory.note@1"
    )

    answer = await desk.servicer.ReplayException(request, CALL)

    assert answer.plan.mapping == "memory.note@1"
    assert "hello" in answer.preview
    assert "4711" not in answer.preview
    assert answer.exception.state == PARKED
    assert await desk.world.delivery() == before
    assert await desk.world.rows("SELECT 1 FROM idempotency WHERE method = 'replay_exception'") == []


async def test_a_target_without_a_message_of_its_own_has_no_preview(desk: Desk) -> None:
    item = await desk.park(target=STAGE)

    with pytest.raises(Refused) as refused:
        await desk.replay(item, validate_only=True)

    assert refused.value.reason == "NOT_SUPPORTED"


async def test_only_what_is_parked_can_be_acted_on(desk: Desk) -> None:
    item = await desk.park()
    await desk.discard(item)

    for call in (
        desk.replay(item),
        desk.discard(item),
        desk.assign(item, "x"),
        desk.replay(item, validate_only=True),
    ):
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.reason == "STATE_FORBIDS"


async def test_an_act_repeated_under_its_key_is_done_once(desk: Desk) -> None:
    item = await desk.park()

    first, again = await desk.discard(item, "same"), await desk.discard(item, "same")

    assert first == again
    assert await desk.world.rows("SELECT 1 FROM audit WHERE rule = 'discard_exception'") == [{"?column?": 1}]


async def test_of_two_operators_who_act_at_once_one_is_told_that_the_item_has_moved_on(desk: Desk) -> None:
    items = [await desk.park() for _ in range(10)]

    outcomes = await asyncio.gather(
        *(act(item) for item in items for act in (desk.replay, desk.discard)), return_exceptions=True
    )

    for first, second in zip(outcomes[::2], outcomes[1::2], strict=True):
        refused = [outcome for outcome in (first, second) if isinstance(outcome, Refused)]
        assert [outcome.reason for outcome in refused] == ["STATE_FORBIDS"]
    assert await desk.world.rows("SELECT 1 FROM audit WHERE subject LIKE 'deliveries/%' OFFSET 10") == []


async def test_what_operators_do_is_audited_in_an_unbroken_chain(desk: Desk) -> None:
    """Several acts on one item in one commit included."""
    item = await desk.park()
    await asyncio.gather(*(desk.assign(item, f"operator:{number}") for number in range(10)))
    await desk.assign(item, "")
    await desk.discard(item)

    subject = f"deliveries/{item.split('.')[1]}"
    rows = await desk.world.rows("SELECT * FROM audit WHERE subject = $1 ORDER BY position", subject)

    assert [row["rule"] for row in rows] == ["assign_exception"] * 11 + ["discard_exception"]
    assert verify_audit(rows) is None
    assert "because: not ours" in str(rows[-1]["new_value"])
    for before, after in pairwise(rows[:11]):
        assert after["old_value"] == before["new_value"]


async def test_a_thousand_items_are_replayed_by_two_operators_once_each(desk: Desk) -> None:
    await desk.world.execute(
        "INSERT INTO event (event_id, tenant, type, subject, sequence, data, source_system, actor, correlation_id,"
        " causation_id, traceparent, contract_version, occurred_time)"
        " SELECT 'evt_' || n, 'acme', 'ordermesh.note.v1.NoteWritten', 'notes/' || n, 1, '', '', '', '', '', '', 'v1',"
        " now() FROM generate_series(1, 300) n"
    )
    await desk.world.execute(
        "INSERT INTO delivery (tenant, event_id, target, subject, sequence, state, due_time, create_time)"
        " SELECT tenant, event_id, 'connector:erp', subject, 1, 'PARKED', now(), now() FROM event"
    )
    items = [item.delivery_id for item in (await desk.listed(page_size=1000)).exceptions]

    outcomes = await asyncio.gather(
        *(desk.replay(item, key=f"{operator}-{item}") for item in items for operator in ("a", "b")),
        return_exceptions=True,
    )

    assert len(items) == 300
    assert sum(isinstance(outcome, operations_pb2.Delivery) for outcome in outcomes) == 300
    assert await desk.world.rows("SELECT count(*) FROM audit") == [{"count": 300}]


async def test_operators_who_act_on_the_same_items_in_opposite_order_never_lock_each_other_out(
    desk: Desk,
) -> None:
    """Nobody has to give way, and nobody waits until the database finds a deadlock."""
    items = [await desk.park() for _ in range(40)]
    other = Desk(desk.world, desk.world.new_unit())

    with capture_logs() as logs:
        await asyncio.gather(
            *(desk.assign(item, "ann", key=f"ann-{item}") for item in items),
            *(other.assign(item, "bob", key=f"bob-{item}") for item in reversed(items)),
        )

    assigned = await desk.world.rows("SELECT count(*) FROM audit WHERE rule = 'assign_exception'")
    assert assigned == [{"count": 80}]
    assert [log for log in logs if log["event"] == "commit_again"] == []


async def test_an_act_and_a_bulk_replay_in_opposite_order_never_lock_each_other_out(desk: Desk) -> None:
    """One of two commits has the item and then the tenant's turn, the other one the turn and then the item."""
    item, other = await desk.park(), Desk(desk.world, desk.world.new_unit())
    nothing = "target = stage:none"

    with capture_logs() as logs:
        for n in range(40):
            await asyncio.gather(
                desk.assign(item, "ann", key=f"ann-{n}"),
                desk.replay_many(f"ann-{n}", filter=nothing),
                other.replay_many(f"bob-{n}", filter=nothing),
                other.assign(item, "bob", key=f"bob-{n}"),
            )

    assert [log for log in logs if log["event"] == "commit_again"] == []


async def test_two_bulk_replays_of_one_commit_count_each_item_once(desk: Desk) -> None:
    """What is begun in one pass of the loop shares a commit."""
    for _ in range(3):
        await desk.park()

    _, first, second = await asyncio.gather(
        desk.world.write("x"), desk.replay_many("a", items_max=10), desk.replay_many("b", items_max=10)
    )

    assert sorted([first.replayed, second.replayed]) == [0, 3]
    assert await desk.world.rows("SELECT count(*) FROM audit WHERE rule = 'replay_exceptions'") == [
        {"count": 3}
    ]
