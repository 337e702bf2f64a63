"""The tables are what `tables.py` says they are; what is asked often is found without looking through everything."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.durable import aside, tables
from libs.common.durable.claims import claim, set_back
from libs.common.durable.leases import CLAIM, DELIVERED, FAILED, HOLD
from libs.common.durable.migrations import migrate
from libs.common.durable.operations.handling import LAST_TOLD
from libs.common.durable.operations.obsolete import OBSOLETE
from libs.common.durable.operations.queries import DELIVERIES_OF, EXCEPTION_FILTER, STANDSTILL, Operations
from libs.common.durable.probes import lookup_statement
from libs.common.durable.readings import DEPTHS, ROWS_MAX
from libs.common.durable.rows import _update_statement
from libs.common.durable.store import schema_of
from libs.common.durable.tx import proposals
from libs.common.durable.tx.ahead import _linked_statement
from libs.common.ids import new_id
from libs.common.listing import parse_page
from libs.common.testing.stores import Postgres
from tests.integration.durable.world import World

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("table", list(tables.METADATA.tables.values()), ids=lambda table: str(table.name))
async def test_the_script_and_the_tables_agree(world: World, table: sa.Table) -> None:
    engine = create_async_engine(world.postgres.url)
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: sa.inspect(sync).get_columns(table.name, schema=schema_of(world.service))
        )
    await engine.dispose()

    def kind(column_type: sa.types.TypeEngine[object]) -> str:
        return str(column_type.compile(dialect=engine.dialect))

    assert {column["name"]: kind(column["type"]) for column in found} == {
        column.name: kind(column.type) for column in table.columns
    }


async def test_every_table_of_the_script_is_declared(world: World) -> None:
    rows = await world.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema_of(world.service)
    )

    assert {row["table_name"] for row in rows} == {*tables.METADATA.tables, "attempt_rest", "notes"}


async def test_migrations_may_start_at_once_and_again(postgres: Postgres) -> None:
    location = ROOT / "services" / "order" / "migrations"
    service = new_id("migrated")

    await asyncio.gather(*(migrate(postgres.url, service, location) for _ in range(4)))
    await migrate(postgres.url, service, location)

    driver = await postgres.connect(service)
    assert await driver.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await driver.fetchval("SELECT count(*) FROM delivery") == 0
    await driver.close()
    await postgres.drop_schema(service)


@pytest.fixture
async def crowded(world: World) -> World:
    """10,000 deliveries of 1,000 records and five targets: most delivered, some due, some parked."""
    await world.execute(
        "INSERT INTO event (event_id, tenant, type, subject, sequence, data, source_system, actor, correlation_id,"
        " causation_id, traceparent, contract_version, occurred_time)"
        " SELECT 'evt_' || n, 'tenant-' || n % 3, 'ordermesh.note.v1.NoteWritten', 'notes/' || n % 1000, n / 1000 + 1,"
        " '', '', '', '', '', '', 'v1', $1 FROM generate_series(0, 9999) n",
        NOW,
    )
    await world.execute(
        "INSERT INTO delivery (tenant, event_id, target, subject, sequence, state, due_time, create_time)"
        " SELECT tenant, event_id, 'stage:' || position % 5, subject, sequence,"
        " CASE WHEN position % 97 = 0 THEN 'PARKED' WHEN position % 50 = 0 THEN 'RETRYING'"
        " WHEN position % 30 = 0 THEN 'PENDING' ELSE 'DELIVERED' END, $1, $1 FROM event",
        NOW,
    )
    await world.execute("ANALYZE")
    return world


async def plan_of(world: World, statement: str, *arguments: object) -> list[dict[str, object]]:
    """All nodes of the plan that ran."""
    async with world.unit.store.driver() as driver:
        transaction = driver.transaction()
        await transaction.start()
        plans = await driver.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
        await transaction.rollback()
    nodes: list[dict[str, object]] = []

    def walk(node: dict[str, object]) -> None:
        nodes.append(node)
        children = node.get("Plans", [])
        assert isinstance(children, list)
        for child in children:
            walk(child)

    walk(plans[0]["Plan"])
    return nodes


def scanned(nodes: list[dict[str, object]], table: str) -> set[object]:
    """How a table is looked through."""
    return {
        node["Node Type"]
        for node in nodes
        if node.get("Relation Name") == table and "Scan" in str(node["Node Type"])
    }


def indexes(nodes: list[dict[str, object]]) -> set[object]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


async def test_a_claim_finds_what_is_due_by_its_partial_indexes(crowded: World) -> None:
    targets = [f"stage:{number}" for number in range(5)]

    nodes = await plan_of(crowded, CLAIM, targets, [8] * 5, NOW, "lea_1", NOW)

    assert {"delivery_due", "delivery_head"} <= indexes(nodes)
    assert "Seq Scan" not in scanned(nodes, "delivery") | scanned(nodes, "event")


async def test_the_depths_that_metrics_tell_are_read_from_what_is_open_alone(crowded: World) -> None:
    nodes = await plan_of(crowded, DEPTHS, ROWS_MAX)

    assert indexes(nodes) <= {"delivery_due", "delivery_head", "delivery_parked"}
    assert "Seq Scan" not in scanned(nodes, "delivery")


async def test_a_claim_without_anything_due_looks_at_nothing(crowded: World) -> None:
    await crowded.execute("UPDATE delivery SET state = 'DELIVERED' WHERE state <> 'PARKED'")
    await crowded.execute("VACUUM ANALYZE delivery")

    nodes = await plan_of(crowded, CLAIM, ["stage:0"], [8], NOW, "lea_1", NOW)

    touched = nodes[0]["Shared Hit Blocks"]
    assert isinstance(touched, int)
    assert touched < 50


async def test_a_claim_touches_no_index(world: World) -> None:
    """Where every row is due, for each of several targets."""
    for number in range(200):
        await world.write(str(number), "stage:0", "stage:1", "stage:2")

    async with world.unit.store.driver() as driver, driver.transaction():
        claimed = await claim(driver, {"stage:0": 64}, world.clock.now(), "lea_1", timedelta(minutes=1))
        (found,) = await driver.fetch(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relid = 'delivery'::regclass"
        )

    assert (len(claimed), found["n_tup_upd"], found["n_tup_hot_upd"]) == (64, 64, 64)


async def test_a_claim_takes_no_longer_the_more_waits_behind_one_record(crowded: World) -> None:
    """One look into the index for each delivery that is due, however many there are of one record."""
    await crowded.execute(
        "UPDATE delivery SET subject = 'notes/1', sequence = delivery_id, state = 'PENDING', target = 'stage:0',"
        " tenant = 'tenant-1'"
    )
    await crowded.execute("UPDATE delivery SET state = 'PARKED' WHERE delivery_id = 1")
    await crowded.execute("ANALYZE")

    nodes = await plan_of(crowded, CLAIM, ["stage:0"], [8], NOW, "lea_1", NOW)

    assert not {"Hash Join", "Merge Join"} & {
        node["Node Type"] for node in nodes if node.get("Join Type") == "Anti"
    }
    touched = nodes[0]["Shared Hit Blocks"]
    assert isinstance(touched, int)
    assert touched < 10_000 * 10


async def test_a_claim_does_not_look_at_what_was_put_off(crowded: World) -> None:
    await crowded.execute("UPDATE delivery SET state = CASE sequence WHEN 1 THEN 'PARKED' ELSE 'PENDING' END")
    async with crowded.unit.store.driver() as driver:
        assert await set_back(driver, [f"stage:{number}" for number in range(5)], NOW)
    await crowded.execute("VACUUM ANALYZE delivery")

    nodes = await plan_of(crowded, CLAIM, ["stage:0"], [8], NOW, "lea_1", NOW)

    touched = nodes[0]["Shared Hit Blocks"]
    assert isinstance(touched, int)
    assert touched < 500


class Listening:
    """Hears what is asked, and knows nothing."""

    service = "notes"

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    async def fetch(self, query: str, *arguments: object) -> list[object]:
        self.asked.append((query, arguments))
        return []


async def test_the_exception_queue_is_read_by_its_index(crowded: World) -> None:
    store = Listening()
    page = parse_page("tenant-1", 50, "", "", {})
    await Operations(store).exceptions("tenant-1", page)  # type: ignore[arg-type]
    ((query, arguments),) = store.asked

    nodes = await plan_of(crowded, query, *arguments)

    assert "Seq Scan" not in scanned(nodes, "delivery")


async def test_what_has_become_of_one_record_is_found_by_its_events(crowded: World) -> None:
    store = Listening()
    page = parse_page("tenant-1", 50, "", 'state = "DISCARDED" AND subject = "notes/7"', EXCEPTION_FILTER)
    await Operations(store).exceptions("tenant-1", page)  # type: ignore[arg-type]
    asked = [
        *store.asked,
        (DELIVERIES_OF, ("tenant-1", "notes/7", 100)),
        (STANDSTILL, ("tenant-1", "notes/7")),
        (OBSOLETE, ("tenant-1", "notes/7", ["stage:%"])),
        (LAST_TOLD, ("tenant-1", "notes/7", "stage:0", 9)),
        (aside.OPEN, ("tenant-1", ["notes/7"])),
        (proposals.OPEN, ("tenant-1", ["notes/7"])),
    ]

    for query, arguments in asked:
        nodes = await plan_of(crowded, query, *arguments)

        assert {"event_tenant_subject_sequence_key", "delivery_event_id_target_key"} <= indexes(nodes)
        assert "Seq Scan" not in scanned(nodes, "delivery")


PLANNED_ONCE = {
    "keys": (lookup_statement("idempotency", "answer", ("tenant", "method", "key")), {"idempotency_pkey"}),
    "linked": (_linked_statement("notes"), {"link_pkey", "notes_pkey"}),
    "claim": (CLAIM, {"delivery_due", "delivery_pkey", "event_event_id_key"}),
    "delivered": (DELIVERED.format("$1", "$2"), {"delivery_pkey"}),
    "failed": (FAILED.format(*(f"${number}" for number in range(1, 11))), {"delivery_pkey"}),
    "held": (HOLD.format(*(f"${number}" for number in range(1, 10))), set[str]()),
    "update": (
        _update_statement(tables.DELIVERY, ("delivery_id", "state", "was_state"), ("delivery_id",)),
        {"delivery_pkey"},
    ),
}
"""What is said for each commit, and the indexes by which it is to find its rows."""


@pytest.mark.parametrize("said", PLANNED_ONCE)
async def test_rows_are_found_by_index_though_the_tables_were_empty_when_that_was_planned(
    world: World, said: str
) -> None:
    statement, wanted = PLANNED_ONCE[said]

    await world.execute(f"PREPARE said AS {statement}")
    await world.execute("SET plan_cache_mode = force_generic_plan")
    (known,) = await world.rows(
        "SELECT cardinality(parameter_types) AS parameters FROM pg_prepared_statements WHERE name = 'said'"
    )
    plan = await world.rows(f"EXPLAIN EXECUTE said({', '.join(['NULL'] * int(str(known['parameters'])))})")

    told = "\n".join(str(row["QUERY PLAN"]) for row in plan)
    assert "Seq Scan" not in told
    assert not {index for index in wanted if f"using {index}" not in told}


@pytest.mark.parametrize("said", PLANNED_ONCE)
async def test_what_is_said_for_each_commit_is_planned_once(world: World, said: str) -> None:
    """However few rows it is for: a plan of its own would have to seem cheaper than the common one."""
    statement, _ = PLANNED_ONCE[said]
    async with world.unit.store.driver() as driver:
        prepared = await driver.prepare(statement)
        values = [_nothing_of(kind.name) for kind in prepared.get_parameters()]
        for _ in range(8):
            await prepared.fetch(*values)
        counted = await driver.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", statement
        )

    assert counted is not None
    assert (counted["generic_plans"], counted["custom_plans"]) == (3, 5)


def _nothing_of(kind: str) -> object:
    """A value of the type, an array of none where it is one."""
    return [] if kind.endswith("[]") else NOW if kind == "timestamptz" else "lea_1"


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM event WHERE tenant = $1 AND subject = $2", "event_tenant_subject_sequence_key"),
        ("SELECT * FROM audit WHERE tenant = $1 AND subject = $2 ORDER BY position", "audit_subject"),
        ("SELECT * FROM link WHERE tenant = $1 AND record_id = $2", "link_record"),
    ],
)
async def test_what_is_known_of_one_record_is_found_by_index(crowded: World, query: str, index: str) -> None:
    await crowded.execute(
        "INSERT INTO audit (tenant, subject, field, old_value, new_value, source_system, actor, rule, correlation_id,"
        " occurred_time, hash) SELECT tenant, subject, '', '', '', '', '', '', '', $1, '' FROM event",
        NOW,
    )
    await crowded.execute(
        "INSERT INTO link SELECT tenant, 'erp', 'notes', event_id, subject, '', '' FROM event"
    )
    await crowded.execute("ANALYZE")

    assert index in indexes(await plan_of(crowded, query, "tenant-1", "notes/7"))
