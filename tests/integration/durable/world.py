"""What the core's tests stand on: units and relays of one schema, and eyes that look past them into the rows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import asyncpg
from ordermesh.connector.v1 import change_pb2

from libs.common.durable.lanes import LanePolicy
from libs.common.durable.model import Delivered, Delivery, Follow, Outcome
from libs.common.durable.relay import Relay, Route
from libs.common.durable.seal import Sealer
from libs.common.durable.store import Store
from libs.common.durable.targets import ConnectorTarget, Outgoing
from libs.common.durable.trying import Target
from libs.common.durable.unit import Unit
from libs.common.ids import NewId, new_id
from libs.common.retry import RetryPolicy
from libs.common.testing.clock import FakeClock, PassingClock
from libs.common.testing.faults import MemorySystem
from libs.common.testing.records import (
    ChangeNote,
    NoteTx,
    WriteNote,
    a_key,
    change_note,
    id_in,
    render_note,
    write_note,
)
from libs.common.testing.stores import Postgres

ERP = "connector:erp"
Row = Mapping[str, object]


class World:
    """One schema of notes. Everything opened here is closed with it."""

    def __init__(self, postgres: Postgres, service: str, driver: asyncpg.Connection) -> None:
        self.postgres = postgres
        self.service = service
        self.clock = FakeClock()
        self.sealer = Sealer(None)
        """Set it before anything is made, to keep originals."""
        self.woken: list[set[str]] = []
        """Targets that each commit has woken."""
        self._driver = driver
        self._stores: list[Store] = []
        self._unit: Unit[NoteTx] | None = None
        self._keys = 0

    @property
    def unit(self) -> Unit[NoteTx]:
        """The unit of the first process."""
        if self._unit is None:
            self._unit = self.new_unit()
        return self._unit

    def new_unit(self, *, url: str = "", make_id: NewId = new_id, pool_max: int = 4) -> Unit[NoteTx]:
        """The unit of another process; `url` may lead through a `DatabaseLink`.

        A commit that gives way to another for a while moves time itself.
        """
        store = Store(url or self.postgres.url, self.service, pool_max=pool_max)
        self._stores.append(store)
        return Unit(
            store,
            NoteTx,
            clock=PassingClock(self.clock),
            new_id=make_id,
            wake=self.woken.append,
            sealer=self.sealer,
        )

    def new_relay(
        self,
        targets: Mapping[str, Target],
        *,
        unit: Unit[NoteTx] | None = None,
        policy: LanePolicy | None = None,
    ) -> Relay[NoteTx]:
        """A relay whose waits are as long as the policy allows."""
        policy = policy or LanePolicy(retry=RetryPolicy(attempts_max=3))
        return Relay(
            unit or self.unit,
            {name: Route(target, policy) for name, target in targets.items()},
            name="notes",
            clock=self.clock,
            sealer=self.sealer,
            draw=lambda: 1.0,
        )

    async def close(self) -> None:
        for store in self._stores:
            await store.close()

    # What a caller does -------------------------------------------------------------------------------

    async def write(self, text: str = "hello", *hears: str, key: str = "", note_id: str = "") -> str:
        """Writes a note under a fresh key; its id."""
        self._keys += 1
        command = WriteNote(text, hears, note_id=note_id)
        once = a_key(key or f"key-{self._keys}", command)
        return id_in(await self.unit.run_once(write_note, command, render_note, once))

    async def change(self, note_id: str, text: str) -> None:
        """Gives a note another text, once for each text."""
        command = ChangeNote(note_id, text)
        await self.unit.run_once(change_note, command, render_note, a_key(f"change {note_id} {text}"))

    # What is in the rows ------------------------------------------------------------------------------

    async def rows(self, query: str, *arguments: object) -> list[Row]:
        """Rows as committed, read over a connection of the test's own."""
        return [dict(row) for row in await self._driver.fetch(query, *arguments)]

    async def execute(self, statement: str, *arguments: object) -> None:
        """Something done behind the core's back."""
        await self._driver.execute(statement, *arguments)

    async def count(self, table: str) -> int:
        return int(await self._driver.fetchval(f"SELECT count(*) FROM {table}"))

    async def counts(self) -> Mapping[str, int]:
        """Rows of the tables that must move together."""
        names = ("idempotency", "notes", "event", "delivery", "audit", "link")
        return {name: await self.count(name) for name in names}

    async def states(self, target: str = "%") -> list[str]:
        """States of the deliveries, in order of making."""
        found = await self.rows(
            "SELECT state FROM delivery WHERE target LIKE $1 ORDER BY delivery_id", target
        )
        return [str(row["state"]) for row in found]

    async def delivery(self, subject: str = "%", sequence: int = 1) -> Row:
        """The delivery of a subject, which has one of this sequence."""
        found = await self.rows(
            "SELECT * FROM delivery WHERE subject LIKE $1 AND sequence = $2", subject, sequence
        )
        assert len(found) == 1, f"{len(found)} deliveries of {subject}"
        return found[0]

    async def attempts(self) -> list[Row]:
        """All tries, in order."""
        return await self.rows("SELECT * FROM attempt ORDER BY start_time, delivery_id, number")

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Returns once `holds` answers with something true; the time limit of the test is the only other end."""
    while not await holds():  # noqa: ASYNC110  (there is nothing that could ring)
        await asyncio.sleep(0)


async def until_set(read: Callable[[], object]) -> None:
    """The same for what can be read without waiting."""

    async def holds() -> object:
        return read()

    await until(holds)


class Recorder:
    """A target that keeps what it was handed, and fails as told."""

    def __init__(self, *outcomes: Outcome | Exception, follow: Follow | None = None) -> None:
        self.seen: list[str] = []
        """`subject#sequence` of each try."""
        self._outcomes = list(outcomes)
        self._follow = follow

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.seen.append(f"{delivery.event.subject}#{delivery.event.sequence}")
        outcome = self._outcomes.pop(0) if self._outcomes else Delivered(follow=self._follow)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def connector_target(
    system: MemorySystem,
    *,
    creates: bool = True,
    follow: Callable[[change_pb2.Receipt], Follow | None] = lambda receipt: None,
) -> ConnectorTarget:
    """Tells the system of each note under the note's id."""

    async def prepare(delivery: Delivery) -> Outgoing:
        change = change_pb2.Change(
            kind=change_pb2.KIND_ORDER, intent=change_pb2.INTENT_UPSERT, key=delivery.event.record_id
        )
        return Outgoing(change, follow, creates=creates)

    return ConnectorTarget(system, prepare)
