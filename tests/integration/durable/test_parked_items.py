"""Two people where the reason demands it; what an item carries can be seen, edited and previewed within its bounds."""

import json
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import cast

import pytest
from ordermesh.common.v1 import difference_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.operations.v1 import operations_pb2
from ordermesh.operations.v1 import operations_service_pb2 as pb

from libs.common.context import CallContext, using
from libs.common.durable.aside import CHANGE_TYPE
from libs.common.durable.operations.commands import APPROVAL_TIME
from libs.common.durable.operations.handling import IntakeHandling, StageHandling
from libs.common.durable.operations.obsolete import close_parked
from libs.common.durable.operations.servicer import OperationsServicer
from libs.common.durable.tx import Group, verify_audit
from libs.common.errors import NotDone, Refused
from libs.common.testing.faults import Fault
from libs.common.testing.records import ChangeNote, NoteTx, WriteNote, change_note, write_note
from tests.integration.durable.test_operations import CALL, PARKED, STAGE, Desk
from tests.integration.durable.world import ERP, World

INTAKE = "intake:erp"
IN_DOUBT = operations_pb2.DELIVERY_STATE_IN_DOUBT
DISCARDED = operations_pb2.DELIVERY_STATE_DISCARDED


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


@contextmanager
def acting(actor: str, *roles: str) -> Iterator[None]:
    with using(CallContext("acme", "", actor, frozenset(roles), "cor-2")):
        yield


async def shown(desk: Desk, item: str) -> pb.GetExceptionResponse:
    return await desk.servicer.GetException(pb.GetExceptionRequest(exception_id=item), CALL)


async def approve(desk: Desk, item: str, actor: str, request_id: str = "") -> operations_pb2.Delivery:
    known = (await shown(desk, item)).exception.approval.request_id
    request = pb.ApproveExceptionRequest(
        exception_id=item,
        idempotency_key=desk.key(),
        request_id=request_id or known or "req_0",
        reason="seen",
    )
    with acting(actor, "approver"):
        return (await desk.servicer.ApproveException(request, CALL)).exception


async def refusal_of(call: Awaitable[object]) -> str:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.reason


# Four eyes ----------------------------------------------------------------------------------------------


async def test_a_replay_that_needs_two_is_only_asked_for_until_another_person_approves(desk: Desk) -> None:
    item = await desk.park("CREDIT_HOLD")
    with acting("anna"):
        asked = await desk.replay(item, reason="paid today", pinned_mapping="memory.note@1")
    assert (asked.state, asked.four_eyes) == (PARKED, True)
    assert (asked.approval.requested_by, asked.approval.reason) == ("anna", "paid today")
    assert await desk.relay.run_once() == 0

    assert await refusal_of(approve(desk, item, "anna")) == "APPROVER_IS_REQUESTER"
    approved = await approve(desk, item, "bert")

    assert (approved.state, approved.pinned_mapping) == (IN_DOUBT, "memory.note@1")
    assert not approved.HasField("approval")
    await desk.relay.run_once()
    assert await desk.world.states() == ["DELIVERED"]


async def test_a_discard_that_needs_two_is_asked_for_as_well(desk: Desk) -> None:
    item = await desk.park("CREDIT_LIMIT_EXCEEDED")
    with acting("anna"):
        asked = await desk.discard(item)
    assert asked.approval.act == operations_pb2.EXCEPTION_ACT_DISCARD
    listed = (await desk.listed(filter="requested_act = discard AND requested_by = anna")).exceptions
    assert [each.delivery_id for each in listed] == [item]

    assert (await approve(desk, item, "bert")).state == DISCARDED


async def test_an_approval_is_for_the_request_that_was_seen_and_ends_with_its_time(desk: Desk) -> None:
    item = await desk.park("CREDIT_HOLD")
    assert await refusal_of(approve(desk, item, "bert")) == "STATE_FORBIDS"
    with acting("anna"):
        first = (await desk.replay(item)).approval.request_id
        await desk.discard(item)
    assert await refusal_of(approve(desk, item, "bert", first)) == "STATE_FORBIDS"

    desk.world.clock.advance(APPROVAL_TIME + timedelta(seconds=1))
    assert await refusal_of(approve(desk, item, "bert")) == "APPROVAL_EXPIRED"
    with acting("anna"):
        await desk.discard(item)
    assert (await approve(desk, item, "bert")).state == DISCARDED


