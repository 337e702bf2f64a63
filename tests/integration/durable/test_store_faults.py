"""The database goes away at any step: the caller knows what is known, and nothing is half written."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.wrappers_pb2 import StringValue

from libs.common.aggregate import Link
from libs.common.durable.reads import Reads
from libs.common.durable.store import AGAIN, UNREACHABLE, UNSTORABLE, Store
from libs.common.durable.unit import Unit
from libs.common.errors import NotDone, OrdermeshError, OutcomeUnknown, Refused
from libs.common.testing.faults import DatabaseLink
from libs.common.testing.records import (
    NOTE,
    Note,
    NoteTx,
    WriteNote,
    a_context,
    a_key,
    id_in,
    render_note,
    write_note,
)
from tests.integration.durable.world import World, until

EMPTY = dict.fromkeys(("idempotency", "notes", "event", "delivery", "audit", "link"), 0)
FULL = {**dict.fromkeys(EMPTY, 1), "delivery": 2}
MESSAGES_MAX = 200
TURNS_MAX = 400


@pytest_asyncio.fixture
async def link(world: World) -> AsyncIterator[DatabaseLink]:
    async with DatabaseLink(world.postgres.folder) as link:
        yield link
        await world.close()


@pytest.fixture
def unit(world: World, link: DatabaseLink) -> Unit[NoteTx]:
    """A unit behind the link."""
    return world.new_unit(url=link.url)


async def write(unit: Unit[NoteTx], key: str = "k", *, linked: bool = True) -> StringValue:
    """linked: the link is written by a statement of its own, so that the commit has several."""
    links = (Link("erp", f"x-{key}"),) if linked else ()
    command = WriteNote("hello", ("stage:next", "connector:erp"), links)
    return await unit.run_once(write_note, command, render_note, a_key(key, command))


async def test_while_the_database_is_away_nothing_is_done_and_the_caller_may_repeat(
    world: World, link: DatabaseLink, unit: Unit[NoteTx]
) -> None:
    await link.cut()
    with pytest.raises(NotDone) as error:
        await write(unit)
    assert error.value.reason == "STORE_UNAVAILABLE"
    assert await world.counts() == EMPTY

    await link.mend()
    await write(unit)
    assert await world.counts() == FULL


async def test_many_who_wait_learn_together_that_the_database_is_away(
    link: DatabaseLink, unit: Unit[NoteTx]
) -> None:
    tries: list[str] = []

    async def count_and_write(command: WriteNote, tx: NoteTx) -> Note:
        tries.append(command.text)
        return await write_note(command, tx)

    async def lose_the_connection(command: WriteNote, tx: NoteTx) -> Note:
        await link.cut()
        await tx.driver.execute("SELECT 1")
        raise AssertionError("the link is cut")

    handlers = [count_and_write] * 64
    handlers[20] = lose_the_connection
    outcomes = await asyncio.gather(
        *(
            unit.run_once(handler, WriteNote(str(number)), render_note, a_key(str(number)))
            for number, handler in enumerate(handlers)
        ),
        return_exceptions=True,
    )

    assert {type(outcome) for outcome in outcomes} == {NotDone}
    assert len(tries) < 64 + 5


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("warm", [False, True])
async def test_the_connection_may_be_lost_at_any_message(
    world: World, link: DatabaseLink, warm: bool, linked: bool, heard: bool, for_good: bool
) -> None:
    """Cut before the first, the second, … message of a command: all or nothing, and a repeat makes it whole.

    warm: the connection is there, and the statements are prepared on it. for_good: the database stays away.
    """
    whole = FULL if linked else {**FULL, "link": 0}
    outcomes: list[str] = []
    unit = world.new_unit(url=link.url)
    for messages in range(MESSAGES_MAX):
        if warm:
            await write(unit, f"w{messages}", linked=linked)
        else:
            unit = world.new_unit(url=link.url)
        before = await world.count("notes")
        link.cut_after(messages, heard=heard, for_good=for_good)
        try:
            await write(unit, f"k{messages}", linked=linked)
            outcomes.append("done")
        except OrdermeshError as error:
            outcomes.append(type(error).__name__)
        was_cut = link.was_cut
        await link.mend()
        counts = await world.counts()
        assert counts["notes"] in (before, before + 1)
        assert counts == {name: counts["notes"] * rows for name, rows in whole.items()}
        if outcomes[-1] == "NotDone":
            assert counts["notes"] == before
        await write(unit, f"k{messages}", linked=linked)
        assert await world.count("notes") == before + 1
        if not was_cut:
            break
    assert outcomes[-1] == "done"
    # BEGIN is said again on another connection. A statement alone is in doubt from its preparation on.
    # Where the database is there again, the key tells what became of the commit; else the caller is in doubt.
    in_doubt = outcomes.count("OutcomeUnknown")
    assert (1 <= in_doubt <= 2) if for_good else in_doubt == 0
    # A statement alone is all of the commit: there is no message before it that could be lost.
    assert outcomes.count("NotDone") >= 2 or (warm and not linked)
    assert outcomes.count("NotDone") == 0 or linked or not warm


async def test_a_commit_of_one_statement_that_the_database_refuses_is_not_done(
    world: World, unit: Unit[NoteTx]
) -> None:
    """What the database itself says is known: it has taken the statement back."""
    disk_full = (
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$"
    )
    await world.execute(f"{disk_full} LANGUAGE plpgsql")
    await world.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()")

    with pytest.raises(NotDone) as error:
        await write(unit, linked=False)
    assert error.value.reason == "STORE_UNAVAILABLE"
    assert await world.counts() == EMPTY


async def test_two_commits_of_one_statement_with_the_same_key_are_one(world: World) -> None:
    """Neither sees the other's key; the database lets one of them in, and the other finds its answer."""
    units = [world.new_unit() for _ in range(4)]
    answers = await asyncio.gather(*(write(unit, linked=False) for unit in units))

    assert len({id_in(answer) for answer in answers}) == 1
    assert await world.counts() == {**FULL, "link": 0}


