"""The use cases of customers, from end to end in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from libs.common import conflicts
from libs.common.aggregate import Link
from libs.common.errors import Refused
from services.customer import commands, wire
from services.customer.commands import TakeIn, TakeInFromCrm, TakeInFromErp, UpdateCustomer
from services.customer.domain import CrmFields, Customer, ErpFields, Keys, State
from tests.unit.services.memory import Memory, MemoryTx, at_minute


class MemoryCustomers(Memory[Customer]):
    async def numbered(self, number: str) -> Sequence[Customer]:
        return self.with_value(lambda customer: customer.number == number)

    def role_of(self, system: str) -> str:
        return "crm" if system == "salesforce" else "erp"

    async def move_links(self, links: Sequence[Link], record_id: str) -> None:
        """Found through the records here."""

    async def alike(self, keys: Keys, system: str) -> Sequence[Customer]:
        return self.with_value(
            lambda customer: customer.link_of(system) is None and keys.meet(Keys.of_customer(customer))
        )


@dataclass
class Tx(MemoryTx):
    customers: MemoryCustomers = field(default_factory=lambda: MemoryCustomers(wire.OWNERSHIP))
    parked: dict[int, TakeIn] = field(default_factory=dict)
    """Changes that wait with DUPLICATE_CANDIDATE."""
    decisions: list[str] = field(default_factory=list)

    def speak_for(self, system: str) -> None:
        self.customers.source = self.customers.role_of(system)

    async def waiting(self, delivery_id: int) -> TakeIn:
        return self.parked[delivery_id]

    async def take_in_as_decided(self, delivery_id: int, decision: str, reason: str) -> Mapping[str, object]:
        self.decisions.append(decision)
        return {}


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
    assert tx.customers.told == ["CustomerRegistered", "CustomerSalesChanged", "CustomerSalesChanged"]


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
    updated = (await commands.update_customer(an_update("Retail", seen), tx)).record
    assert (updated.segment, updated.version) == ("Retail", 2)
    with pytest.raises(Refused, match="ETAG_MISMATCH"):
        await commands.update_customer(an_update("New", seen), tx)
    assert (await commands.update_customer(an_update("Retail", "*"), tx)).record == updated
    with pytest.raises(Refused, match="NOT_FOUND"):
        await commands.update_customer(an_update("Retail", "", customer_id="cus_2"), tx)


def an_update(segment: str, etag: str = "", *, customer_id: str = "cus_1", **others: str) -> UpdateCustomer:
    """`others`: fields of the ERP that the caller names as well."""
    named = frozenset({"segment", *others})
    return UpdateCustomer(customer_id, named, CrmFields(segment=segment), others, etag)


# Whose word counts -----------------------------------------------------------------------------------------------


async def test_what_the_erp_owns_is_refused_dropped_or_proposed_by_the_field_s_policy() -> None:
    tx = await a_tx_with_acme()
    tx.customers.source = "crm"

    claimed = await commands.update_customer(an_update("Retail", name="Mine", currency_code="EUR"), tx)

    assert (claimed.record.segment, claimed.record.name, claimed.record.currency) == ("Retail", "Acme", "")
    assert (claimed.proposed, claimed.dropped) == (("name",), ("currency_code",))
    assert tx.customers.proposed == {"name": "Mine"}
    assert [(ruled.field, ruled.wanted) for ruled in tx.customers.ruled] == [
        ("currency", "EUR"),
        ("name", "Mine"),
    ]
    with pytest.raises(Refused, match="OWNERSHIP_VIOLATION"):
        await commands.update_customer(an_update("New", credit_limit="1"), tx)
    assert tx.customers.only.segment == "Retail"


async def test_a_value_that_the_record_has_already_is_no_conflict() -> None:
    tx = await a_tx_with_acme()
    tx.customers.source = "crm"
    claimed = await commands.update_customer(an_update("Retail", name=" Acme "), tx)
    assert (claimed.proposed, claimed.dropped) == ((), ())


async def test_the_erp_states_its_fields_through_its_feed_only() -> None:
    tx = await a_tx_with_acme()
    tx.customers.source = "erp"
    update = UpdateCustomer("cus_1", frozenset({"name"}), CrmFields(), {"name": "Acme Ltd"}, "")
    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        await commands.update_customer(update, tx)


async def shows(tx: Tx, name: str, minute: int, owner: str = "Ada") -> None:
    """An account of the CRM, read from its feed."""
    tx.customers.source = "crm"
    said = crm_says("001", owner=owner, minute=minute)
    await commands.take_in_from_crm(replace(said, others={"name": name}), tx)
    tx.customers.source = "erp"


async def test_the_crm_s_echo_of_our_own_writing_is_no_write() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "Acme", 1)
    await commands.take_in_from_erp(erp_says(at_minute(2), name="Acme Ltd"), tx)
    told = list(tx.customers.told)

    await shows(tx, "Acme", 3)  # not told the news yet
    await shows(tx, "Acme Ltd", 4)  # the echo
    await shows(tx, "Acme Ltd", 5)

    assert tx.customers.told == told
    assert not tx.customers.proposed
    assert not tx.customers.ruled


async def test_an_echo_of_news_that_the_erp_has_changed_again_meanwhile_is_no_write() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "Acme", 1)
    for minute, name in ((2, "Acme Ltd"), (3, "Acme Limited")):
        await commands.take_in_from_erp(erp_says(at_minute(minute), name=name), tx)
    await shows(tx, "Acme Ltd", 4)
    assert (tx.customers.only.name, tx.customers.proposed, tx.customers.ruled) == ("Acme Limited", {}, [])


async def test_a_partial_echo_takes_the_one_field_that_somebody_changed() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "Acme", 1)
    await commands.take_in_from_erp(erp_says(at_minute(2), name="Acme Ltd"), tx)

    await shows(tx, "Acme Ltd", 3, owner="Bob")

    assert tx.customers.only.account_owner == "Bob"
    assert tx.customers.told[-1] == "CustomerSalesChanged"
    assert not tx.customers.ruled


async def test_a_name_that_somebody_changes_in_the_crm_is_proposed_once() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "Acme", 1)
    for minute in (2, 3):
        await shows(tx, "Mine", minute)
    assert tx.customers.proposed == {"name": "Mine"}
    assert len(tx.customers.ruled) == 1
    await shows(tx, "Mine too", 4)
    assert tx.customers.proposed == {"name": "Mine too"}
    await shows(tx, "Acme", 5)  # thought better of it
    assert not tx.customers.proposed


async def test_of_two_writes_that_cross_the_owner_s_wins_and_the_loser_is_recorded() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "Acme", 1)
    await commands.take_in_from_erp(erp_says(at_minute(2), name="Acme Ltd"), tx)

    await shows(tx, "Mine", 2)

    assert tx.customers.only.name == "Acme Ltd"
    assert not tx.customers.proposed
    (ruled,) = tx.customers.ruled
    assert (ruled.kept, ruled.wanted) == ("Acme Ltd", "Mine")
    assert ruled.rule == "ownership.owner_wins: owner erp, not taken from salesforce"
    assert tx.customers.told[-1] == "CustomerKept"


async def test_the_owner_s_word_closes_what_was_proposed_before_it() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "Acme", 1)
    await shows(tx, "Mine", 2)
    await commands.take_in_from_erp(erp_says(at_minute(2), name="Acme Ltd"), tx)
    assert not tx.customers.proposed
    assert tx.customers.ruled[-1].wanted == "Mine"
    assert tx.customers.ruled[-1].rule.startswith("ownership.owner_wins")


async def test_a_name_changed_in_the_crm_before_it_was_first_read_is_proposed_when_we_made_the_account() -> (
    None
):
    tx = await a_tx_with_acme()
    knows = conflicts.told(tx.customers.only, "salesforce", wire.OWNERSHIP)
    await commands.record_link("cus_1", Link("salesforce", "001"), tx, knows=knows)
    await shows(tx, "", 1)
    await shows(tx, "Mine", 2)
    assert tx.customers.proposed == {"name": "Mine"}


async def test_what_a_crm_shows_at_first_sight_loses_to_the_owner_without_a_proposal() -> None:
    tx = await a_tx_with_acme()
    await shows(tx, "as the CRM spells it", 1)
    assert not tx.customers.proposed
    assert [ruled.wanted for ruled in tx.customers.ruled] == ["as the CRM spells it"]
    assert "CustomerKept" not in tx.customers.told


# Links -----------------------------------------------------------------------------------------------------------


async def test_a_link_that_stands_for_another_customer_is_refused() -> None:
    tx = await a_tx_with_acme()
    await commands.take_in_from_erp(erp_says(at_minute(0, external_id="111")), tx)
    await commands.record_link("cus_1", Link("salesforce", "001"), tx)
    await commands.record_link("cus_1", Link("salesforce", "001"), tx)
    with pytest.raises(Refused, match="DUPLICATE_CANDIDATE"):
        await commands.record_link("cus_2", Link("salesforce", "001"), tx)
    assert tx.customers.told.count("CustomerLinked") == 1
