"""The account: what all parts of the simulator share. Open it for preferences and the reference lists.

Ids are drawn from one counter per family, as in NetSuite: all transactions share theirs, so an invoice never
has the id of an order.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from connectors.kit.simulator import Change, Document, JsonObject, Store
from connectors.netsuite.simulator.record_types import ITEM_TYPES

LISTS = frozenset({"currency", "term", "salesTaxItem", "subsidiary", "location", "priceLevel", "unit"})
"""Record types that only serve as references; their documents carry an underscore, so no ledger counts them."""

BASE_PRICE_LEVEL = "1"
CUSTOM_PRICE_LEVEL = "-1"
MAIN_LOCATION = "1"
PARENT_COMPANY = "1"

_HEADQUARTERS = ZoneInfo("America/Los_Angeles")
_FIRST_IDS = {"entity": 100, "item": 50, "transaction": 1500, "list": 10}


@dataclass(frozen=True, slots=True)
class Preferences:
    """Company preferences of the account that an integration can feel."""

    time_zone: ZoneInfo = _HEADQUARTERS
    """SuiteQL prints and compares times in this zone, without saying so."""
    new_order_status: Literal["A", "B"] = "A"
    """Status of orders that do not name one: A waits for approval."""
    credit_check: Literal["ignore", "block"] = "ignore"
    """What saving an order over the customer's credit limit does."""
    concurrency_limit: int = 5
    """Requests handled in parallel; a standard account has 5."""


class Records(Protocol):
    """Read access: the store itself, or a change that also sees what it has staged."""

    def get(self, kind: str, id_: str) -> Document | None: ...

    def by_key(self, kind: str, key: str) -> Document | None: ...


@dataclass(frozen=True, slots=True)
class Account:
    """One simulated account."""

    store: Store
    preferences: Preferences = Preferences()

    def open(self) -> None:
        """Fills the reference lists of a new account."""
        if self.store.count(stored_kind("currency")):
            return
        with self.store.change(counted=False) as change:
            for number, (symbol, precision) in enumerate(_CURRENCIES, start=1):
                body: JsonObject = {"name": symbol, "symbol": symbol, "currencyPrecision": precision}
                change.add(stored_kind("currency"), str(number), body, key=symbol)
            for number, (name, days) in enumerate(_TERMS, start=1):
                change.add(
                    stored_kind("term"), str(number), {"name": name, "daysUntilNetDue": days}, key=name
                )
            for kind, name in _SINGLE_ENTRIES:
                change.add(stored_kind(kind), "1", {"name": name}, key=name)

    def resolve(self, kind: str, reference: JsonObject) -> str | None:
        """Id that a reference in a request body means, None when there is no such record."""
        found = find(self.store, kind, reference)
        return None if found is None else found.id


def stored_kind(record_type: str) -> str:
    return f"_{record_type}" if record_type in LISTS else record_type


def find(records: Records, kind: str, reference: JsonObject) -> Document | None:
    """The record that `{"id": …}` or `{"externalId": …}` means; kind `item` looks through all item types."""
    for name in ITEM_TYPES if kind == "item" else (stored_kind(kind),):
        found = None
        if "id" in reference:
            found = records.get(name, str(reference["id"]))
        elif "externalId" in reference:
            found = records.by_key(name, str(reference["externalId"]))
        if found is not None:
            return found
    return None


def find_item(records: Records, id_: str) -> Document | None:
    return find(records, "item", {"id": id_})


def new_id(change: Change, family: str) -> str:
    """family: `entity`, `item`, `transaction` or `list`."""
    return str(_FIRST_IDS[family] + change.next_number(family))


def new_number(change: Change, prefix: str) -> str:
    """The number people use, such as SO1001."""
    return f"{prefix}{1000 + change.next_number(prefix)}"


def amount_in(records: Records, currency_id: str, amount: Decimal) -> Decimal:
    """Rounded half up to the currency's precision."""
    currency = records.get(stored_kind("currency"), currency_id)
    assert currency is not None
    places = whole(currency.body, "currencyPrecision")
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


# Stored bodies are JSON; these say what a field is known to hold.


def text(body: JsonObject, name: str) -> str:
    """The text in a field, empty when absent or cleared."""
    value = body.get(name)
    return "" if value is None else str(value)


def decimal(body: JsonObject, name: str) -> Decimal:
    """The number in a field, 0 when absent or cleared."""
    value = body.get(name)
    return Decimal(0) if value is None else Decimal(str(value))


def whole(body: JsonObject, name: str) -> int:
    return int(decimal(body, name))


def objects(body: JsonObject, name: str) -> list[JsonObject]:
    """The lines of a sublist."""
    value = body.get(name) or []
    assert isinstance(value, list)
    return value


def texts(body: JsonObject, name: str) -> list[str]:
    value = body.get(name) or []
    assert isinstance(value, list)
    return value


def put(body: JsonObject, given: JsonObject) -> None:
    """Takes header fields over; a null clears."""
    for name, value in given.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value


def today(now: datetime, preferences: Preferences) -> str:
    """The account's date, which is not the caller's."""
    return now.astimezone(preferences.time_zone).date().isoformat()


_CURRENCIES = (
    ("USD", 2),
    ("GBP", 2),
    ("CAD", 2),
    ("EUR", 2),
    ("NOK", 2),
    ("SEK", 2),
    ("DKK", 2),
    ("CHF", 2),
    ("JPY", 0),
    ("AUD", 2),
    ("PLN", 2),
    ("KWD", 3),
)
_TERMS = (
    ("Net 15", 15),
    ("Net 30", 30),
    ("Net 60", 60),
    ("Due on receipt", 0),
    ("Net 10", 10),
    ("Net 45", 45),
)
_SINGLE_ENTRIES = (
    ("subsidiary", "Parent Company"),
    ("location", "Main Warehouse"),
    ("priceLevel", "Base Price"),
    ("unit", "EA"),
)