@pytest.mark.parametrize("applied", [False, True])
async def test_a_connection_lost_during_commit_leaves_nobody_in_doubt_while_the_database_can_be_asked(
    world: World, link: DatabaseLink, unit: Unit[NoteTx], applied: bool
) -> None:
    link.lose_next_commit(applied=applied)

    answer = await write(unit)

    assert await world.counts() == FULL
    assert await world.rows("SELECT record_id FROM notes") == [{"record_id": id_in(answer)}]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_connection_lost_during_commit_leaves_the_caller_in_doubt_and_a_repeat_settles_it(
    world: World, link: DatabaseLink, unit: Unit[NoteTx], applied: bool
) -> None:
    link.lose_next_commit(applied=applied, for_good=True)

    with pytest.raises(OutcomeUnknown) as error:
        await write(unit)
    assert error.value.reason == "OUTCOME_UNKNOWN"
    assert await world.count("notes") == int(applied)

    await link.mend()
    answer = await write(unit)
    assert await world.counts() == FULL
    assert await world.rows("SELECT record_id FROM notes") == [{"record_id": id_in(answer)}]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_shared_commit_that_is_in_doubt_is_resolved_by_asking_again(
    world: World, link: DatabaseLink, unit: Unit[NoteTx], applied: bool
) -> None:
    runs: list[str] = []

    async def lose_the_commit(command: WriteNote, tx: NoteTx) -> Note:
        if not runs:
            link.lose_next_commit(applied=applied)
        runs.append(command.text)
        return await write_note(command, tx)

    async def last() -> StringValue:
        return await unit.run_once(lose_the_commit, WriteNote("last"), render_note, a_key("last"))

    answers = await asyncio.gather(*(write(unit, f"k{n}") for n in range(20)), last())

    assert len({id_in(answer) for answer in answers}) == await world.count("notes") == 21
    assert len(runs) == (1 if applied else 2)


async def test_in_doubt_is_never_told_as_not_done(
    world: World, link: DatabaseLink, unit: Unit[NoteTx]
) -> None:
    """The shared commit is applied, its reply lost, and the database stays away: each caller is in doubt."""

    async def lose_the_commit(command: WriteNote, tx: NoteTx) -> Note:
        link.lose_next_commit(applied=True, for_good=True)
        return await write_note(command, tx)

    async def last() -> StringValue:
        return await unit.run_once(lose_the_commit, WriteNote("last"), render_note, a_key("last"))

    calls = [*(write(unit, f"k{n}") for n in range(10)), last()]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 11
    assert await world.count("notes") == 11


async def test_connections_that_were_closed_while_idle_fail_nobody(world: World) -> None:
    """As after a restart of the database: each connection of the pool is stale."""
    unit = world.new_unit(pool_max=3)
    await asyncio.gather(*(unit.store.fetch("SELECT pg_sleep(0.02)") for _ in range(3)))

    await world.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        f"ordermesh-{world.service}",
    )
    await until(lambda: nobody_connected(world))

    await write(unit)
    await asyncio.gather(*(unit.store.fetch("SELECT pg_sleep(0.02)") for _ in range(3)))


async def test_a_connection_that_was_told_to_go_while_idle_fails_nobody(
    world: World, link: DatabaseLink
) -> None:
    """The server's last words have arrived, the end of the connection has not: the driver still calls it open."""
    unit = world.new_unit(url=link.url, pool_max=2)
    for _ in range(3):
        await asyncio.gather(*(unit.store.fetch("SELECT pg_sleep(0.02)") for _ in range(2)))
        link.announce_shutdown()
        await asyncio.gather(write(unit), unit.store.fetch("SELECT 1"))

    assert await world.counts() == FULL


async def nobody_connected(world: World) -> bool:
    connected = "SELECT 1 FROM pg_stat_activity WHERE application_name = $1"
    return not await world.rows(connected, f"ordermesh-{world.service}")


