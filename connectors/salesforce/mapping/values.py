"""The small conversions that mappings share: amounts, days, times, addresses, units, countries."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money
from ordermesh.common.v1 import address_pb2
from ordermesh.connector.v1 import change_pb2

from libs.common.errors import Refused
from libs.common.money import money_from

ADDRESS_LINES_MAX = 4
_STREET_MAX = 255

UNITS = {
    "each": "EA",
    "ea": "EA",
    "piece": "EA",
    "box": "BX",
    "carton": "CT",
    "pallet": "PF",
    "kilogram": "KGM",
    "kg": "KGM",
    "metre": "MTR",
    "meter": "MTR",
    "litre": "LTR",
    "liter": "LTR",
    "hour": "HUR",
    "day": "DAY",
    "month": "MON",
    "year": "ANN",
}
"""Picklist words of QuantityUnitOfMeasure to UN/ECE Rec 20. A code of Rec 20 stands for itself."""
_CODE_CHARACTERS_MAX = 3


def unit_code(word: str) -> str | None:
    """UN/ECE code of a Salesforce unit; None when nothing says what it is."""
    text = word.strip()
    if text.isupper() and text.isalnum() and len(text) <= _CODE_CHARACTERS_MAX:
        return text
    return UNITS.get(text.lower())


# Out: canonical to Salesforce


def amount(money: Money) -> Decimal:
    return money_from(money).amount


def number(message: DecimalMessage) -> Decimal:
    """Of a canonical quantity, which was checked when it was taken in; absent counts as nothing."""
    return Decimal(message.value or "0")


def day(message: Date) -> str | None:
    """`2026-01-31`; None for an absent or incomplete date."""
    if not (message.year and message.month and message.day):
        return None
    return date(message.year, message.month, message.day).isoformat()


def moment(message: Timestamp) -> str:
    """`2026-01-31T10:20:30.123Z`; Salesforce keeps milliseconds."""
    return message.ToDatetime(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cut(text: str, characters_max: int) -> str | None:
    """What fits into a Salesforce field; None empties it."""
    return text[:characters_max] or None


def joined(texts: Sequence[str], characters_max: int) -> str | None:
    """As many whole texts, each once, as fit behind one another."""
    result = ""
    for text in dict.fromkeys(text for text in texts if text):
        longer = f"{result}, {text}" if result else text
        if len(longer) > characters_max:
            break
        result = longer
    return result or None


def address_fields(prefix: str, address: address_pb2.Address) -> dict[str, object]:
    """The five parts of a Salesforce address, `BillingStreet` and so on."""
    street = "\n".join(line for line in (address.addressee, *address.lines) if line)
    return {
        f"{prefix}Street": cut(street, _STREET_MAX),
        f"{prefix}City": cut(address.locality, 40),
        f"{prefix}State": cut(address.region, 80),
        f"{prefix}PostalCode": cut(address.postal_code, 20),
        f"{prefix}Country": cut(address.country_code, 80),
    }


def named_fields(
    change: change_pb2.Change, record: str, writable: Mapping[str, tuple[str, int]]
) -> dict[str, object]:
    """The fields that a change names, and nothing else. Refused with NOT_SUPPORTED for one that is not `writable`."""
    unknown = [name for name in change.fields if name not in writable]
    if unknown:
        raise Refused.field("NOT_SUPPORTED", f"{record}.{unknown[0]}", "Salesforce takes no word on it alone")
    told = getattr(change, record)
    return {writable[name][0]: cut(getattr(told, name), writable[name][1]) for name in change.fields}


# In: Salesforce to canonical


def exact_decimal(value: object) -> Decimal | None:
    """A finite decimal from a JSON number or from text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, Decimal | str):
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def text(value: object) -> str:
    """Text of a field; nothing for null and for what is not text."""
    return value.strip() if isinstance(value, str) else ""


def parse_day(value: object) -> Date | None:
    try:
        found = date.fromisoformat(text(value)[:10])
    except ValueError:
        return None
    return Date(year=found.year, month=found.month, day=found.day)


def parse_moment(value: object) -> datetime | None:
    """`2026-01-31T10:20:30.000+0000` as UTC; None when it is no time with a zone."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def parse_address(parts: dict[str, object]) -> address_pb2.Address | None:
    """From the compound of a native address, or None when it is empty.

    A country that is no ISO code becomes the last line, so that nothing is lost.
    """
    lines = [line.strip() for line in text(parts.get("street")).splitlines() if line.strip()]
    country, code = text(parts.get("country")), text(parts.get("countryCode")).upper()
    if not code and len(country) == 2 and country.isalpha():
        code = country.upper()
    if country and not code:
        lines.append(country)
    if len(lines) > ADDRESS_LINES_MAX:
        lines = [*lines[: ADDRESS_LINES_MAX - 1], ", ".join(lines[ADDRESS_LINES_MAX - 1 :])]
    address = address_pb2.Address(
        lines=lines,
        locality=text(parts.get("city")),
        region=text(parts.get("stateCode")) or text(parts.get("state")),
        postal_code=text(parts.get("postalCode")),
        country_code=code,
    )
    return address if address.ByteSize() else None


def record_address(record: dict[str, object], prefix: str) -> address_pb2.Address | None:
    """From the five parts that a query returns."""
    parts = ("Street", "City", "State", "PostalCode", "Country")
    return parse_address({part[0].lower() + part[1:]: record.get(f"{prefix}{part}") for part in parts})
