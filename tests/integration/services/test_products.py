"""Products: one per SKU, and orders hear only of what they depend on."""

import asyncio

import pytest
from ordermesh.connector.v1 import change_pb2
from ordermesh.product.v1 import product_pb2, product_service_pb2_grpc
from ordermesh.product.v1 import product_service_pb2 as pb

from libs.common.errors import Refused
from tests.builders import CRM, ERP, crm_product, erp_product
from tests.integration.services.world import SECOND_ERP, World

Stub = product_service_pb2_grpc.ProductServiceStub


async def calls(world: World) -> "product_service_pb2_grpc.ProductServiceAsyncStub":
    return Stub(await world.channel("product"))


async def listed(world: World, wanted: str = "") -> list[product_pb2.Product]:
    answer = await (await calls(world)).ListProducts(pb.ListProductsRequest(filter=wanted))
    return list(answer.products)


async def only(world: World) -> product_pb2.Product:
    (product,) = await listed(world)
    return product


# Taking in ------------------------------------------------------------------------------------------------


async def test_a_change_taken_in_twice_is_one_product_and_one_event(world: World) -> None:
    world.says(erp_product("7"), erp_product("7"))
    await world.take_in("product")
    world.says(erp_product("7", minute=3))
    await world.take_in("product")

    product = await only(world)
    assert (product.sku, product.quantity_available.value, product.prices[0].price_book) == (
        "BOLT",
        "10",
        "base",
    )
    assert await world.events("product") == ["ProductRegistered"]
    assert await world.heard("product") == [f"connector:{CRM}", "service:order"]


async def test_stock_alone_is_told_to_the_crm_and_not_to_orders(world: World) -> None:
    world.says(erp_product("7"), erp_product("7", stock="9", minute=1))
    await world.take_in("product")
    assert await world.events("product") == ["ProductRegistered", "ProductChanged"]
    assert await world.heard("product") == [f"connector:{CRM}"]


async def test_orders_hear_of_a_unit_an_end_of_sale_and_a_link(world: World) -> None:
    world.says(erp_product("7"), erp_product("7", unit="KGM", minute=1), crm_product("01t", text=""))
    await world.take_in("product")
    world.says(erp_product("7", minute=2, gone=True))
    await world.take_in("product")
    facts = ["ProductRegistered", "ProductChanged", "ProductLinked", "ProductChanged"]
    assert await world.events("product") == facts
    for event in range(len(facts)):
        assert "service:order" in await world.heard("product", event)
    await world.settle()
    (known,) = await world.rows("order", "SELECT name, record->>'active' AS active FROM reference")
    assert (known["name"], known["active"]) == ("product/BOLT", "false")


async def test_the_crm_s_text_stays_when_the_erp_changes_the_product(world: World) -> None:
    world.says(erp_product("7"), crm_product("01t"))
    await world.take_in("product")
    world.says(erp_product("7", name="Bolt M8", minute=1))
    await world.take_in("product")
    product = await only(world)
    assert (product.name, product.marketing_text) == ("Bolt M8", "Holds.")


async def test_two_erps_with_one_sku_share_one_product_even_at_once(world: World) -> None:
    count = 20
    world.says(*(erp_product(str(n), sku=f"S-{n}") for n in range(count)))
    world.says(*(erp_product(str(n), sku=f"S-{n}", system=SECOND_ERP) for n in reversed(range(count))))
    processes = [world.apps["product"], world.process("product")]
    feeds = [world.feeds("product", ERP)[0], world.feeds("product", SECOND_ERP)[0]]

    await asyncio.gather(
        *(process.ingest.run_once(feed) for process, feed in zip(processes, feeds, strict=True))
    )

    products = await listed(world)
    assert len(products) == count
    assert all({link.ref.system for link in product.links} == {ERP, SECOND_ERP} for product in products)
    assert len(await world.events("product")) == 2 * count


async def test_one_erp_cannot_have_a_sku_twice(world: World) -> None:
    world.says(erp_product("7"), erp_product("8"), erp_product("9", sku="NUT"))
    world.says(erp_product("9", minute=1))
    await world.take_in("product")
    await world.settle()

    assert [product.sku for product in await listed(world)] == ["NUT", "BOLT"]
    parked = await world.rows("product", "SELECT subject, reason FROM delivery WHERE state = 'PARKED'")
    assert {(row["subject"], row["reason"]) for row in parked} == {
        (f"{ERP}-product/8", "DUPLICATE_CANDIDATE"),
        (f"{ERP}-product/9", "DUPLICATE_CANDIDATE"),
    }


async def test_a_sku_may_be_handed_over_within_one_page(world: World) -> None:
    world.says(erp_product("7"), erp_product("8", sku="NUT"))
    await world.take_in("product")
    world.says(erp_product("7", sku="OLD", minute=1), erp_product("8", minute=1), erp_product("9", sku="NUT"))
    await world.take_in("product")
    ids = {product.sku: product.links[0].ref.external_id for product in await listed(world)}
    assert ids == {"OLD": "7", "BOLT": "8", "NUT": "9"}


# Telling --------------------------------------------------------------------------------------------------


async def test_the_crm_is_told_under_the_sku_and_its_answer_becomes_a_link(world: World) -> None:
    world.says(erp_product("7"))
    await world.run()
    (told,) = world.crm.told_of(change_pb2.KIND_PRODUCT)
    assert (told.key, told.external_id) == ("BOLT", "")
    assert await world.events("product") == ["ProductRegistered", "ProductLinked"]

    world.says(erp_product("7", stock="3", minute=1))
    await world.run()
    assert world.crm.told[-1].external_id == "sa-1"
    assert world.crm.told[-1].product.quantity_available.value == "3"


# Calls ----------------------------------------------------------------------------------------------------


async def test_an_update_changes_the_marketing_text_and_nothing_else(world: World) -> None:
    world.says(erp_product("7"))
    await world.take_in("product")
    product_id = (await only(world)).product_id
    stub = await calls(world)

    product = product_pb2.Product(product_id=product_id, marketing_text="Holds.")
    answer = await stub.UpdateProduct(pb.UpdateProductRequest(product=product, idempotency_key="k1"))
    assert answer.product.marketing_text == "Holds."
    assert await world.heard("product") == [f"connector:{CRM}"]

    product.sku = "MINE"
    with pytest.raises(Refused) as refused:
        await stub.UpdateProduct(pb.UpdateProductRequest(product=product, idempotency_key="k2"))
    assert refused.value.reason == "OWNERSHIP_VIOLATION"
    assert refused.value.violations[0].field == "product.sku"


async def test_a_list_is_filtered_by_sku_and_state(world: World) -> None:
    world.says(erp_product("7"), erp_product("8", sku="NUT"), erp_product("8", minute=1, gone=True))
    await world.take_in("product")
    assert [product.sku for product in await listed(world, "state = INACTIVE")] == ["NUT"]
    assert [product.sku for product in await listed(world, "sku = BOLT AND state = ACTIVE")] == ["BOLT"]
    with pytest.raises(Refused, match="FILTER_INVALID"):
        await listed(world, "name = Bolt")
