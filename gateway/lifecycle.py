"""What is about to go away, told in headers. Open this file to see how a caller hears that something is deprecated.

    Deprecation: @1795219200                   since when (RFC 9745)
    Sunset: Thu, 20 May 2027 00:00:00 GMT      when it may be gone (RFC 8594)
    Link: </v2/orders>; rel="successor-version"

The days stand in the contract (`lifecycle.proto`), on the method or on a field, which counts when a request sets it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from functools import cache

from jsonpb.ordermesh.common.v1 import lifecycle_pb
from protobuf import DescMessage, DescMethod, Message

from gateway.exchange import Answer, Exchange, Reply
from gateway.fields import kind_of


@dataclass(frozen=True, slots=True, order=True)
class Deprecation:
    """When something goes away, and what to turn to."""

    sunset: date
    since: date
    instead: str

    @classmethod
    def stated(cls, option: lifecycle_pb.Deprecation) -> "Deprecation":
        return cls(date.fromisoformat(option.sunset), date.fromisoformat(option.since), option.instead)


@cache
def deprecation_of(method: DescMethod) -> Deprecation | None:
    """None for a method that stays."""
    options = method.proto.options
    if options is None or not options.deprecated:
        return None
    return Deprecation.stated(options[lifecycle_pb.ext_method_deprecation])


def deprecations_in(message: Message) -> Iterator[Deprecation]:
    """Of the deprecated fields that the message sets."""
    if not _holds_deprecated(message.desc()):
        return
    for field in message:
        options = field.proto.options
        if options is not None and options.deprecated:
            yield Deprecation.stated(options[lifecycle_pb.ext_field_deprecation])
        value = message[field]
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for inner in values:
            if isinstance(inner, Message):
                yield from deprecations_in(inner)


def headers_of(*deprecations: Deprecation) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that speak of what goes first."""
    if not deprecations:
        return ()
    first = min(deprecations)
    link = f'<{first.instead}>; rel="successor-version"'
    return (
        (b"deprecation", f"@{int(_midnight(first.since).timestamp())}".encode()),
        (b"sunset", format_datetime(_midnight(first.sunset), usegmt=True).encode()),
        *(((b"link", link.encode()),) if first.instead.startswith("/") else ()),
    )


def announced(method: DescMethod, answer: Answer) -> Answer:
    """The same answer, which says so where the method is deprecated, refusals too."""
    deprecation = deprecation_of(method)
    if deprecation is None:
        return answer

    async def announcing(exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        exchange.told += headers_of(deprecation)
        return await answer(exchange, variables)

    return announcing


@cache
def _holds_deprecated(desc: DescMessage) -> bool:
    """Whether the message or anything in it has a deprecated field."""
    seen: set[str] = set()
    waiting = [desc]
    while waiting:
        message = waiting.pop()
        if message.type_name in seen:
            continue
        seen.add(message.type_name)
        for field in message.fields:
            options = field.proto.options
            if options is not None and options.deprecated:
                return True
            kind = kind_of(field)
            if isinstance(kind, DescMessage):
                waiting.append(kind)
    return False


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
