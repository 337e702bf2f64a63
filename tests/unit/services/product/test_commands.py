"""The use cases of products, from end to end in memory."""

from dataclasses import dataclass, field, replace

import pytest

from libs.common.aggregate import Link
from libs.common.errors import Refused
from services.product import commands, wire
from services.product.commands import TakeInFromCrm, TakeInFromErp, UpdateProduct
from services.product.domain import CrmFields, ErpFields, Product, State
from tests.unit.services.memory import Memory, MemoryTx, at_minute


class MemoryProducts(Memory[Product]):
    async def by_sku(self, sku: str) -> Product | None:
        return next(iter(self.with_value(lambda product: product.sku == sku)), None)


@dataclass
class Tx(MemoryTx):
    products: MemoryProducts = field(default_factory=lambda: MemoryProducts(wire.OWNERSHIP))


def erp_says(link: Link, sku: str = "BOLT", name: str = "Bolt") -> TakeInFromErp:
    return TakeInFromErp(link, ErpFields(sku=sku, name=name))


def crm_says(external_id: str, sku: str = "BOLT", text: str = "Holds.", minute: int = 0) -> TakeInFromCrm:
    link = at_minute(minute, "salesforce", external_id)
    return TakeInFromCrm(link, sku, CrmFields(marketing_text=text))


async def a_tx_with_a_bolt() -> Tx:
    tx = Tx()
    await commands.take_in_from_erp(erp_says(at_minute(0)), tx)
    return tx


async def test_the_erp_s_word_repeated_or_older_is_nothing_new() -> None:
    tx = await a_tx_with_a_bolt()
    await commands.take_in_from_erp(erp_says(at_minute(0)), tx)
    await commands.take_in_from_erp(erp_says(at_minute(9), name="Bolt M8"), tx)
    await commands.take_in_from_erp(erp_says(at_minute(4), name="Old bolt", sku="OLD"), tx)
    assert (tx.products.only.record_id, tx.products.only.name) == ("prd_1", "Bolt M8")
    assert tx.products.told == ["ProductRegistered", "ProductOfferChanged"]


async def test_a_second_erp_finds_the_product_by_its_sku() -> None:
    tx = await a_tx_with_a_bolt()
    await commands.take_in_from_erp(erp_says(at_minute(0, "sap", "4711")), tx)
    assert {link.system for link in tx.products.only.links} == {"netsuite", "sap"}


async def test_one_erp_cannot_give_a_sku_to_a_second_record() -> None:
    tx = await a_tx_with_a_bolt()
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111")), tx)
    await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111"), sku="NUT"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.take_in_from_erp(erp_says(at_minute(1, external_id="111")), tx)


async def test_a_sku_that_was_given_up_can_be_taken() -> None:
    tx = await a_tx_with_a_bolt()
    await commands.take_in_from_erp(erp_says(at_minute(1), sku="OLD"), tx)
    await commands.take_in_from_erp(erp_says(at_minute(1, external_id="111")), tx)
    assert [product.sku for product in tx.products.records.values()] == ["OLD", "BOLT"]


async def test_a_product_gone_before_it_was_known_is_nobody_s_business() -> None:
    tx = Tx()
    await commands.take_in_from_erp(TakeInFromErp(at_minute(0), None), tx)
    assert not tx.products.records
    tx = await a_tx_with_a_bolt()
    await commands.take_in_from_erp(TakeInFromErp(at_minute(1), None), tx)
    assert tx.products.only.state is State.INACTIVE


async def test_the_crm_s_word_finds_the_product_by_sku_and_later_by_link() -> None:
    tx = await a_tx_with_a_bolt()
    await commands.take_in_from_crm(crm_says("01t"), tx)
    await commands.take_in_from_crm(crm_says("01t", sku="", text="Holds well.", minute=1), tx)
    assert tx.products.only.marketing_text == "Holds well."
    await commands.take_in_from_crm(crm_says("02t", sku="NUT"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.take_in_from_crm(crm_says("02t"), tx)


async def test_an_update_is_checked_against_the_version_that_the_caller_has_seen() -> None:
    tx = await a_tx_with_a_bolt()
    updated = (await commands.update_product(an_update('"1"'), tx)).record
    assert (updated.marketing_text, updated.version) == ("Holds.", 2)
    with pytest.raises(Refused, match="ETAG_MISMATCH"):
        await commands.update_product(an_update('"1"'), tx)
    with pytest.raises(Refused, match="NOT_FOUND"):
        await commands.update_product(an_update("", product_id="prd_2"), tx)


def an_update(etag: str, *more: str, product_id: str = "prd_1", name: str = "") -> UpdateProduct:
    named = frozenset({"marketing_text", *more})
    return UpdateProduct(product_id, named, CrmFields(marketing_text="Holds."), {"name": name}, etag)


async def test_an_update_of_the_erp_s_fields_is_refused_with_every_one_of_them() -> None:
    tx = await a_tx_with_a_bolt()
    tx.products.source = "crm"
    with pytest.raises(Refused) as refused:
        await commands.update_product(an_update("", "sku", "prices"), tx)
    assert {violation.field for violation in refused.value.violations} == {"product.sku", "product.prices"}
    assert {violation.owner for violation in refused.value.violations} == {"erp"}
    assert tx.products.only.marketing_text == ""


async def test_a_name_of_the_crm_s_making_is_left_out_and_told_to_the_caller() -> None:
    tx = await a_tx_with_a_bolt()
    tx.products.source = "crm"
    claimed = await commands.update_product(an_update("", "name", name="Bolzen"), tx)
    assert (claimed.record.name, claimed.record.marketing_text) == ("Bolt", "Holds.")
    assert claimed.dropped == ("name",)
    assert [ruled.wanted for ruled in tx.products.ruled] == ["Bolzen"]


async def test_a_crm_that_renames_a_product_is_told_its_name_again() -> None:
    tx = await a_tx_with_a_bolt()
    tx.products.source = "crm"
    for minute, name in enumerate(("Bolt", "Bolzen", "Bolzen", "Bolt")):
        said = crm_says("01t", minute=minute)
        await commands.take_in_from_crm(replace(said, others={"name": name}), tx)
    assert tx.products.told == ["ProductRegistered", "ProductChanged", "ProductKept"]
    assert tx.products.only.name == "Bolt"


async def test_a_link_that_stands_for_another_product_is_refused() -> None:
    tx = await a_tx_with_a_bolt()
    await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111"), sku="NUT"), tx)
    await commands.record_link("prd_1", Link("salesforce", "01t"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.record_link("prd_2", Link("salesforce", "01t"), tx)
