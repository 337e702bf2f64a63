"""Values both ways: money, times, dates, addresses. Open it when an amount or a time is read wrongly."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.common.v1 import address_pb2

from libs.common.errors import Refused
from libs.common.money import Money, render_money
from libs.common.wire import render_date

Row = Mapping[str, str]
"""A SuiteQL row: every value is text, empty columns are missing."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_AHEAD_MAX = timedelta(minutes=5)
"""How far NetSuite's clock may be ahead of ours before a time counts as the earlier of two readings."""


def utc_of(local: str, zone: ZoneInfo, now: datetime) -> datetime:
    """A time as SuiteQL tells it, in UTC. now: our time, to choose between the two readings when clocks went back.

    An hour of autumn happens twice. The later reading is taken unless it lies in the future: so the moments told of one
    record never run backwards.
    """
    naive = _local_time(local)
    later = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if later <= now + _AHEAD_MAX:
        return later
    return naive.replace(tzinfo=zone, fold=0).astimezone(UTC)


def is_ambiguous(local: str, zone: ZoneInfo) -> bool:
    """Whether this wall clock time happens twice."""
    naive = _local_time(local)
    return naive.replace(tzinfo=zone, fold=0).utcoffset() != naive.replace(tzinfo=zone, fold=1).utcoffset()


def earlier(local: str, span: timedelta) -> str:
    """The wall clock time that much before."""
    return (_local_time(local) - span).strftime(TIME_FORMAT)


def _local_time(local: str) -> datetime:
    return datetime.strptime(local, TIME_FORMAT)  # noqa: DTZ007  the zone is the account's, the caller knows it


def decimal_of(row: Row, name: str) -> Decimal:
    """The number in a column, 0 when it is empty. Refused with MAPPING_FAILED for text."""
    try:
        return Decimal(row.get(name) or "0")
    except InvalidOperation:
        raise Refused("MAPPING_FAILED", f"NetSuite's {name} is no number") from None


def money_of(row: Row, name: str, currency: str) -> MoneyMessage:
    """The amount in a column, 0 when it is empty."""
    return render_money(Money(decimal_of(row, name), currency))


def date_of(row: Row, name: str) -> Date | None:
    """The day in a column that was printed as YYYY-MM-DD."""
    text = row.get(name)
    return render_date(date.fromisoformat(text)) if text else None


def address_of(row: Row, prefix: str) -> address_pb2.Address | None:
    """The address in the columns that begin with `prefix`; None when there is none."""
    lines = [line for number in (1, 2, 3) if (line := row.get(f"{prefix}addr{number}"))]
    address = address_pb2.Address(
        addressee=row.get(prefix + "addressee", ""),
        lines=lines,
        locality=row.get(prefix + "city", ""),
        region=row.get(prefix + "state", ""),
        postal_code=row.get(prefix + "zip", ""),
        country_code=row.get(prefix + "country", ""),
    )
    return address if address.ByteSize() else None


def render_address(address: address_pb2.Address) -> dict[str, object]:
    """NetSuite's address subrecord: three lines at most, a fourth is joined to the third."""
    lines = (
        [*address.lines[:2], ", ".join(address.lines[2:])] if len(address.lines) > 3 else list(address.lines)
    )
    body: dict[str, object] = {f"addr{number}": line for number, line in enumerate(lines, start=1)}
    named = {
        "addressee": address.addressee,
        "city": address.locality,
        "state": address.region,
        "zip": address.postal_code,
    }
    body |= {name: value for name, value in named.items() if value}
    if address.country_code:
        body["country"] = {"id": address.country_code}
    return body
