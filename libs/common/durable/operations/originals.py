"""Sealed originals, for those who may see them. Open this file to learn what a reveal shows and what stays of it.

What is sealed is opened for a replay, for an edit and for a reveal; only the reveal shows it, once the audit tells who
looked at what, and why. The answer itself is stored nowhere: neither with an idempotency key nor in a log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from ordermesh.operations.v1 import operations_service_pb2 as pb

from libs.common.durable.model import StoredEvent
from libs.common.durable.operations.payloads import clear_payload, masked_payload
from libs.common.durable.operations.queries import Operations
from libs.common.durable.operations.trail import audit
from libs.common.durable.rows import Row
from libs.common.durable.seal import Sealer
from libs.common.durable.tx import Tx
from libs.common.errors import Refused

LOCK = "SELECT delivery_id FROM delivery WHERE tenant = $1 AND delivery_id = $2 FOR UPDATE"
"""Rows of one audit chain are added one after the other."""


@dataclass(frozen=True, slots=True)
class Reveal:
    """Show what is masked."""

    attempt: int
    """Number of a try; 0 means the payload."""
    reason: str
    row: Row
    """The item, as the answer shows it."""

    @property
    def delivery_id(self) -> int:
        return int(str(self.row["delivery_id"]))


async def reveal_exception(command: Reveal, tx: Tx) -> Row:
    """The item as it was; who looks at what, and why, stands in its history."""
    if await tx.driver.fetchval(LOCK, tx.context.tenant, command.delivery_id) is None:
        raise Refused("NOT_FOUND")
    what = f"attempt {command.attempt}" if command.attempt else "payload"
    await audit(tx, command.delivery_id, "revealed", "", f"{what}, because: {command.reason}")
    return command.row


class Originals:
    """What one service has kept sealed."""

    def __init__(self, operations: Operations, sealer: Sealer) -> None:
        self._operations = operations
        self._sealer = sealer

    def opened(self, event: StoredEvent) -> StoredEvent:
        """With its data in the clear. Refused with ORIGINAL_UNREADABLE."""
        return replace(event, data=self._sealer.open(event.tenant, event.data))

    def edited(self, tenant: str, row: Mapping[str, object]) -> bytes | None:
        """What an operator has put in the event's place; None where nobody has. Refused with ORIGINAL_UNREADABLE."""
        data = cast(bytes | None, row["edited_data"])
        return None if data is None else self._sealer.open(tenant, data)

    def keep(self, tenant: str, data: bytes | None) -> bytes | None:
        """An edited payload as it is stored."""
        return None if data is None else self._sealer.seal(tenant, data) or data

    async def carried(self, tenant: str, row: Mapping[str, object]) -> StoredEvent:
        """What a replay of the item would use, in the clear. Refused with ORIGINAL_UNREADABLE, NOT_FOUND."""
        event = await self._operations.event(tenant, str(row["event_id"]))
        edited = self.edited(tenant, row)
        if edited is None:
            return self.opened(event)
        return replace(event, data=edited, actor=str(row["edited_by"]))

    def shown(self, event: StoredEvent, data: bytes | None) -> str:
        """JSON with sensitive values masked; empty for what nobody can read."""
        try:
            return "" if data is None else masked_payload(event.type, self._sealer.open(event.tenant, data))
        except Refused:
            return ""

    async def reveal(
        self, tenant: str, row: Mapping[str, object], attempt: int
    ) -> pb.RevealExceptionResponse:
        """Refused with NOT_FOUND for a try of which nothing was kept, ORIGINAL_UNREADABLE."""
        if attempt:
            return await self._reveal_exchange(tenant, row, attempt)
        event = await self._operations.event(tenant, str(row["event_id"]))
        original = clear_payload(event.type, self.opened(event).data)
        edited = self.edited(tenant, row)
        if edited is None:
            return pb.RevealExceptionResponse(payload=original)
        return pb.RevealExceptionResponse(
            payload=clear_payload(event.type, edited), original_payload=original
        )

    async def _reveal_exchange(
        self, tenant: str, row: Mapping[str, object], attempt: int
    ) -> pb.RevealExceptionResponse:
        """A number may have been tried twice, when an operator had it tried afresh: the later one."""
        tries = await self._operations.attempts([int(str(row["delivery_id"]))])
        kept = [each["sealed_exchange"] for each in tries if each["number"] == attempt]
        if not kept or not kept[-1]:
            raise Refused("NOT_FOUND", f"of try {attempt} no copy was kept")
        request, response = self._sealer.open_exchange(tenant, kept[-1])
        return pb.RevealExceptionResponse(
            request=request.decode(errors="replace"), response=response.decode(errors="replace")
        )
