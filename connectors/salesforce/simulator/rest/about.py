"""What the API says of itself: versions, resources and limits."""

from __future__ import annotations

from connectors.kit.simulator import JsonObject
from connectors.salesforce.simulator.org import ORG_ID, Transaction

from .calls import Call, Reply

VERSION_FIRST, VERSION_LAST = 31, 68  # Older ones are retired; v67.0 is Summer '26.
_LABELS = ("Winter", "Spring", "Summer")


def known(version: str) -> bool:
    number, _, fraction = version.partition(".")
    return fraction == "0" and number.isdigit() and VERSION_FIRST <= int(number) <= VERSION_LAST


def versions() -> list[JsonObject]:
    return [
        {"label": _label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(VERSION_FIRST, VERSION_LAST + 1)
    ]


def _label(number: int) -> str:
    """v67.0 is Summer '26, and there are three releases a year, Winter being the first of the next."""
    releases = number - 65
    return f"{_LABELS[releases % 3]} '{26 + releases // 3}"


def resources(tx: Transaction, call: Call) -> Reply:
    names = ("composite", "limits", "query", "queryAll", "sobjects")
    listed: JsonObject = {name: call.base + name for name in names}
    listed["identity"] = f"{call.origin}/id/{ORG_ID}/{tx.session.user_id}"
    return Reply(200, listed)


def limits(used: int, allowed: int) -> Reply:
    daily = {"Max": allowed, "Remaining": max(allowed - used, 0)}
    return Reply(
        200,
        {
            "DailyApiRequests": daily,
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DataStorageMB": {"Max": 1_024, "Remaining": 1_000},
        },
    )
