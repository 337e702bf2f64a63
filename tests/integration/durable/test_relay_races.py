"""Several relays on one database, in interleavings drawn from a seed: one try at a time, one document per key.

The seed of a failed run stands in its name and output; `SEEDS` may be extended to look further.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random

import pytest
from ordermesh.connector.v1 import change_pb2

from libs.common.aggregate import Link
from libs.common.durable.lanes import LanePolicy
from libs.common.durable.model import Delivery, Follow, Outcome, Tried
from libs.common.durable.reads import Reads
from libs.common.durable.relay import LEASE, Relay
from libs.common.durable.targets import ConnectorTarget, Outgoing
from libs.common.durable.trying import Target
from libs.common.errors import NotDone
from libs.common.retry import RetryPolicy
from libs.common.testing.faults import Fault, MemorySystem, lost_reply, lost_request
from libs.common.testing.records import NOTE, ChangeNote, NoteTx, a_key, change_note, render_note
from tests.integration.durable.world import ERP, World

SEEDS = range(8)
STEPS = 120
PATIENT = LanePolicy(concurrency_max=4, retry=RetryPolicy(attempts_max=1000))


@dataclass(slots=True)
class Exclusive:
    """Objects when two tries of one subject are under way at once."""

    target: Target
    under_way: set[str] = field(default_factory=set)
    tries: list[tuple[str, int]] = field(default_factory=list)

    async def deliver(self, delivery: Delivery) -> Outcome:
        subject = delivery.event.subject
        assert subject not in self.under_way, f"{subject} is tried twice at once"
        self.under_way.add(subject)
        self.tries.append((subject, delivery.event.sequence))
        try:
            return await self.target.deliver(delivery)
        finally:
            self.under_way.discard(subject)


def linking_target(world: World, system: MemorySystem) -> ConnectorTarget:
    """Creates a document for a note without link, changes it under its id later; the answer is linked."""
    reads = Reads(world.unit.store, NOTE)

    async def prepare(delivery: Delivery) -> Outgoing:
        note = await reads.get(delivery.event.tenant, delivery.event.record_id)
        assert note is not None
        link = note.link_of("erp")
        change = change_pb2.Change(
            kind=change_pb2.KIND_ORDER,
            intent=change_pb2.INTENT_UPSERT,
            key=note.record_id,
            external_id=link.external_id if link else "",
        )
        return Outgoing(change, following, creates=link is None)

    def following(receipt: change_pb2.Receipt) -> Follow:
        async def link(tx: NoteTx) -> None:
            note = await tx.notes.get(receipt.number)
            assert note is not None
            await tx.notes.put(note.linked(Link("erp", receipt.external_id)))

        return link

    return ConnectorTarget(Numbering(system), prepare)


class Numbering:
    """The memory system, whose documents carry the key as their number."""

    def __init__(self, system: MemorySystem) -> None:
        self._system = system

    async def ApplyChange(self, request):  # type: ignore[no-untyped-def]  # noqa: N802
        answer = await self._system.ApplyChange(request)
        answer.receipt.number = request.change.key
        return answer

    async def FindByKey(self, request):  # type: ignore[no-untyped-def]  # noqa: N802
        answer = await self._system.FindByKey(request)
        if answer.HasField("receipt"):
            answer.receipt.number = request.key
        return answer


@dataclass(slots=True)
class Process:
    """A relay whose steps a test takes one at a time."""

    relay: Relay[NoteTx]
    held: list[Delivery] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)


class Interleaving:
    """Takes steps drawn from a seed, and looks at what must hold after each."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.draw = Random(seed)
        self.system = MemorySystem()
        self.target = Exclusive(linking_target(world, self.system))
        self.units = [world.unit, world.new_unit(), world.new_unit()]
        self.processes = [self.new_process(number) for number in range(3)]
        self.notes: list[str] = []
        self.changes = 0

    def new_process(self, number: int) -> Process:
        relay = self.world.new_relay({ERP: self.target}, unit=self.units[number], policy=PATIENT)
        return Process(relay)

    async def step(self) -> None:
        number = self.draw.randrange(3)
        process = self.processes[number]
        weights = {
            self.write: 2,
            self.change: 2,
            self.claim_all: 2,
            self.claim: 3,
            self.attempt: 6,
            self.settle: 4,
            self.die: 1,
            self.wait: 2,
        }
        (action,) = self.draw.choices(list(weights), list(weights.values()))
        await action(process)

    async def write(self, process: Process) -> None:
        if len(self.notes) < 8:
            self.notes.append(await self.world.write("0", ERP))

    async def change(self, process: Process) -> None:
        if self.notes:
            self.changes += 1
            command = ChangeNote(self.draw.choice(self.notes), str(self.changes))
            key = a_key(f"change {self.changes}")
            await self.world.unit.run_once(change_note, command, render_note, key)

    async def claim(self, process: Process) -> None:
        process.held += await process.relay.claim()

    async def claim_all(self, process: Process) -> None:
        await asyncio.gather(*(self.claim(each) for each in self.processes))

    async def attempt(self, process: Process) -> None:
        """Several at once, some of which fail in one of the ways that matter."""
        self.draw.shuffle(process.held)
        count = self.draw.randint(0, len(process.held))
        chosen, process.held = process.held[:count], process.held[count:]
        faults = [lost_reply(), lost_request(), Fault(NotDone("RECORD_LOCKED")), None, None]
        fault = self.draw.choice(faults)
        self.system.apply_faults.clear()
        self.system.find_faults.clear()
        if fault is not None:
            self.system.apply_faults.append(fault)
        if self.draw.random() < 0.2:
            self.system.find_faults.append(Fault(NotDone("SYSTEM_UNAVAILABLE")))
        process.tried += await asyncio.gather(*(process.relay._try(delivery) for delivery in chosen))

    async def settle(self, process: Process) -> None:
        batch, process.tried = process.tried, []
        if batch:
            await process.relay.settle(batch)

    async def die(self, process: Process) -> None:
        number = self.processes.index(process)
        self.processes[number] = self.new_process(number)

    async def wait(self, process: Process) -> None:
        self.world.advance(self.draw.choice([0.5, 5, 20, LEASE.total_seconds() / 2, LEASE.total_seconds()]))

    def check(self) -> None:
        now = self.world.clock.now()
        held = [
            (delivery.event.subject, delivery.delivery_id)
            for process in self.processes
            for delivery in [*process.held, *(tried.delivery for tried in process.tried)]
            if delivery.lease_end > now
        ]
        assert len({subject for subject, _ in held}) == len(held), f"held twice: {held}"
        assert len(set(self.system.keys())) == len(self.system.keys()), "two documents for one key"

    async def come_to_rest(self) -> None:
        """Everybody lives, nothing fails; time passes until nothing is open."""
        self.system.apply_faults.clear()
        self.system.find_faults.clear()
        for process in self.processes:
            await self.settle(process)
        while await self.world.rows("SELECT 1 FROM delivery WHERE state <> 'DELIVERED' LIMIT 1"):
            self.world.advance(LEASE.total_seconds())
            for process in self.processes:
                await self.claim(process)
                process.tried += [await process.relay._try(delivery) for delivery in process.held]
                process.held.clear()
                await self.settle(process)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_the_interleaving_each_note_has_one_document_and_every_event_arrives_in_order(
    world: World, seed: int
) -> None:
    run = Interleaving(world, seed)

    for _ in range(STEPS):
        await run.step()
        run.check()
    await run.come_to_rest()

    run.check()
    assert sorted(run.system.keys()) == sorted(run.notes)
    links = await world.rows("SELECT record_id, external_id FROM link")
    assert {(row["record_id"], row["external_id"]) for row in links} == set(run.system.documents)
    last: dict[str, int] = {}
    for subject, sequence in run.target.tries:
        assert sequence >= last.get(subject, 1)
        assert sequence <= last.get(subject, 0) + 1
        last[subject] = sequence


async def test_two_loops_on_one_database_never_try_one_delivery_at_the_same_time(world: World) -> None:
    system = MemorySystem()
    target = Exclusive(linking_target(world, system))
    ids = await asyncio.gather(*(world.write("0", ERP) for _ in range(30)))
    for turn in range(3):
        changes = [ChangeNote(note_id, str(turn)) for note_id in ids]
        await asyncio.gather(
            *(
                world.unit.run_once(change_note, change, render_note, a_key(f"{change.note_id} {turn}"))
                for change in changes
            )
        )
    relays = [world.new_relay({ERP: target}, unit=world.new_unit()) for _ in range(2)]
    stop = asyncio.Event()
    loops = [asyncio.create_task(relay.run(stop)) for relay in relays]
    while await world.rows("SELECT 1 FROM delivery WHERE state NOT IN ('DELIVERED', 'PARKED') LIMIT 1"):
        for relay in relays:
            relay.bell.set()
    stop.set()
    await asyncio.gather(*loops)

    assert await world.states() == ["DELIVERED"] * 120
    assert sorted(system.keys()) == sorted(ids)
    assert len(target.tries) == 120
