"""Questions to NetSuite, and logging in to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.type import decimal_pb2, money_pb2
from joserfc.jwk import RSAKey
from ordermesh.connector.v1 import connector_service_pb2 as contract
from ordermesh.order.v1 import order_pb2

from connectors.kit.http import Unlimited
from connectors.kit.simulator import serving
from connectors.netsuite.app import build
from connectors.netsuite.config import Settings
from connectors.netsuite.simulator import app as simulator
from connectors.netsuite.simulator.auth import Integration
from libs.common.config import Environment
from libs.common.errors import NotDone, Refused
from libs.common.money import money_from
from tests.contract.netsuite_connection import ORDER, Account, connected


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with connected() as found:
        yield found


# Questions


async def test_credit_counts_what_is_owed_and_what_is_on_order(account: Account) -> None:
    async def ask(customer: str, units: int) -> contract.CheckCreditResponse:
        amount = money_pb2.Money(units=units, currency_code="EUR")
        external_id = account.ids["customers"][customer]
        return await account.connector.check_credit(
            contract.CheckCreditRequest(customer_external_id=external_id, amount=amount)
        )

    assert (await ask("CUST-77", 1000)).verdict == contract.CREDIT_VERDICT_COVERED
    await account.post("ord_1")
    over = await ask("CUST-77", 1000)
    assert over.verdict == contract.CREDIT_VERDICT_OVER_LIMIT
    assert money_from(over.available).amount == Decimal("912.5")
    await account.advance("invoiced", "ord_1")
    assert money_from((await ask("CUST-77", 1)).available).amount == Decimal("912.5")
    await account.advance("paid", "ord_1")
    assert money_from((await ask("CUST-77", 1)).available).amount == 1000
    assert (await ask("CUST-HOLD", 1)).verdict == contract.CREDIT_VERDICT_ON_HOLD
    with pytest.raises(Refused, match="CUSTOMER_INACTIVE"):
        await ask("CUST-GONE", 1)


async def test_lines_of_one_item_share_its_stock(account: Account) -> None:
    lines = [
        order_pb2.OrderLine(line_number=number, sku=sku, quantity=decimal_pb2.Decimal(value="70"))
        for number, sku in ((1, "SKU-1"), (2, "SKU-1"), (3, "HELP"))
    ]
    answer = await account.connector.check_availability(contract.CheckAvailabilityRequest(lines=lines))
    assert [line.quantity_available.value for line in answer.lines] == ["100", "30", ""]
    assert not answer.lines[2].HasField("quantity_available")
    with pytest.raises(Refused, match="PRODUCT_UNKNOWN"):
        await account.connector.check_availability(
            contract.CheckAvailabilityRequest(lines=[order_pb2.OrderLine(sku="NOPE")])
        )


async def test_orders_that_wait_for_stock_are_asked_about_by_one_call(account: Account) -> None:
    """Each gets its own answer: a line of one takes nothing from another, and a refusal is one's own."""

    async def ask(sku: str, quantity: int) -> str:
        line = order_pb2.OrderLine(sku=sku, quantity=decimal_pb2.Decimal(value=str(quantity)))
        answer = await account.connector.check_availability(contract.CheckAvailabilityRequest(lines=[line]))
        return answer.lines[0].quantity_available.value

    await ask("SKU-1", 1)
    before = await account.calls()
    orders = [("SKU-1", 70), ("SKU-1", 60), ("HELP", 1), ("NOPE", 1)]
    *told, refused = await asyncio.gather(*(ask(*order) for order in orders), return_exceptions=True)

    assert told == ["100", "100", ""]
    assert isinstance(refused, Refused)
    assert refused.reason == "PRODUCT_UNKNOWN"
    assert await account.calls() - before == 1


async def test_prices_are_those_of_the_currency(account: Account) -> None:
    line = order_pb2.OrderLine(line_number=5, sku="HELP", quantity=decimal_pb2.Decimal(value="1"))
    request = contract.PriceLinesRequest(
        customer_external_id=account.ids["customers"]["CUST-77"], currency_code="USD", lines=[line]
    )
    answer = await account.connector.price_lines(request)
    assert [(price.line_number, money_from(price.unit_price).amount) for price in answer.lines] == [
        (5, Decimal(90))
    ]
    request.currency_code = "JPY"
    with pytest.raises(Refused, match="PRICE_INVALID"):
        await account.connector.price_lines(request)


async def test_tax_is_not_asked_for_before_posting(account: Account) -> None:
    described = await account.connector.describe()
    assert contract.QUESTION_TAX not in described.questions
    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        await account.connector.calculate_tax(contract.CalculateTaxRequest())


# Login and lifetime


@pytest.mark.parametrize("form", ["pem", "jwk"])
async def test_a_key_file_logs_in_where_the_account_trusts_it(tmp_path: Path, form: str) -> None:
    secret = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = RSAKey.import_key(pem)
    file = tmp_path / "netsuite.key"
    file.write_text(pem.decode() if form == "pem" else json.dumps(key.as_dict(private=True)))
    trusted = Integration(client_id="ordermesh", certificate_id="cert", public_key=key)
    async with serving(simulator.build(integration=trusted)) as url:
        settings = Settings(base_url=url, client_id="ordermesh", certificate_id="cert", private_key_file=file)
        connector = build(settings, budget=Unlimited())
        assert await connector.find_by_key(ORDER, "ord_1") is None
        await connector.close()
        stranger = build(settings.model_copy(update={"client_id": "stranger"}), budget=Unlimited())
        with pytest.raises(NotDone, match="SYSTEM_CREDENTIALS"):
            await stranger.find_by_key(ORDER, "ord_1")
        await stranger.close()


async def test_an_account_that_is_not_there_is_not_done() -> None:
    settings = Settings(
        base_url="http://127.0.0.1:9", client_id="ordermesh", environment=Environment.DEVELOPMENT
    )
    connector = build(settings, budget=Unlimited())
    with pytest.raises(NotDone, match="SYSTEM_UNAVAILABLE"):
        await connector.find_by_key(ORDER, "ord_1")
    await connector.close()


def test_production_needs_a_key() -> None:
    with pytest.raises(SystemExit, match="PRIVATE_KEY_FILE"):
        build(Settings(base_url="http://127.0.0.1:9", client_id="ordermesh"))
