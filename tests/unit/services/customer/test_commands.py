"""The use cases of customers, from end to end in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from libs.common.aggregate import Link
from libs.common.errors import Refused
from services.customer import commands
from services.customer.commands import TakeInFromCrm, TakeInFromErp, UpdateCustomer
from services.customer.domain import CrmFields, Customer, ErpFields, State
from tests.unit.services.memory import Memory, MemoryTx, at_minute


class MemoryCustomers(Memory[Customer]):
    async def numbered(self, number: str) -> Sequence[Customer]:
        return self.with_value(lambda customer: customer.number == number)


@dataclass
class Tx(MemoryTx):
    customers: MemoryCustomers = field(default_factory=MemoryCustomers)


def erp_says(link: Link, number: str = "C-100", name: str = "Acme") -> TakeInFromErp:
    return TakeInFromErp(link, ErpFields(number=number, name=name))


def crm_says(external_id: str, number: str = "C-100", owner: str = "Ada", minute: int = 0) -> TakeInFromCrm:
    link = at_minute(minute, "salesforce", external_id)
    return TakeInFromCrm(link, number, CrmFields(account_owner=owner, segment=""))


async def a_tx_with_acme() -> Tx:
    tx = Tx()
    await commands.take_in_from_erp(erp_says(at_minute(0)), tx)
    return tx


async def test_the_erp_s_word_on_an_unknown_customer_registers_it() -> None:
    tx = await a_tx_with_acme()
    customer = tx.customers.only
    assert (customer.record_id, customer.tenant, customer.number) == ("cus_1", "acme", "C-100")
    assert (customer.correlation_id, customer.traceparent) == ("cor-1", "00-ab-cd-01")
    assert tx.customers.told == ["CustomerRegistered"]


async def test_the_erp_s_word_repeated_or_older_is_nothing_new() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(erp_says(at_minute(0)), tx)
    await commands.take_in_from_erp(erp_says(at_minute(9), name="Acme Ltd"), tx)
    await commands.take_in_from_erp(erp_says(at_minute(4), name="Acme Old"), tx)
    assert tx.customers.only.name == "Acme Ltd"
    assert tx.customers.told == ["CustomerRegistered", "CustomerChanged"]


async def test_a_second_erp_finds_the_customer_by_its_number() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(erp_says(at_minute(0, "sap", "4711")), tx)
    assert {link.system for link in tx.customers.only.links} == {"netsuite", "sap"}
    assert tx.customers.told == ["CustomerRegistered", "CustomerLinked"]


async def test_two_records_of_one_erp_with_one_number_are_two_customers() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111")), tx)
    assert len(tx.customers.records) == 2


async def test_a_customer_gone_before_it_was_known_is_nobody_s_business() -> None:
    tx = Tx()
    await commands.take_in_from_erp(TakeInFromErp(at_minute(0), None), tx)
    assert not tx.customers.records


async def test_a_customer_gone_from_the_erp_is_closed() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(TakeInFromErp(at_minute(1), None), tx)
    assert tx.customers.only.state is State.INACTIVE


async def test_the_crm_s_word_finds_the_customer_by_number_and_later_by_link() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_crm(crm_says("001"), tx)
    await commands.take_in_from_crm(crm_says("001", number="", owner="Bob", minute=1), tx)
    assert tx.customers.only.account_owner == "Bob"
    assert tx.customers.told == ["CustomerRegistered", "CustomerChanged", "CustomerChanged"]


@pytest.mark.parametrize("number", ["", "C-999"])
async def test_an_account_that_the_erp_does_not_know_is_left_alone(number: str) -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_crm(crm_says("001", number=number), tx)
    assert tx.customers.only.account_owner == ""


async def test_a_second_account_with_the_number_is_refused() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_crm(crm_says("001"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.take_in_from_crm(crm_says("002", owner="Bob"), tx)


async def test_a_second_account_goes_to_the_namesake_that_has_none() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111")), tx)
    await commands.take_in_from_crm(crm_says("001"), tx)
    await commands.take_in_from_crm(crm_says("002", owner="Bob"), tx)
    assert [customer.account_owner for customer in tx.customers.records.values()] == ["Ada", "Bob"]


async def test_an_update_is_checked_against_the_version_that_the_caller_has_seen() -> None:
    tx = await a_tx_with_acme()
    seen = tx.customers.only.etag
    fields = CrmFields(segment="Retail")
    updated = await commands.update_customer(UpdateCustomer("cus_1", fields, seen), tx)
    assert (updated.segment, updated.version) == ("Retail", 2)
    with pytest.raises(Refused, match="ETAG_MISMATCH"):
        await commands.update_customer(UpdateCustomer("cus_1", CrmFields(segment="New"), seen), tx)
    assert await commands.update_customer(UpdateCustomer("cus_1", fields, "*"), tx) == updated
    with pytest.raises(Refused, match="NOT_FOUND"):
        await commands.update_customer(UpdateCustomer("cus_2", fields, ""), tx)


async def test_a_link_that_stands_for_another_customer_is_refused() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111")), tx)
    await commands.record_link("cus_1", Link("salesforce", "001"), tx)
    await commands.record_link("cus_1", Link("salesforce", "001"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.record_link("cus_2", Link("salesforce", "001"), tx)
    assert tx.customers.told.count("CustomerLinked") == 1
