"""Tries lie in ranges of time that go as tables; what is under way keeps its tries."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from libs.common.durable import ranges, sweep
from libs.common.durable.operations.queries import Operations
from libs.common.durable.retention import Retention
from libs.common.durable.store import schema_of
from libs.common.errors import NotDone, Refused
from libs.common.ids import new_id
from tests.integration.durable.test_schema import plan_of, scanned
from tests.integration.durable.world import ERP, Recorder, World

KEPT = Retention(history=timedelta(days=60))
DAY = 86_400.0
TRIES = "SELECT * FROM attempt WHERE delivery_id = ANY($1::bigint[]) ORDER BY start_time, number"


async def sweep_once(world: World, retention: Retention = KEPT) -> None:
    await sweep.forget_history(world.unit.store, world.clock.now(), retention, asyncio.Event())


async def live(world: World, days: int, retention: Retention = KEPT) -> None:
    """Days on which nothing happens, each with its sweep."""
    for _ in range(days):
        world.advance(DAY)
        await sweep_once(world, retention)


async def deliver(world: World, text: str, *outcomes: Exception) -> None:
    await world.write(text, ERP)
    relay = world.new_relay({ERP: Recorder(*outcomes)})
    while await relay.run_once():
        pass


async def tables(world: World) -> dict[str, int]:
    """Tries by the table they lie in, of all that are found by way of `attempt`."""
    found = await world.rows(
        "SELECT c.relname AS name, count(a.delivery_id) AS tries"
        " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid LEFT JOIN attempt a ON a.tableoid = c.oid"
        " WHERE i.inhparent = 'attempt'::regclass GROUP BY 1 ORDER BY 1"
    )
    return {str(row["name"]): int(str(row["tries"])) for row in found}


async def test_tries_lie_in_the_range_of_their_day_and_one_range_is_always_ahead(world: World) -> None:
    await deliver(world, "before there was a range")
    await sweep_once(world)
    assert await tables(world) == {"attempt_20260302_20260312": 0, "attempt_rest": 1}

    await live(world, 1)
    await deliver(world, "on the first day of one")
    await live(world, 10)
    await deliver(world, "in the next")

    assert await tables(world) == {
        "attempt_20260302_20260312": 1,
        "attempt_20260312_20260322": 1,
        "attempt_20260322_20260401": 0,
        "attempt_rest": 1,
    }
    assert len(await world.attempts()) == 3


async def test_what_is_too_old_goes_as_a_table(world: World) -> None:
    await live(world, 2)
    await deliver(world, "old")
    await live(world, 30)
    await deliver(world, "young")
    before = await tables(world)
    (young,) = [name for name, tries in before.items() if tries and name > "attempt_20260322"]

    await live(world, 60)

    after = await tables(world)
    assert young in after and after[young] == 1
    assert len(await world.attempts()) == 1
    assert not await world.rows("SELECT 1 FROM pg_class WHERE relname LIKE 'attempt_20260303%'")
    assert len(after) <= ranges.RANGES_KEPT + 4


async def test_the_tries_of_what_is_under_way_stay_and_go_with_it(world: World) -> None:
    await live(world, 2)
    await deliver(world, "parked", Refused("ERP_REFUSED", "no"))
    await deliver(world, "done")
    (row,) = await world.rows("SELECT delivery_id FROM delivery WHERE state = 'PARKED'")

    await live(world, 200)

    tries = await Operations(world.unit.store).attempts([int(str(row["delivery_id"]))])
    assert [each["reason"] for each in tries] == ["ERP_REFUSED"]
    assert (await tables(world))["attempt_rest"] == 1

    await world.execute("UPDATE delivery SET state = 'DISCARDED', settle_time = create_time")
    await sweep_once(world)
    assert await world.attempts() == []


async def test_nothing_goes_without_a_term_and_ranges_are_made_all_the_same(world: World) -> None:
    await live(world, 2, Retention())
    await deliver(world, "old")
    await live(world, 40, Retention())

    assert sum((await tables(world)).values()) == 1
    assert len(await tables(world)) == 4


async def test_a_range_whose_process_died_half_way_goes_by_the_next(world: World) -> None:
    await live(world, 2)
    await deliver(world, "parked", Refused("ERP_REFUSED", "no"))
    await deliver(world, "done")
    (name,) = [name for name, tries in (await tables(world)).items() if tries]
    await world.execute(f"ALTER TABLE attempt DETACH PARTITION {name}")

    await live(world, 62)

    assert not await world.rows("SELECT 1 FROM pg_class WHERE relname = $1", name)
    assert [row["reason"] for row in await world.attempts()] == ["ERP_REFUSED"]


async def test_relays_that_sweep_at_once_do_it_once(world: World) -> None:
    await live(world, 2)
    await deliver(world, "parked", Refused("ERP_REFUSED", "no"))
    world.advance(100 * DAY)
    stores = [world.new_unit().store for _ in range(5)]

    await asyncio.gather(
        *(sweep.forget_history(store, world.clock.now(), KEPT, asyncio.Event()) for store in stores)
    )
    await sweep_once(world)

    assert len(await world.attempts()) == 1
    assert list(await tables(world)) == ["attempt_20260612_20260622", "attempt_rest"]


@pytest.fixture
async def reader(world: World, monkeypatch: pytest.MonkeyPatch) -> asyncpg.Connection:
    """Somebody who looks at tries for long."""
    monkeypatch.setattr(ranges, "SOON", "SET LOCAL lock_timeout = 20")
    return await world.postgres.connect(world.service)


async def test_whoever_holds_the_table_is_not_waited_for(world: World, reader: asyncpg.Connection) -> None:
    await live(world, 2)
    await deliver(world, "old")
    before = await tables(world)
    world.advance(90 * DAY)

    async with reader.transaction():
        await reader.fetch("SELECT * FROM attempt")
        await sweep_once(world)
    assert await tables(world) == before

    await sweep_once(world)
    assert "attempt_20260302_20260312" not in await tables(world)
    await reader.close()


async def test_a_clock_that_is_ahead_stands_in_nobody_s_way(world: World) -> None:
    world.advance(3 * DAY)
    await deliver(world, "ahead")
    world.advance(-3 * DAY)

    await sweep_once(world)
    assert list(await tables(world)) == ["attempt_rest"]

    await live(world, 4)
    assert await tables(world) == {
        "attempt_20260305_20260315": 0,
        "attempt_20260315_20260325": 0,
        "attempt_rest": 1,
    }


async def test_a_relay_that_may_not_make_tables_sweeps_row_by_row(world: World) -> None:
    schema, role = schema_of(world.service), new_id("limited")
    await world.execute(f"CREATE ROLE {role} LOGIN")
    await world.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    await world.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
    store = world.new_unit(url=world.postgres.url.replace("postgres@", f"{role}@")).store
    await deliver(world, "old")
    world.advance(90 * DAY)

    gone = await sweep.forget_history(store, world.clock.now(), KEPT, asyncio.Event())

    assert gone == {"delivery": 1, "event": 1}
    assert await tables(world) == {"attempt_rest": 0}
    await store.close()
    await world.execute(f"DROP OWNED BY {role}")
    await world.execute(f"DROP ROLE {role}")


async def test_a_database_that_is_away_is_told_as_such(world: World) -> None:
    store = world.new_unit(url="postgresql+asyncpg://nobody@127.0.0.1:1/none").store

    with pytest.raises(NotDone) as error:
        await ranges.make_ahead(store, world.clock.now(), None)

    assert error.value.reason == "STORE_UNAVAILABLE"


async def test_tries_are_found_by_their_delivery_in_every_range(world: World) -> None:
    await live(world, 40)
    await world.execute(
        "INSERT INTO attempt (delivery_id, number, start_time, took_us, outcome, reason, mapping, verdict, operation,"
        " request_digest, response_digest, sealed_exchange)"
        " SELECT n, 1, $1::timestamptz + n * interval '1 minute', 0, '', '', '', '', '', '', '', ''"
        " FROM generate_series(1, 50000) n",
        world.clock.now() - timedelta(days=38),
    )
    await world.execute("ANALYZE")

    nodes = await plan_of(world, TRIES, [5, 5000, 49000])

    filled = [name for name, tries in (await tables(world)).items() if tries]
    assert len(filled) == 4
    assert [scanned(nodes, name) for name in filled] == [{"Index Scan"}] * 4
