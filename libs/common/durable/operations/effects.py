"""What is known of each write to an outside system. Open this file to learn how a write is proved.

Pure: rows of `delivery` and `attempt` in, effects out. A try probes, that is looks for the key first, when the one
before it ended in doubt, or never told how it ended because its process died.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
CONNECTOR = "connector:"
PROOF = {"delivered": "answered", "found": "found"}


@dataclass(frozen=True, slots=True)
class Effect:
    """One write, with the last try's evidence; None before the first."""

    delivery: Row
    system: str
    key: str
    link: Row | None
    probes: int
    proof: str
    last: Row | None


def effects(deliveries: Sequence[Row], attempts: Sequence[Row], links: Sequence[Row]) -> list[Effect]:
    """Effects of one record, oldest first."""
    by_delivery: dict[int, list[Row]] = {}
    for attempt in sorted(attempts, key=lambda row: (row["delivery_id"], row["number"], row["start_time"])):
        by_delivery.setdefault(attempt["delivery_id"], []).append(attempt)
    linked = {link["system"]: link for link in links}
    found = []
    for delivery in deliveries:
        if not delivery["target"].startswith(CONNECTOR):
            continue
        system = delivery["target"].removeprefix(CONNECTOR)
        tries = by_delivery.get(delivery["delivery_id"], [])
        last = tries[-1] if tries else None
        found.append(
            Effect(
                delivery=delivery,
                system=system,
                key=delivery["subject"].split("/", 1)[1],
                link=linked.get(system),
                probes=probes(tries),
                proof=PROOF.get(last["outcome"], "") if last and delivery["state"] == "DELIVERED" else "",
                last=last,
            )
        )
    return found


def probes(tries: Sequence[Row]) -> int:
    """Tries of one delivery, in order, that looked first."""
    count = 0
    in_doubt, expected = False, 1
    for attempt in tries:
        if in_doubt or attempt["number"] > expected:
            count += 1
        in_doubt = attempt["outcome"] == "in_doubt"
        expected = attempt["number"] + 1
    return count
