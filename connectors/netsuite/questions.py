"""What NetSuite is asked in real time: credit, stock, prices. Open it for how an answer is worked out.

NetSuite has no operation for any of these; the figures are read and compared here. Tax is computed by SuiteTax when a
document is saved and cannot be asked for before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ordermesh.connector.v1 import connector_service_pb2 as contract
from ordermesh.order.v1 import order_pb2

from connectors.kit.exact_json import JsonObject
from connectors.netsuite import queries
from connectors.netsuite.client import NetSuiteClient
from connectors.netsuite.mapping.product import STOCKED
from connectors.netsuite.mapping.values import Row, decimal_of, money_of
from connectors.netsuite.references import References
from libs.common.errors import Refused
from libs.common.money import Money, money_from, parse_quantity, render_decimal, render_money

_CREDIT = "creditLimit,balance,consolUnbilledOrders,creditHoldOverride,isInactive,currency"
_BASE_PRICE_LEVEL = "1"


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions to one account."""

    client: NetSuiteClient
    references: References

    async def credit(self, request: contract.CheckCreditRequest) -> contract.CheckCreditResponse:
        """Limit less open invoices less orders not yet billed; a hold that people set overrides it either way."""
        customer = await self._customer(request.customer_external_id, _CREDIT)
        if customer.get("isInactive") is True:
            raise Refused("CUSTOMER_INACTIVE", "the customer is inactive in NetSuite")
        currency = request.amount.currency_code
        currencies = await self.references.currencies([currency])
        if currencies.get(currency) != _id(customer, "currency"):
            raise Refused.field(
                "CURRENCY_UNKNOWN", "amount.currency_code", "is not the currency of the customer's account"
            )
        answer = contract.CheckCreditResponse(verdict=contract.CREDIT_VERDICT_COVERED)
        limit = customer.get("creditLimit")
        left = Decimal(0)
        if limit is not None:
            left = (
                Decimal(str(limit)) - _number(customer, "balance") - _number(customer, "consolUnbilledOrders")
            )
            answer.available.CopyFrom(render_money(Money(left, currency)))
        hold = _id(customer, "creditHoldOverride")
        if hold == "ON":
            answer.verdict = contract.CREDIT_VERDICT_ON_HOLD
        elif hold != "OFF" and limit is not None and left < money_from(request.amount).amount:
            answer.verdict = contract.CREDIT_VERDICT_OVER_LIMIT
        return answer

    async def availability(
        self, request: contract.CheckAvailabilityRequest
    ) -> contract.CheckAvailabilityResponse:
        """Free stock over all locations; lines of one item share it, first line first."""
        stock = await self.references.stock(line.sku for line in request.lines)
        _check_sold(request.lines, {sku: rows[0] for sku, rows in stock.items()})
        free: dict[str, Decimal] = {}
        answer = contract.CheckAvailabilityResponse()
        for place, line in enumerate(request.lines):
            rows = stock[line.sku]
            promise = answer.lines.add(line_number=line.line_number)
            if rows[0].get("itemtype") in STOCKED:
                wanted = parse_quantity(line.quantity, f"lines[{place}].quantity")
                if line.sku not in free:
                    free[line.sku] = sum((decimal_of(row, "quantityavailable") for row in rows), Decimal(0))
                promise.quantity_available.CopyFrom(render_decimal(max(Decimal(0), free[line.sku])))
                free[line.sku] -= wanted
        return answer

    async def prices(self, request: contract.PriceLinesRequest) -> contract.PriceLinesResponse:
        """List prices at the customer's price level, else at base level; the highest quantity break reached counts."""
        customer = await self._customer(request.customer_external_id, "priceLevel")
        items = await self.references.items(line.sku for line in request.lines)
        _check_sold(request.lines, items)
        ids = {items[line.sku]["id"] for line in request.lines}
        rows = await self.client.query_all(queries.PRICES, sorted(ids))
        answer = contract.PriceLinesResponse()
        for place, line in enumerate(request.lines):
            mine = [
                row
                for row in rows
                if row["item"] == items[line.sku]["id"] and row["currency"] == request.currency_code
            ]
            quantity = parse_quantity(line.quantity, f"lines[{place}].quantity")
            price = _price(mine, _id(customer, "priceLevel"), quantity) or _price(
                mine, _BASE_PRICE_LEVEL, quantity
            )
            if price is None:
                raise Refused.field("PRICE_INVALID", f"lines[{place}].sku", "has no price in this currency")
            answer.lines.add(
                line_number=line.line_number, unit_price=money_of(price, "unitprice", request.currency_code)
            )
        return answer

    async def _customer(self, id_: str, fields: str) -> JsonObject:
        found = await self.client.read("customer", id_, fields=fields)
        if found is None:
            raise Refused("CUSTOMER_UNKNOWN", "NetSuite has no such customer")
        return found[0]


def _check_sold(lines: Sequence[order_pb2.OrderLine], items: Mapping[str, Row]) -> None:
    """Refused with PRODUCT_UNKNOWN or PRODUCT_INACTIVE at the line."""
    for place, line in enumerate(lines):
        row = items.get(line.sku)
        if row is None:
            raise Refused.field("PRODUCT_UNKNOWN", f"lines[{place}].sku", "NetSuite has no such item")
        if row.get("isinactive") == "T":
            raise Refused.field("PRODUCT_INACTIVE", f"lines[{place}].sku", "the item is inactive in NetSuite")


def _price(rows: Sequence[Row], level: str, quantity: Decimal) -> Row | None:
    reached = [row for row in rows if row["level_"] == level and decimal_of(row, "quantity") <= quantity]
    return max(reached, key=lambda row: decimal_of(row, "quantity")) if reached else None


def _number(record: JsonObject, name: str) -> Decimal:
    return Decimal(str(record.get(name) or 0))


def _id(record: JsonObject, name: str) -> str:
    """The id of a reference or an enum, which may come bare."""
    value = record.get(name)
    return str(value.get("id", "") if isinstance(value, dict) else value or "")
