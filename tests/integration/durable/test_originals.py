"""Originals lie sealed; replays and edits open them while the key is there, and a reveal shows them to who may see."""

import json
import os
from collections.abc import Awaitable, Mapping
from pathlib import Path
from random import random

import pytest
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2
from ordermesh.operations.v1 import operations_service_pb2 as pb

from libs.common.context import CallContext, using
from libs.common.durable.aside import IntakeTarget
from libs.common.durable.ingest import Feed, Ingest
from libs.common.durable.operations.handling import IntakeHandling
from libs.common.durable.operations.servicer import OperationsServicer
from libs.common.durable.seal import Sealer
from libs.common.durable.tx import verify_audit
from libs.common.errors import Refused
from libs.common.testing.faults import MemorySystem
from libs.common.testing.records import NoteTx, WriteNote, write_note
from tests.integration.durable.test_ingest import EVERY, INTAKE
from tests.integration.durable.test_operations import CALL, Desk
from tests.integration.durable.world import World

MAIL = "ann@acme.example"
KEYS = {"acme": {"2026-06": "ab" * 32}}


class Safe:
    """Services that seal: a feed of customers, its relay, and the operations over both."""

    def __init__(self, world: World, keys_file: Path) -> None:
        self.world = world
        self._keys_file = keys_file
        self._moment = 0
        self.keep(KEYS)
        world.sealer = Sealer(keys_file)
        self.desk = Desk(world)
        self.system = MemorySystem()
        self.feed = Feed("acme", "erp", "KIND_CUSTOMER", self.system, EVERY)
        self.ingest = Ingest(world.unit, [self.feed], self.take_in, clock=world.clock, draw=random)
        self.intake = world.new_relay({INTAKE: IntakeTarget(self.take_in)})
        self.refuses = True
        self.desk.servicer = OperationsServicer(
            world.unit,
            lambda: self.desk.relay.lanes,
            {INTAKE: IntakeHandling(world.unit, self.take_in)},
            lambda which: None,
            frozenset({"erp"}),
        )

    def keep(self, keys: Mapping[str, Mapping[str, str]]) -> None:
        """From now on the mounted file has these keys."""
        self._keys_file.write_text(json.dumps(keys))
        self._moment += 1
        os.utime(self._keys_file, ns=(self._moment, self._moment))

    async def take_in(self, change: change_pb2.ExternalChange, tx: NoteTx) -> None:
        if self.refuses and not change.customer.name:
            raise Refused.field("INVALID_FIELD", "customer.name", "is empty")
        await write_note(WriteNote(change.customer.email), tx)

    async def told(self, version: str = "1", minute: int = 0) -> None:
        """The ERP tells of a customer that cannot be taken in."""
        change = change_pb2.ExternalChange(
            kind=change_pb2.KIND_CUSTOMER,
            ref=external_ref_pb2.ExternalRef(system="erp", external_id="110"),
            version=version,
        )
        change.changed_time.FromJsonString(f"2026-03-01T11:{minute:02}:00Z")
        change.customer.email = MAIL
        self.system.feed.append(connector_service_pb2.ReadChangesResponse(change=change))
        await self.ingest.run_once(self.feed)

    async def parked(self) -> str:
        """The item of that change, once it is parked."""
        await self.told()
        await self.intake.run_once()
        (row,) = await self.world.rows("SELECT delivery_id, state FROM delivery")
        assert row["state"] == "PARKED"
        return f"{self.world.service}.{row['delivery_id']}"

    async def reveal(self, item: str, attempt: int = 0) -> pb.RevealExceptionResponse:
        request = pb.RevealExceptionRequest(
            exception_id=item, idempotency_key="look", reason="she called", attempt=attempt
        )
        with using(CallContext("acme", "", "anna", frozenset({"steward"}), "cor-1")):
            return await self.desk.servicer.RevealException(request, CALL)

    async def shown(self, item: str) -> pb.GetExceptionResponse:
        with using(CallContext("acme", "", "anna", frozenset({"admin", "steward"}), "cor-1")):
            return await self.desk.servicer.GetException(pb.GetExceptionRequest(exception_id=item), CALL)

    async def holds(self, text: str) -> list[str]:
        """Tables with a row that has the text in the clear."""
        tables = ("event", "delivery", "attempt", "audit", "idempotency")
        found = []
        for table in tables:
            rows = await self.world.rows(f"SELECT * FROM {table}")
            values = [value for row in rows for value in row.values()]
            if any(text in (v.decode(errors="replace") if isinstance(v, bytes) else str(v)) for v in values):
                found.append(table)
        return found


@pytest.fixture
def safe(world: World, tmp_path: Path) -> Safe:
    return Safe(world, tmp_path / "seal.json")


async def refusal_of(call: Awaitable[object]) -> str:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.reason


async def test_a_change_set_aside_lies_sealed_and_is_taken_in_by_a_replay(safe: Safe) -> None:
    item = await safe.parked()
    assert await safe.holds(MAIL) == []
    safe.refuses = False

    await safe.desk.replay(item)
    await safe.intake.run_once()

    assert await safe.world.states() == ["DELIVERED"]
    assert [row["text"] for row in await safe.world.rows("SELECT text FROM notes")] == [MAIL]


