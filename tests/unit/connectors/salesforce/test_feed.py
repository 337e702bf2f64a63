"""The poll by SystemModstamp: it goes on where it ended, tells late changes, and rests when nothing happens."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from ordermesh.connector.v1 import change_pb2, connector_service_pb2

from connectors.kit.exact_json import JsonObject
from connectors.salesforce.client import Found
from connectors.salesforce.feed import Feed, Position, read
from libs.common.errors import Refused

OVERLAP = timedelta(seconds=30)
START = datetime(2026, 3, 4, 10, 0, 0, tzinfo=UTC)
US, HER = "005us", "005her"
ACCOUNTS = Feed(
    change_pb2.KIND_CUSTOMER,
    "Account",
    ("Id", "SystemModstamp"),
    "ERP_Key__c",
    "salesforce.account@1",
    lambda change, record: change.customer.MergeFrom(change.customer),
)


class FakeOrg:
    """Answers the three forms of query that a feed asks."""

    def __init__(self) -> None:
        self.user_id = US
        self.now = START
        self.records: dict[str, JsonObject] = {}

    def save(self, record_id: str, at: datetime, by: str = HER, *, created: datetime | None = None) -> None:
        stamp, made = (moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000") for moment in (at, created or at))
        self.records[record_id] = {
            "Id": record_id,
            "SystemModstamp": stamp,
            "LastModifiedDate": stamp,
            "LastModifiedById": by,
            "CreatedDate": made,
            "CreatedById": by if created is None else US,
            "IsDeleted": False,
        }

    async def query(self, soql: str, *, deleted_too: bool = False) -> Found:
        assert deleted_too
        since = re.search(r"SystemModstamp >= (\S+)", soql)
        behind = re.search(r"SystemModstamp > (\S+) OR Id > '(\w+)'", soql)
        limit = int(soql.rpartition(" ")[2])
        found = sorted(self.records.values(), key=lambda each: (str(each["SystemModstamp"]), str(each["Id"])))
        if since:
            found = [each for each in found if _literal(each) >= since[1]]
        if behind:
            found = [each for each in found if (_literal(each), str(each["Id"])) > (behind[1], behind[2])]
        return Found(found[:limit], self.now)


def _literal(record: JsonObject) -> str:
    return str(record["SystemModstamp"]).replace("+0000", "Z")


async def told(org: FakeOrg, cursor: bytes, limit: int = 10) -> tuple[list[str], bytes]:
    """Ids told by one reading, and the cursor behind it."""
    answers: AsyncIterator[connector_service_pb2.ReadChangesResponse]
    answers = read(org, ACCOUNTS, "salesforce", cursor, limit, OVERLAP)
    ids = []
    async for answer in answers:
        cursor = answer.cursor
        if answer.HasField("change"):
            ids.append(answer.change.ref.external_id)
    return ids, cursor


async def test_pages_lead_through_records_with_one_stamp() -> None:
    org = FakeOrg()
    for name in "abcde":
        org.save(name, START - timedelta(hours=1))
    seen, cursor = await told(org, b"", limit=2)
    for _ in range(3):
        more, cursor = await told(org, cursor, limit=2)
        seen += more
    assert seen == list("abcde")


async def test_change_that_became_visible_late_is_told() -> None:
    org = FakeOrg()
    org.save("b", START)
    _, cursor = await told(org, b"")
    org.save("a", START - timedelta(seconds=10))
    org.now += timedelta(seconds=5)
    ids, _ = await told(org, cursor)
    assert "a" in ids


async def test_late_change_is_told_even_if_it_came_while_pages_were_read() -> None:
    org = FakeOrg()
    for number in range(4):
        org.save(f"r{number}", START + timedelta(seconds=number))
    org.now = START + timedelta(seconds=4)
    _, cursor = await told(org, b"", limit=2)
    org.save("late", START - timedelta(seconds=20))
    org.now += timedelta(minutes=5)
    seen: list[str] = []
    for _ in range(4):
        ids, cursor = await told(org, cursor, limit=2)
        seen += ids
    assert "late" in seen


async def test_quiet_org_repeats_nothing() -> None:
    org = FakeOrg()
    org.save("a", START)
    _, cursor = await told(org, b"")
    org.now += timedelta(minutes=1)
    _, cursor = await told(org, cursor)
    assert await told(org, cursor) == ([], cursor)


async def test_time_read_again_tells_nothing_twice_and_a_second_change_at_once() -> None:
    org = FakeOrg()
    org.save("a", START)
    _, cursor = await told(org, b"")
    assert (await told(org, cursor))[0] == []
    org.save("a", START, US)
    assert (await told(org, cursor))[0] == ["a"]


async def test_cursor_never_outgrows_its_room() -> None:
    org = FakeOrg()
    for number in range(900):
        org.save(f"r{number:03}", START)
    ids, cursor = await told(org, b"", limit=1_000)
    assert len(ids) == 900
    assert len(cursor) < 4_096


async def test_cursor_stands_still_in_an_empty_org() -> None:
    org = FakeOrg()
    _, cursor = await told(org, b"")
    org.save("a", START - timedelta(days=900))
    assert (await told(org, cursor))[0] == ["a"]


@pytest.mark.parametrize(
    ("by", "created", "echo"),
    [(US, None, True), (HER, None, False), (US, START - timedelta(days=1), False)],
    ids=["made by us", "made by her", "made by us, changed by us later: she may have been in between"],
)
async def test_only_what_nobody_else_can_have_touched_is_an_echo(
    by: str, created: datetime | None, echo: bool
) -> None:
    org = FakeOrg()
    org.save("a", START, by, created=created)
    answers = [each async for each in read(org, ACCOUNTS, "salesforce", b"", 10, OVERLAP)]
    assert answers[0].change.echo is echo


def test_foreign_cursor_is_refused() -> None:
    with pytest.raises(Refused):
        Position.decoded(b"not ours")
    position = Position("2026-03-04T10:00:00.000Z", "001", round_start="2026-03-04T10:00:00.000Z")
    assert Position.decoded(position.encoded()) == position