async def test_a_bulk_replay_only_asks_for_what_needs_two(desk: Desk) -> None:
    plain, guarded = await desk.park(), await desk.park("PRICE_INVALID")

    answer = await desk.replay_many(reason="all of it")
    assert (answer.replayed, answer.awaiting_approval) == (1, 1)
    assert (await shown(desk, plain)).exception.state == IN_DOUBT
    assert (await shown(desk, guarded)).exception.state == PARKED
    again = await desk.replay_many(reason="all of it")
    assert (again.replayed, again.awaiting_approval, list(again.replay_ids)) == (0, 0, [])
    assert (await approve(desk, guarded, "bert")).state == IN_DOUBT


async def test_asking_and_approving_are_audited_with_who_and_why(desk: Desk) -> None:
    item = await desk.park("CREDIT_HOLD")
    with acting("anna"):
        await desk.replay(item, reason="paid today")
    await approve(desk, item, "bert")

    asked, approved = (await shown(desk, item)).history
    assert (asked.actor, asked.rule) == ("anna", "replay_exception")
    assert (approved.actor, approved.rule) == ("bert", "approve_exception")
    assert "seen (asked for by anna: paid today)" in approved.new_value
    rows = await desk.world.rows("SELECT * FROM audit WHERE subject LIKE 'deliveries/%' ORDER BY position")
    assert verify_audit(rows) is None


# Age and pins -------------------------------------------------------------------------------------------


async def test_an_item_tells_how_long_it_has_been_parked(desk: Desk) -> None:
    item = await desk.park()
    desk.world.advance(90)
    assert (await shown(desk, item)).exception.age_seconds == 90
    await desk.replay(item)
    assert (await shown(desk, item)).exception.age_seconds == 0


async def test_a_mapping_that_is_not_kept_cannot_be_pinned(desk: Desk) -> None:
    item, staged = await desk.park(), await desk.park("STOCK_SHORT", STAGE)
    assert await refusal_of(desk.replay(item, pinned_mapping="memory.note@9")) == "MAPPING_NOT_KEPT"
    assert await refusal_of(desk.replay(staged, pinned_mapping="memory.note@1")) == "MAPPING_NOT_KEPT"
    many = pb.ReplayExceptionsRequest(idempotency_key="k", pinned_mapping="memory.note@1")
    assert await refusal_of(desk.servicer.ReplayExceptions(many, CALL)) == "FILTER_INVALID"
    many.filter = f'target = "{ERP}"'
    assert (await desk.servicer.ReplayExceptions(many, CALL)).replayed == 1
    (held,) = await desk.relay.claim()
    assert held.pinned_mapping == "memory.note@1"


async def test_a_failed_attempt_tells_the_mapping_that_ran(desk: Desk) -> None:
    await desk.world.write("x", ERP)
    error = Refused("ERP_REFUSED", metadata={"mapping": "memory.note@2"})
    desk.system.apply_faults.append(Fault(error))
    await desk.relay.run_once()
    (attempt,) = await desk.world.attempts()
    assert (attempt["outcome"], attempt["mapping"]) == ("parked", "memory.note@2")


# Previews -----------------------------------------------------------------------------------------------


async def previewed(desk: Desk, item: str, *roles: str) -> operations_pb2.ReplayPreview:
    with acting("anna", *roles):
        request = pb.PreviewExceptionRequest(exception_id=item)
        return (await desk.servicer.PreviewException(request, CALL)).preview


def pairs(differences: Sequence[difference_pb2.FieldDifference]) -> dict[str, tuple[str, str]]:
    return {each.path: (each.old_value, each.new_value) for each in differences}


