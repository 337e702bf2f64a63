"""Reading what changed in the org: a poll by SystemModstamp. Open it when a change is missed, or told too often.

A change becomes visible a moment after its SystemModstamp, when its transaction commits, so a reading that goes on
exactly where the last one ended would miss some. Each round of readings therefore begins `overlap` before the server's
time at the beginning of the round before it; within a round the pair (SystemModstamp, Id) leads from page to page. The
cursor remembers what was told of the time that is read again, so that a change is told once; past TOLD_MAX it is told
again rather than missed.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.exact_json import JsonObject, dumps
from connectors.salesforce.client import Found, quoted
from connectors.salesforce.mapping import values
from libs.common.errors import Refused

LIMIT_MAX = 1_000
DIGEST_CHARACTERS = 12
TOLD_MAX = 250
"""Records that a cursor remembers as told, 13 bytes each; a cursor has room for 4,096 bytes."""


class Reader(Protocol):
    """What a feed needs of the client."""

    user_id: str

    async def query(self, soql: str, *, deleted_too: bool = False) -> Found: ...


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of record. fill: puts the record into the change."""

    kind: change_pb2.Kind.ValueType
    sobject: str
    fields: Sequence[str]
    key_field: str
    mapping: str
    fill: Callable[[change_pb2.ExternalChange, JsonObject], None]


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on. stamp and id: of the last record seen. again_from: begin there instead.

    round_start: server time when the present round began; empty between rounds. told: digests of what was told of late.
    """

    stamp: str = ""
    id: str = ""
    again_from: str = ""
    round_start: str = ""
    told: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        named = {
            "v": 1,
            "stamp": self.stamp,
            "id": self.id,
            "again": self.again_from,
            "round": self.round_start,
            "told": " ".join(self.told),
        }
        return json.dumps(named, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, cursor: bytes) -> "Position":
        """Refused INVALID_FIELD for a cursor that no version of this connector gave out."""
        if not cursor:
            return cls()
        try:
            named = json.loads(cursor)
            stamp, record_id, again, began, told = (
                str(named[name]) for name in ("stamp", "id", "again", "round", "told")
            )
        except (ValueError, KeyError, TypeError):
            raise Refused.field("INVALID_FIELD", "cursor", "is not a cursor of this connector") from None
        return cls(stamp, record_id, again, began, tuple(told.split()))

    @property
    def condition(self) -> str:
        if self.again_from:
            return f"WHERE SystemModstamp >= {self.again_from}"
        if self.stamp:
            after = f"SystemModstamp > {self.stamp} OR Id > {quoted(self.id)}"
            return f"WHERE SystemModstamp >= {self.stamp} AND ({after})"
        return ""


async def read(
    client: Reader, feed: Feed, system: str, cursor: bytes, limit: int, overlap: timedelta
) -> AsyncIterator[connector_service_pb2.ReadChangesResponse]:
    """At most `limit` changes, oldest first, deleted records included, each with the cursor behind it."""
    position = Position.decoded(cursor)
    told = dict.fromkeys(position.told)
    asked_for = max(1, min(limit, LIMIT_MAX)) + len(told)
    found = await client.query(
        f"SELECT {', '.join(feed.fields)} FROM {feed.sobject} {position.condition}"  # noqa: S608  Quoted.
        f" ORDER BY SystemModstamp, Id LIMIT {asked_for}",
        deleted_too=True,
    )
    round_start = position.round_start or _literal(found.server_time)
    young = _earlier(round_start, overlap)
    here = replace(position, again_from="", round_start=round_start)
    new = 0
    for record in found.records:
        digest = _digest(record)
        here = replace(here, stamp=_stamp(record), id=str(record["Id"]))
        if digest in told:
            continue
        if here.stamp > young:
            told[digest] = None
            here = replace(here, told=tuple(told)[-TOLD_MAX:])
        new += 1
        change = _change(record, feed, system, client.user_id)
        yield connector_service_pb2.ReadChangesResponse(change=change, cursor=here.encoded())
        if new == limit:
            return
    end = _end_of_round(here, young)
    if new or end.again_from == "" != position.again_from or position.round_start:
        yield connector_service_pb2.ReadChangesResponse(cursor=end.encoded())


def _end_of_round(here: Position, young: str) -> Position:
    """Everything up to `young` was visible in this round; what is younger is read again in the next."""
    if here.stamp > young:
        return replace(here, again_from=young, round_start="")
    return replace(here, again_from="", round_start="", told=())


def _change(record: JsonObject, feed: Feed, system: str, user_id: str) -> change_pb2.ExternalChange:
    change = change_pb2.ExternalChange(
        kind=feed.kind,
        ref=external_ref_pb2.ExternalRef(system=system, external_id=str(record["Id"])),
        key=values.text(record.get(feed.key_field))[:64],
        version=values.text(record.get("SystemModstamp")),
        deleted=record.get("IsDeleted") is True,
        echo=_is_echo(record, user_id),
        mapping=feed.mapping,
    )
    changed = values.parse_moment(record.get("SystemModstamp"))
    if changed is not None:
        change.changed_time.FromDatetime(changed)
    if not change.deleted:
        feed.fill(change, record)
    return change


def _digest(record: JsonObject) -> str:
    """Tells two states of one record apart even if the org stamps both with the same second."""
    content = {name: value for name, value in record.items() if name != "attributes"}
    return hashlib.sha256(dumps(content)).hexdigest()[:DIGEST_CHARACTERS]


def _is_echo(record: JsonObject, user_id: str) -> bool:
    """Whether the record is just as we made it.

    A later write of ours is no proof: a person may have changed the record a moment before, and only the last writer
    is known. Such a change is told, and is a change to nothing if nobody else took part in it.
    """
    ours = user_id != "" and record.get("CreatedById") == user_id == record.get("LastModifiedById")
    return ours and record.get("CreatedDate") == record.get("LastModifiedDate")


def _stamp(record: JsonObject) -> str:
    moment = values.parse_moment(record.get("SystemModstamp"))
    assert moment is not None, "every record has one"
    return _literal(moment)


def _earlier(literal: str, span: timedelta) -> str:
    moment = values.parse_moment(literal)
    assert moment is not None, "we wrote it"
    return _literal(moment - span)


def _literal(moment: datetime) -> str:
    """As SOQL writes a time; texts of this form sort like the times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
