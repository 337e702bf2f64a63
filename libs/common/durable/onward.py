"""Next steps, held by the commit that makes them due. Open this file to learn which delivery nobody has to claim.

A settled step often makes another due that this relay would claim at once. The commit inserts such a delivery under a
lease, as a claim would have left it, and it begins after the commit: no claim, no bell, no second reading of the event.
Only where its lane admits it, and only the first of its line: the statement that inserts it looks for anything of the
same subject and target that is still open. Whoever dies after the commit leaves what one leaves who has just claimed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from libs.common.aggregate import Aggregate
from libs.common.durable.claims import Lease, event_from, holding
from libs.common.durable.lanes import Lane
from libs.common.durable.model import Delivery, State
from libs.common.durable.rows import Errand, Row
from libs.common.durable.tx import Group


class NextSteps:
    """Those of one commit. They occupy their lanes from `choose` on, until `give_up` or their try is over."""

    def __init__(self, lanes: Mapping[str, Lane], lease: timedelta) -> None:
        self._lanes = lanes
        self._span = lease
        self._admitted: list[str] = []
        """Their targets."""
        self._group: Group | None = None
        self._lease: Lease | None = None
        self._errand: Errand | None = None
        self._events: Mapping[str, Row] = {}

    def choose(self, group: Group, closed: Sequence[int]) -> None:
        """Picks from all that the group inserts. closed: deliveries that it settles for good."""
        self.give_up()
        lines: set[tuple[object, ...]] = set()

        def begins(row: Row) -> bool:
            line = (row["tenant"], row["target"], row["subject"])
            is_first = line not in lines
            lines.add(line)
            return is_first and self._is_admitted(str(row["target"]), group.now)

        chosen = group.take_deliveries(begins)
        if chosen:
            self._group, self._events = group, group.new_events()
            self._lease = Lease(group.new_id("lea"), group.now + self._span)
            self._errand = holding(chosen, self._lease, group.now, closed)
            group.along(self._errand)

    def _is_admitted(self, target: str, now: datetime) -> bool:
        admitted = target in self._lanes and self._lanes[target].admits_next(now)
        if admitted:
            self._admitted.append(target)
        return admitted

    def give_up(self) -> None:
        """Nothing was committed."""
        for target in self._admitted:
            self._lanes[target].in_flight -= 1
        self._admitted.clear()
        self._group = self._errand = None

    def held(self) -> list[Delivery]:
        """What the commit holds. The others it inserted wait for what is before them in their line."""
        if self._group is None or self._errand is None or self._lease is None:
            return []
        for _, _, target in self._errand.found:
            self._admitted.remove(target)
        records = self._group.stored()
        found = [
            _delivery(delivery_id, target, self._lease, self._events[event_id], records)
            for delivery_id, event_id, target in self._errand.found
        ]
        self.give_up()
        return found


def _delivery(
    delivery_id: int,
    target: str,
    lease: Lease,
    event: Row,
    records: Mapping[tuple[str, str], Aggregate],
) -> Delivery:
    stored = event_from(event)
    return Delivery(
        delivery_id=delivery_id,
        target=target,
        state=State.PENDING,
        attempt=1,
        lease_id=lease.lease_id,
        pinned_mapping="",
        event=stored,
        lease_end=lease.end,
        record=records.get((stored.tenant, stored.subject)),
    )