async def test_a_preview_shows_sensitive_values_to_those_who_decide_only(desk: Desk) -> None:
    item = await desk.park()
    desk.system.differences = [
        difference_pb2.FieldDifference(path="memo", old_value="a", new_value="b"),
        difference_pb2.FieldDifference(path="addressee", new_value="Ann", sensitive=True),
    ]
    desk.system.calls.clear()

    masked = await previewed(desk, item, "support_viewer", "support_operator", "auditor")
    clear = await previewed(desk, item, "approver")

    assert pairs(masked.differences) == {"memo": ("a", "b"), "addressee": ("", "***")}
    assert pairs(clear.differences) == {"memo": ("a", "b"), "addressee": ("", "Ann")}
    assert (clear.base, clear.mapping) == (operations_pb2.PREVIEW_BASE_HELD_NOW, "memory.note@2")
    assert {call.split()[0] for call in desk.system.calls} == {"preview"}
    assert desk.system.documents == []


async def test_a_preview_tells_that_the_record_is_there_and_nothing_would_change(desk: Desk) -> None:
    item = await desk.park()
    row = await desk.world.delivery()
    desk.system.documents.append((str(row["subject"]).split("/")[1], "x1"))
    desk.system.differences = [difference_pb2.FieldDifference(path="memo", new_value="b")]
    assert (await previewed(desk, item)).differences == []


async def test_a_preview_tells_for_what_it_would_fail_again(desk: Desk) -> None:
    item = await desk.park()
    desk.system.preview_faults.append(Fault(Refused("TAX_CODE_UNKNOWN", "no such code")))
    preview = await previewed(desk, item)
    assert (preview.refusal_reason, preview.refusal_detail) == ("TAX_CODE_UNKNOWN", "no such code")


@pytest.mark.parametrize("error", [NotDone("UNAVAILABLE"), Refused("NOT_SUPPORTED")], ids=str)
async def test_where_nothing_can_be_read_the_last_told_stands_for_what_is_held(
    desk: Desk, error: Exception
) -> None:
    item = await desk.park()
    desk.system.preview_faults.append(Fault(error))
    preview = await previewed(desk, item)
    assert preview.base == operations_pb2.PREVIEW_BASE_SENT_LAST
    told = pairs(preview.differences)
    assert told["memo"] == ("", "hello")
    assert told["ship_to.addressee"] == ("", "***")


async def test_a_step_of_our_own_is_rehearsed_and_taken_back(desk: Desk) -> None:
    item = await desk.park("STOCK_SHORT", STAGE)
    note_id = str((await desk.world.delivery())["subject"]).split("/")[1]

    async def prepare(event: object) -> object:
        async def follow(tx: NoteTx) -> None:
            await change_note(ChangeNote(note_id, "changed"), tx)

        return follow

    desk.servicer = servicer(desk, {STAGE: StageHandling(desk.world.unit, prepare)})  # type: ignore[arg-type]
    before = await desk.world.counts()

    preview = await previewed(desk, item)

    assert preview.base == operations_pb2.PREVIEW_BASE_RECORD
    assert pairs(preview.differences) == {"text": ("x", "changed")}
    assert [each.target for each in preview.differences] == [f"notes/{note_id}"]
    assert await desk.world.counts() == before


def servicer(desk: Desk, handling: dict[str, object]) -> OperationsServicer[NoteTx]:
    return OperationsServicer(
        desk.world.unit,
        lambda: desk.relay.lanes,
        handling,  # type: ignore[arg-type]
        desk.rung.append,
        frozenset({"erp"}),
    )


# Edits --------------------------------------------------------------------------------------------------


async def take_in(change: change_pb2.ExternalChange, tx: NoteTx) -> None:
    """Refused like a domain would for a customer without a name."""
    if not change.customer.name:
        raise Refused.field("INVALID_FIELD", "customer.name", "is empty")
    await write_note(WriteNote(change.customer.name), tx)