async def test_the_queue_masks_for_everyone_and_a_reveal_shows_and_is_audited(safe: Safe) -> None:
    item = await safe.parked()
    masked = json.loads((await safe.shown(item)).payload)
    assert masked["customer"]["email"] == "***"

    for _ in range(2):
        revealed = await safe.reveal(item)
        assert json.loads(revealed.payload)["customer"]["email"] == MAIL
        assert revealed.exception.delivery_id == item

    first, second = (await safe.shown(item)).history
    assert (first.actor, first.field, first.rule) == ("anna", "revealed", "reveal_exception")
    assert first.new_value == second.new_value == "payload, because: she called"
    rows = await safe.world.rows("SELECT * FROM audit WHERE subject LIKE 'deliveries/%' ORDER BY position")
    assert verify_audit(rows) is None
    assert await safe.holds(MAIL) == []


async def test_an_edit_is_kept_sealed_as_well_and_keeps_what_its_author_could_not_see(safe: Safe) -> None:
    item = await safe.parked()
    payload = json.loads((await safe.shown(item)).payload)
    payload["customer"] |= {"name": "Ann Archer", "email": "***"}
    request = pb.EditExceptionRequest(
        exception_id=item, idempotency_key="k", payload=json.dumps(payload), reason="as she said"
    )
    await safe.desk.servicer.EditException(request, CALL)
    assert await safe.holds(MAIL) == []
    (row,) = await safe.world.rows("SELECT edited_data FROM delivery")
    assert b"Archer" not in bytes(row["edited_data"])  # type: ignore[call-overload]

    revealed = await safe.reveal(item)
    assert json.loads(revealed.payload)["customer"] == {"name": "Ann Archer", "email": MAIL}
    assert json.loads(revealed.original_payload)["customer"] == {"email": MAIL}
    await safe.desk.replay(item)
    await safe.intake.run_once()
    assert await safe.world.states() == ["DELIVERED"]


async def test_after_a_rotation_what_the_older_key_sealed_is_still_replayed(safe: Safe) -> None:
    item = await safe.parked()
    safe.keep({"acme": {**KEYS["acme"], "2026-12": "cd" * 32}})
    safe.refuses = False

    await safe.desk.replay(item)
    await safe.intake.run_once()

    assert await safe.world.states() == ["DELIVERED"]


async def test_what_is_shredded_says_so_to_whoever_needs_it_and_can_be_discarded(safe: Safe) -> None:
    item = await safe.parked()
    safe.keep({"acme": {"2026-12": "cd" * 32}})

    assert (await safe.shown(item)).payload == ""
    assert await refusal_of(safe.reveal(item)) == "ORIGINAL_UNREADABLE"
    assert await refusal_of(safe.desk.replay(item)) == "ORIGINAL_UNREADABLE"
    assert (await safe.desk.replay_many()).replayed == 1
    await safe.intake.run_once()
    (row,) = await safe.world.rows("SELECT state, reason FROM delivery")
    assert (row["state"], row["reason"]) == ("PARKED", "ORIGINAL_UNREADABLE")
    assert (await safe.shown(item)).history[-1].field == "state", "nothing was revealed"
    await safe.desk.discard(item)
    assert await safe.world.states() == ["DISCARDED"]


async def test_a_newer_change_closes_one_that_nobody_can_read_any_more(safe: Safe) -> None:
    await safe.parked()
    safe.keep({"acme": {"2026-12": "cd" * 32}})
    safe.refuses = False

    await safe.told(version="2", minute=1)

    assert await safe.world.states() == ["DISCARDED"]


async def test_what_went_over_the_wire_is_revealed_by_try_and_gone_with_its_key(safe: Safe) -> None:
    item = await safe.desk.park()
    await safe.desk.replay(item)
    await safe.desk.relay.run_once()
    kept = [bool(row["sealed_exchange"]) for row in await safe.world.attempts()]
    assert kept == [False, True]
    sent = (await safe.world.attempts())[-1]["number"]

    revealed = await safe.reveal(item, int(str(sent)))
    assert (revealed.request, revealed.response) == ("asked", "said")
    assert await refusal_of(safe.reveal(item, 7)) == "NOT_FOUND"
    (entry,) = [each for each in (await safe.shown(item)).history if each.field == "revealed"]
    assert entry.new_value == f"attempt {sent}, because: she called"

    safe.keep({})
    assert await refusal_of(safe.reveal(item, int(str(sent)))) == "ORIGINAL_UNREADABLE"


async def test_another_tenant_s_item_cannot_be_revealed(safe: Safe) -> None:
    item = await safe.parked()
    request = pb.RevealExceptionRequest(exception_id=item, reason="curious")
    with using(CallContext("globex", "", "eve", frozenset({"steward"}), "cor-1")):
        assert await refusal_of(safe.desk.servicer.RevealException(request, CALL)) == "NOT_FOUND"
