"""Small pieces that every service's `wire.py` needs: times, dates, links, addresses. Pure."""

from datetime import UTC, date, datetime
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from ordermesh.common.v1 import address_pb2, external_ref_pb2
from ordermesh.connector.v1 import change_pb2

from libs.common.address import Address
from libs.common.aggregate import Link
from libs.common.errors import Refused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DELIMITED = 2
"""Wire type of a field that begins with its length."""
VARINTS_MAX = 4_096
"""Lengths remembered."""


def render_time(moment: datetime) -> Timestamp:
    """UTC moment to message, to the microsecond."""
    message = Timestamp()
    fill_time(message, moment)
    return message


def fill_time(message: Timestamp, moment: datetime) -> None:
    """`render_time` in the message's place: making one and copying it in takes several times as long."""
    since = moment - EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1_000


def parse_time(message: Timestamp) -> datetime:
    """Message to UTC moment, to the microsecond."""
    return message.ToDatetime(tzinfo=UTC)


def render_date(day: date | None) -> Date | None:
    """Day to message, where there is one."""
    return Date(year=day.year, month=day.month, day=day.day) if day else None


def parse_date(message: Date, path: str) -> date | None:
    """Whole day, or None for an absent one. Refused with INVALID_FIELD at `path`."""
    if not (message.year or message.month or message.day):
        return None
    try:
        return date(message.year, message.month, message.day)
    except ValueError:
        raise Refused.field("INVALID_FIELD", path, "is not a day of the calendar") from None


def render_link(link: Link) -> external_ref_pb2.Link:
    return external_ref_pb2.Link(
        ref=external_ref_pb2.ExternalRef(system=link.system, external_id=link.external_id),
        number=link.number,
        version=link.version,
    )


def link_of_change(change: change_pb2.ExternalChange, number: str) -> Link:
    """The link an outside change teaches. Its version is the moment of the change as text that sorts by time."""
    moment = parse_time(change.changed_time).isoformat(timespec="microseconds")
    return Link(change.ref.system, change.ref.external_id, number, moment)


def link_of_receipt(system: str, receipt: change_pb2.Receipt) -> Link | None:
    """The link a system's answer teaches; None when it named no id."""
    if not receipt.external_id:
        return None
    return Link(system, receipt.external_id, receipt.number)


def parse_address(message: address_pb2.Address) -> Address:
    return Address(
        message.addressee,
        tuple(message.lines),
        message.locality,
        message.region,
        message.postal_code,
        message.country_code,
    )


def render_address(address: Address) -> address_pb2.Address:
    return address_pb2.Address(
        addressee=address.addressee,
        lines=address.lines,
        locality=address.locality,
        region=address.region,
        postal_code=address.postal_code,
        country_code=address.country_code,
    )


def message_field(number: int, content: bytes) -> bytes:
    """One field of a message, itself a message that is bytes already; to be put behind the bytes of the other fields.

    Reads as if the field had been set; setting it would copy it, and every one of its parts, once more.
    """
    return b"".join((_varint(number << 3 | DELIMITED), _varint(len(content)), content))


@lru_cache(VARINTS_MAX)
def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have the eighth set."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