async def a_parked_change(desk: Desk) -> str:
    """A customer without name and with a secret mail, as the ERP told it."""
    change = change_pb2.ExternalChange(kind=change_pb2.KIND_CUSTOMER, version="1", mapping="erp.customer@1")
    change.ref.system, change.ref.external_id = "erp", "110"
    change.customer.email, change.customer.number = "ann@example.com", "C-1"
    await desk.world.execute(
        "INSERT INTO event (event_id, tenant, type, subject, sequence, data, source_system, actor, correlation_id,"
        " causation_id, traceparent, contract_version, occurred_time)"
        " VALUES ('evt_1', 'acme', $1, 'erp-customer/110', 1, $2, 'erp', 'system:erp', '', '', '', 'v1', now())",
        CHANGE_TYPE,
        change.SerializeToString(),
    )
    await desk.world.execute(
        "INSERT INTO delivery (tenant, event_id, target, subject, sequence, state, reason, due_time, create_time,"
        " park_time) VALUES ('acme', 'evt_1', $1, 'erp-customer/110', 1, 'PARKED', 'INVALID_FIELD', $2, $2, $2)",
        INTAKE,
        desk.world.clock.now(),
    )
    handling = IntakeHandling(desk.world.unit, take_in)
    desk.servicer = servicer(desk, {INTAKE: handling})
    (row,) = await desk.world.rows("SELECT delivery_id FROM delivery")
    return f"{desk.world.service}.{row['delivery_id']}"


async def edited(
    desk: Desk, item: str, payload: Mapping[str, object], **more: object
) -> pb.EditExceptionResponse:
    request = pb.EditExceptionRequest(
        exception_id=item,
        idempotency_key=desk.key(),
        payload=json.dumps(payload),
        reason="as the ERP team says",
        **more,  # type: ignore[arg-type]
    )
    with acting("anna", "support_operator"):
        return await desk.servicer.EditException(request, CALL)


async def payload_of(desk: Desk, item: str) -> dict[str, dict[str, object]]:
    with acting("anna", "support_operator"):
        return json.loads((await shown(desk, item)).payload)  # type: ignore[no-any-return]


async def test_an_edited_change_is_what_is_taken_in_and_the_original_is_kept(desk: Desk) -> None:
    item = await a_parked_change(desk)
    payload = await payload_of(desk, item)
    assert payload["customer"]["email"] == "***"
    payload["customer"]["name"] = "Ann"

    checked = await edited(desk, item, payload, validate_only=True)
    assert pairs(checked.differences) == {"customer.name": ("", "Ann")}
    assert (await shown(desk, item)).exception.edited_by == ""
    answer = await edited(desk, item, payload)

    assert (answer.exception.state, answer.exception.edited_by) == (PARKED, "anna")
    found = await shown(desk, item)
    assert "Ann" in found.payload
    assert "Ann" not in found.original_payload
    stored = (await desk.world.rows("SELECT edited_data, data FROM delivery JOIN event USING (event_id)"))[0]
    carried = change_pb2.ExternalChange.FromString(cast(bytes, stored["edited_data"]))
    assert (carried.customer.name, carried.customer.email) == ("Ann", "ann@example.com")
    assert change_pb2.ExternalChange.FromString(cast(bytes, stored["data"])).customer.name == ""

    await desk.replay(item)
    relay = desk.world.new_relay({INTAKE: desk.stage})
    (held,) = await relay.claim()
    assert held.event.data == stored["edited_data"]
    assert held.event.actor == "anna"


async def test_an_edit_is_audited_field_by_field_without_what_is_sensitive(desk: Desk) -> None:
    item = await a_parked_change(desk)
    payload = await payload_of(desk, item)
    payload["customer"] |= {"name": "Ann", "email": "new@example.com"}
    await edited(desk, item, payload)

    history = (await shown(desk, item)).history
    told = {entry.field: (entry.old_value, entry.new_value, entry.actor) for entry in history}
    assert told["payload.customer.name"] == ("", "Ann", "anna")
    assert told["payload.customer.email"] == ("***", "***", "anna")
    assert "because: as the ERP team says" in told["payload"][1]
    rows = await desk.world.rows("SELECT * FROM audit WHERE subject LIKE 'deliveries/%' ORDER BY position")
    assert verify_audit(rows) is None


