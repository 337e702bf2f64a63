"""A schema is taken a step further while the processes of the release before run on, trade and start again."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2_grpc
from ordermesh.order.v1 import order_service_pb2 as pb

from libs.common.durable import migrations
from libs.common.durable.migrations import migrate
from libs.common.durable.store import schema_of
from libs.common.ids import new_id
from libs.common.testing.stores import Postgres
from tests.builders import (
    a_submission,
    crm_customer,
    erp_customer,
    erp_invoice,
    erp_payment,
    erp_product,
    erp_progress,
)
from tests.integration.services.conftest import ROOT, url_of
from tests.integration.services.world import SERVICES, World
from tests.next_release import next_release


async def revision_of(world: World, service: str) -> str:
    (row,) = await world.rows(service, "SELECT version_num FROM alembic_version")
    return str(row["version_num"])


async def test_processes_of_the_release_before_run_on_the_next_schema_and_start_on_it(
    world: World, postgres: Postgres, tmp_path: Path
) -> None:
    """An order is half-way when the schemas are taken further; the same processes bring it to its end."""
    world.says(erp_customer("110"), crm_customer("001"), erp_product("7"))
    await world.run()
    (customer,) = await world.rows("order", "SELECT name FROM reference WHERE name LIKE 'customer/cus_%'")
    orders = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    customer_id = str(customer["name"]).removeprefix("customer/")
    order_id = (await orders.SubmitOrder(a_submission(customer_id=customer_id, key="key-1"))).order_id
    await world.run()

    (database,) = await world.rows("order", "SELECT current_database() AS name")
    url = url_of(postgres, str(database["name"]))
    known = {service: await revision_of(world, service) for service in SERVICES}
    for service in SERVICES:
        await migrate(url, service, next_release(tmp_path / "next", service))
        assert await revision_of(world, service) > known[service]

    shipped = change_pb2.ERP_ORDER_STATUS_SHIPPED
    world.says(erp_progress("ne-1", order_id, shipped, minute=2, shipped={"BOLT": "8"}))
    world.says(erp_invoice("55", order_id=order_id))
    await world.run()
    world.says(erp_payment("9", invoice="55"))
    await world.run()
    found = (await orders.GetOrder(pb.GetOrderRequest(order_id=order_id))).order
    assert found.state == order_pb2.ORDER_STATE_PAID

    for service in SERVICES:  # a process of the release before dies and is started again, migrating first
        await migrate(url, service, ROOT / "services" / service / "migrations")
        assert await revision_of(world, service) > known[service]


async def test_a_migration_lets_others_pass_while_it_waits_for_a_table(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads for long; a migration that queued for the table would stop everybody behind it."""
    monkeypatch.setattr(migrations, "LOCK_MILLISECONDS", 20)
    monkeypatch.setattr(migrations, "LOCK_AGAIN_AFTER", timedelta(milliseconds=20))
    monkeypatch.setattr(migrations, "LOCK_TRIES", 100_000)
    service = new_id("migrated")
    await migrate(postgres.url, service, ROOT / "services" / "order" / "migrations")
    reader, writer = await postgres.connect(service), await postgres.connect(service)
    long_read = reader.transaction()
    await long_read.start()
    await reader.fetch("SELECT * FROM delivery")

    migrating = asyncio.create_task(migrate(postgres.url, service, next_release(tmp_path, "order")))
    await _until_it_waits(writer, service)
    for _ in range(20):
        await writer.execute("DELETE FROM delivery", timeout=20)
    assert not migrating.done()
    await long_read.rollback()
    await migrating

    assert await writer.fetchval("SELECT count(fresh) FROM delivery") == 0
    await reader.close()
    await writer.close()
    await postgres.drop_schema(service)


async def test_a_migration_that_deadlocks_with_a_running_process_is_tried_again(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has written to the last table and now wants the first, which the migration holds."""
    monkeypatch.setattr(migrations, "LOCK_AGAIN_AFTER", timedelta(milliseconds=20))
    service = new_id("migrated")
    await migrate(postgres.url, service, ROOT / "services" / "order" / "migrations")
    process, looking = await postgres.connect(service), await postgres.connect(service)
    await process.execute("SET deadlock_timeout = '30s'")  # it is the migration that is told
    writing = process.transaction()
    await writing.start()
    await process.execute("DELETE FROM audit")

    migrating = asyncio.create_task(migrate(postgres.url, service, next_release(tmp_path, "order")))
    await _until_it_waits(looking, service, "audit")
    await process.execute("DELETE FROM idempotency")
    await writing.commit()
    await migrating

    assert await looking.fetchval("SELECT count(fresh) FROM idempotency") == 0
    await process.close()
    await looking.close()
    await postgres.drop_schema(service)


async def _until_it_waits(driver: asyncpg.Connection, service: str, table: str = "delivery") -> None:
    wanted = f"{schema_of(service)}.{table}"
    query = "SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND NOT granted"
    while not await driver.fetch(query, wanted):
        pass