async def test_a_cancelled_commit_leaves_no_transaction_behind_in_the_pool(world: World) -> None:
    unit = world.new_unit(pool_max=1)
    entered = asyncio.Event()

    async def hang(command: str, tx: NoteTx) -> Note:
        await write_note(WriteNote("x"), tx)
        await tx.driver.execute("SELECT 1")
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def work() -> None:
        await unit.commit(lambda group: hang("", unit.open(group, a_context(), "hang")))

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await unit.store.fetch("SELECT pg_current_xact_id_if_assigned() AS xid") is not None
    await write(unit)
    assert await world.counts() == FULL


async def test_a_commit_given_up_at_any_step_leaves_a_connection_that_serves_the_next(world: World) -> None:
    """Also while the transaction is only beginning."""
    unit = world.new_unit(pool_max=1)
    await write(unit, "first")
    for turns in range(TURNS_MAX):
        task = asyncio.create_task(unit.commit(lambda group: group.driver.fetch("SELECT 1")))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await write(unit, f"k{turns}")
        if ended:
            break
    assert await world.count("notes") == turns + 2


async def test_a_transaction_left_open_is_never_handed_to_the_next(world: World) -> None:
    store = world.new_unit(pool_max=1).store

    async def leave_a_transaction_open() -> None:
        async with store.driver() as driver:
            await driver.execute("BEGIN")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await leave_a_transaction_open()

    async with store.driver() as driver:
        assert not driver.is_in_transaction()


async def test_a_column_added_under_running_processes_disturbs_nobody(world: World) -> None:
    """Migrations expand while the previous release runs: its cached statements are made anew."""
    reads = Reads(world.unit.store, NOTE)
    note_id = await world.write("before")
    await world.unit.store.fetch("SELECT * FROM delivery")
    for table in ("notes", "event", "delivery", "audit", "idempotency"):
        await world.execute(f"ALTER TABLE {table} ADD COLUMN fresh text NOT NULL DEFAULT ''")

    async def read_all(command: WriteNote, tx: NoteTx) -> Note:
        await tx.driver.fetch("SELECT * FROM notes")
        return await write_note(command, tx)

    await world.unit.run_once(read_all, WriteNote("one"), render_note, a_key("one"))
    await world.execute("ALTER TABLE notes ADD COLUMN fresher text NOT NULL DEFAULT ''")
    await world.unit.run_once(read_all, WriteNote("two"), render_note, a_key("two"))

    found = await reads.get("acme", note_id)
    assert found is not None
    assert found.text == "before"
    assert await world.unit.store.fetch("SELECT * FROM delivery") == []


async def test_a_full_pool_is_not_done(world: World) -> None:
    store = world.new_unit(pool_max=1).store
    store.engine.pool._timeout = 0.01  # type: ignore[attr-defined]

    async with store.driver():
        with pytest.raises(NotDone) as error:
            await store.fetch("SELECT 1")

    assert error.value.reason == "STORE_UNAVAILABLE"


async def test_a_database_that_knows_us_no_longer_is_not_done(world: World) -> None:
    """Wrong password, dropped database, role gone: nothing is done, and the loops go on asking."""
    store = Store(world.postgres.url.replace("postgres@", "nobody@"), "notes", pool_max=1)

    with pytest.raises(NotDone):
        await store.ping()

    await store.close()


async def test_a_read_that_another_transaction_was_in_the_way_of_may_be_repeated(world: World) -> None:
    deadlock = "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END$$"
    with pytest.raises(NotDone) as refused:
        await world.unit.store.fetch(deadlock)
    assert refused.value.reason == "CONFLICT"


async def test_reading_by_a_value_that_no_column_holds_is_refused(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await Reads(world.unit.store, NOTE).get("acme", "note_\x00")

    assert refused.value.reason == "INVALID_FIELD"


def _classes(*codes: str) -> list[type[Exception]]:
    kinds = [kind for kind in vars(asyncpg.exceptions).values() if isinstance(kind, type)]
    return [kind for kind in kinds if str(getattr(kind, "sqlstate", "")).startswith(codes)]


def test_every_failure_of_the_connection_or_server_is_sorted() -> None:
    """SQLSTATE classes 08 connection, 53 resources, 57 operator, 58 system, 40 rolled back, 28 who we are."""
    sorted_kinds = AGAIN + UNREACHABLE

    unsorted = [
        kind.__name__
        for kind in _classes("08", "28", "40", "53", "57", "58")
        if not issubclass(kind, sorted_kinds)
    ]

    assert unsorted in ([], ["TransactionRollbackError"])


def test_what_is_not_storable_is_not_a_lost_connection() -> None:
    assert not any(issubclass(kind, UNREACHABLE) for kind in UNSTORABLE[:-1])
    assert not any(issubclass(kind, AGAIN) for kind in UNSTORABLE)