async def test_an_edit_is_checked_like_a_fresh_one(desk: Desk) -> None:
    item = await a_parked_change(desk)
    payload = await payload_of(desk, item)
    fine = {**payload, "customer": {**payload["customer"], "name": "Ann"}}

    assert await refusal_of(edited(desk, item, payload)) == "INVALID_FIELD"  # still no name
    assert await refusal_of(edited(desk, item, {**fine, "colour": "red"})) == "MALFORMED_BODY"
    too_long = {**fine, "customer": {**fine["customer"], "name": "x" * 9000}}
    assert await refusal_of(edited(desk, item, too_long)) == "INVALID_FIELD"
    other = {**fine, "ref": {"system": "erp", "externalId": "111"}}
    assert await refusal_of(edited(desk, item, other)) == "INVALID_FIELD"
    assert await desk.world.rows("SELECT 1 FROM audit") == []
    assert await desk.world.count("notes") == 0


async def test_editing_back_to_the_original_is_no_edit_any_more(desk: Desk) -> None:
    item = await a_parked_change(desk)
    original = (await desk.world.rows("SELECT data FROM event"))[0]["data"]
    change = change_pb2.ExternalChange.FromString(cast(bytes, original))
    change.customer.name = "Ann"
    await desk.world.execute("UPDATE event SET data = $1", change.SerializeToString())
    payload = await payload_of(desk, item)
    await edited(desk, item, {**payload, "customer": {**payload["customer"], "name": "Bea"}})
    assert (await shown(desk, item)).exception.edited_by == "anna"

    await edited(desk, item, payload)

    assert (await shown(desk, item)).exception.edited_by == ""
    assert await desk.world.rows("SELECT edited_data FROM delivery") == [{"edited_data": None}]


async def test_an_edit_withdraws_what_was_asked_for_and_its_maker_may_not_approve(desk: Desk) -> None:
    item = await a_parked_change(desk)
    await desk.world.execute("UPDATE delivery SET reason = 'CREDIT_HOLD'")
    with acting("carl"):
        await desk.replay(item)
    payload = await payload_of(desk, item)
    payload["customer"]["name"] = "Ann"
    assert not (await edited(desk, item, payload)).exception.HasField("approval")
    with acting("carl"):
        await desk.replay(item)
    assert await refusal_of(approve(desk, item, "anna")) == "APPROVER_IS_REQUESTER"
    assert (await approve(desk, item, "bert")).state == operations_pb2.DELIVERY_STATE_RETRYING


async def test_what_tells_of_a_record_is_not_edited_but_the_record(desk: Desk) -> None:
    for item in (await desk.park(), await desk.park("STOCK_SHORT", STAGE)):
        assert await refusal_of(edited(desk, item, {})) == "NOT_SUPPORTED"


async def test_a_change_that_is_parked_is_previewed_as_it_would_be_taken_in(desk: Desk) -> None:
    item = await a_parked_change(desk)
    assert (await previewed(desk, item)).refusal_reason == "INVALID_FIELD"
    payload = await payload_of(desk, item)
    payload["customer"]["name"] = "Ann"
    await edited(desk, item, payload)
    told = pairs((await previewed(desk, item)).differences)
    assert told["text"] == ("", "Ann")


# Closed without hands -----------------------------------------------------------------------------------


async def test_what_a_later_success_made_obsolete_is_closed_audited_and_lets_followers_go_on(
    desk: Desk,
) -> None:
    item, other = await desk.park("STOCK_SHORT", STAGE), await desk.park("STOCK_SHORT", STAGE)
    subject = (await shown(desk, item)).exception.subject
    await desk.world.change(subject.split("/")[1], "further")

    async def closing(group: Group) -> None:
        tx = desk.world.unit.open(
            group, CallContext("acme", "erp", "system:erp", frozenset(), "c"), "take_in"
        )
        await close_parked(tx, subject, ["stage:%"])
        group.accept(tx)

    await desk.world.unit.commit(closing)

    closed = await shown(desk, item)
    assert (closed.exception.state, closed.exception.reason) == (DISCARDED, "SUPERSEDED")
    assert [entry.new_value for entry in closed.history] == ["state=DISCARDED, because: SUPERSEDED"]
    assert (await shown(desk, other)).exception.state == PARKED
    await desk.relay.run_once()
    assert desk.stage.seen[-1] == f"{subject}#2"
