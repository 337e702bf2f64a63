"""What the core counts, and what it tells of its tables when somebody asks for metrics."""

from collections.abc import Callable
from datetime import timedelta
from random import random

from ordermesh.connector.v1 import connector_service_pb2

from libs.common.durable.ingest import Feed, Ingest
from libs.common.durable.model import Failed
from libs.common.durable.readings import Depths, Lags, tell_connections
from libs.common.errors import NotDone, Refused
from libs.common.metrics.declaring import REGISTRY
from libs.common.testing.faults import MemorySystem
from tests.integration.durable.test_ingest import TakesIn, a_change
from tests.integration.durable.world import ERP, Recorder, World

STAGE = "stage:next"


def told(name: str, **labels: str) -> float | None:
    """A value as anybody who asks would see it."""
    return REGISTRY.get_sample_value(name, labels)


def counted(name: str, **labels: str) -> Callable[[], float]:
    """How much is counted from now on."""
    before = told(name, **labels) or 0.0
    return lambda: (told(name, **labels) or 0.0) - before


async def test_commands_are_counted_once_they_are_committed_and_repetitions_apart(world: World) -> None:
    committed = counted("ordermesh_commands_total", command="write_note", outcome="committed")
    replayed = counted("ordermesh_commands_total", command="write_note", outcome="replayed")
    groups, commands = counted("ordermesh_commit_commands_count"), counted("ordermesh_commit_commands_sum")
    await world.write(key="key-a")
    await world.write(key="key-a")
    assert (committed(), replayed()) == (1, 1)
    assert (groups(), commands()) == (1, 1)


async def test_tries_are_counted_by_what_became_of_the_delivery(world: World) -> None:
    refused = Failed(Refused("TAX_CODE_UNKNOWN", "4711-secret"))
    outcomes = {
        state: counted("ordermesh_delivery_tries_total", target=STAGE, state=state)
        for state in ("DELIVERED", "RETRYING", "PARKED")
    }
    reasons = counted("ordermesh_delivery_failures_total", target=STAGE, reason="TAX_CODE_UNKNOWN")
    relay = world.new_relay({STAGE: Recorder(Failed(NotDone("CONFLICT")), refused)})
    for text in ("first", "second", "third"):
        await world.write(text, STAGE)
        await relay.run_once()
    assert {state: outcome() for state, outcome in outcomes.items()} == dict.fromkeys(outcomes, 1)
    assert reasons() == 1


async def test_open_deliveries_are_told_by_target_and_state_with_the_age_of_the_oldest(world: World) -> None:
    parks = Recorder(Failed(Refused("TAX_CODE_UNKNOWN")))
    relay = world.new_relay({STAGE: parks, ERP: Recorder()})
    await world.write("parks", STAGE)
    await relay.run_once()
    world.advance(90)
    await world.write("waits", STAGE)
    world.advance(10)
    depths = Depths(relay, world.unit.store, world.clock)
    await depths.read()
    assert told("ordermesh_deliveries", target=STAGE, state="PARKED") == 1
    assert told("ordermesh_deliveries", target=STAGE, state="PENDING") == 1
    assert told("ordermesh_delivery_oldest_age_seconds", target=STAGE, state="PARKED") == 100
    assert told("ordermesh_delivery_oldest_age_seconds", target=STAGE, state="PENDING") == 10
    assert told("ordermesh_deliveries", target=ERP, state="PENDING") == 0
    overdue = [told("ordermesh_delivery_overdue_seconds", target=target) for target in (STAGE, ERP)]
    assert overdue == [10, 0]  # what is parked is not due
    await relay.run_once()
    await depths.read()
    assert told("ordermesh_deliveries", target=STAGE, state="PENDING") == 0


async def test_an_open_breaker_and_a_pause_that_was_asked_for_are_told(world: World) -> None:
    relay = world.new_relay({STAGE: Recorder(), ERP: Recorder()})
    for _ in range(5):
        relay.lanes[ERP].failed(NotDone("SYSTEM_UNAVAILABLE"), world.clock.now())
    slower = NotDone("SYSTEM_THROTTLED", retry_after=timedelta(seconds=60))
    relay.lanes[STAGE].failed(slower, world.clock.now())
    await Depths(relay, world.unit.store, world.clock).read()
    breakers = [told("ordermesh_lane_breaker_open", target=target) for target in (ERP, STAGE)]
    assert breakers == [1, 0]
    assert told("ordermesh_lane_paused_seconds", target=STAGE) == 60


async def test_a_feed_is_behind_since_it_was_last_read_to_its_end(world: World) -> None:
    system = MemorySystem()
    feeds = [Feed(tenant, "erp", "KIND_ORDER", system, timedelta(seconds=5)) for tenant in ("acme", "globex")]
    ingest = Ingest(world.unit, feeds, TakesIn(), clock=world.clock, draw=random)
    lags = Lags(ingest, world.unit.store, world.clock)
    world.advance(30)
    await ingest.run_once(feeds[0])
    await lags.read()
    assert told("ordermesh_ingest_lag_seconds", system="erp", kind="order") == 30  # globex never was
    await ingest.run_once(feeds[1])
    world.advance(7)
    await lags.read()
    assert told("ordermesh_ingest_lag_seconds", system="erp", kind="order") == 7
    assert told("ordermesh_ingest_failing", system="erp", kind="order") == 0


async def test_changes_read_are_counted_by_system_and_kind(world: World) -> None:
    system = MemorySystem()
    read = counted("ordermesh_ingest_changes_total", system="erp", kind="order")
    feed = Feed("acme", "erp", "KIND_ORDER", system, timedelta(seconds=5))
    ingest = Ingest(world.unit, [feed], TakesIn(), clock=world.clock, draw=random)
    system.feed += [
        connector_service_pb2.ReadChangesResponse(change=change) for change in (a_change("1"), a_change("2"))
    ]
    await ingest.run_once(feed)
    assert read() == 2


async def test_connections_in_use_are_told(world: World) -> None:
    async with world.unit.store.driver():
        tell_connections(world.unit.store)
        assert told("ordermesh_database_connections", state="used") == 1
        assert told("ordermesh_database_connections_max") == 4


async def test_no_label_holds_anything_of_a_record_or_its_tenant(world: World) -> None:
    note_id = await world.write("4711-secret", STAGE, ERP, key="4711-key")
    relay = world.new_relay(
        {STAGE: Recorder(), ERP: Recorder(Failed(Refused("TAX_CODE_UNKNOWN", "4711-detail")))}
    )
    await relay.run_once()
    await Depths(relay, world.unit.store, world.clock).read()
    values = {
        value
        for family in REGISTRY.collect()
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert not [value for value in values if "4711" in value or value in (note_id, "acme", "user:1")]
