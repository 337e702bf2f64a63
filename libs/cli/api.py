"""The gateway as this command calls it: contract messages in and out, problems as exceptions.

Open it to add a call. Every call has a deadline; answers are parsed into the generated messages, so a field
that the contract does not have cannot be asked for.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import httpx
from google.protobuf import json_format
from google.protobuf.message import Message
from ordermesh.customer.v1 import customer_service_pb2
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2, proposal_service_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2

from libs.cli.config import Surroundings
from libs.cli.instance import DataDir, RunRecord
from libs.cli.keys import Bearer, token_for
from libs.common.ids import new_id

CALL_SECONDS = 15.0
BULK_SECONDS = 35.0
"""Of what is one large commit, or asks an outside system."""
PAGE_SIZE_MAX = 1000
LIFETIME = timedelta(hours=1)

MessageT = TypeVar("MessageT", bound=Message)


class Problem(Exception):
    """The gateway said no; carries what the problem document says."""

    def __init__(self, status: int, code: str, detail: str, owner: str) -> None:
        super().__init__(f"{code} ({status}): {detail}" + (f" (owner: {owner})" if owner else ""))
        self.status = status
        self.code = code


class Unreachable(Exception):
    """The gateway does not answer."""


class Api:
    """The calls; one per running command."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get_order(self, order_id: str) -> order_pb2.Order:
        """Raises Problem NOT_FOUND."""
        path = f"/v1/orders/{order_id}"
        return (await self._get(path, {}, order_service_pb2.GetOrderResponse())).order

    async def list_orders(
        self, size: int = 50, token: str = "", wanted: str = ""
    ) -> order_service_pb2.ListOrdersResponse:
        """One page, newest first. wanted: AIP-160 filter."""
        params = _page(size, token, wanted)
        return await self._get("/v1/orders", params, order_service_pb2.ListOrdersResponse())

    async def get_lineage(self, subject: str) -> operations_service_pb2.GetLineageResponse:
        """subject: `orders/ord_…` and the like."""
        return await self._get(f"/v1/{subject}/lineage", {}, operations_service_pb2.GetLineageResponse())

    async def get_queues(self) -> operations_service_pb2.GetQueuesResponse:
        return await self._get("/v1/queues", {}, operations_service_pb2.GetQueuesResponse())

    async def list_exceptions(
        self, wanted: str = "", limit: int = PAGE_SIZE_MAX
    ) -> list[operations_pb2.Delivery]:
        """At most `limit` items of the exception queue, oldest first."""
        found: list[operations_pb2.Delivery] = []
        token = ""
        while len(found) < limit:
            params = _page(min(limit - len(found), PAGE_SIZE_MAX), token, wanted)
            page = await self._get("/v1/exceptions", params, operations_service_pb2.ListExceptionsResponse())
            found += page.exceptions
            token = page.next_page_token
            if not token:
                break
        return found[:limit]

    async def get_exception(self, exception_id: str) -> operations_service_pb2.GetExceptionResponse:
        answer = operations_service_pb2.GetExceptionResponse()
        return await self._get(f"/v1/exceptions/{exception_id}", {}, answer)

    async def preview_exception(
        self, exception_id: str, mapping: str = ""
    ) -> operations_service_pb2.PreviewExceptionResponse:
        params = {"pinnedMapping": mapping} if mapping else {}
        answer = operations_service_pb2.PreviewExceptionResponse()
        return await self._get(f"/v1/exceptions/{exception_id}/preview", params, answer)

    async def replay_exception(
        self, exception_id: str, *, reason: str = "", mapping: str = ""
    ) -> operations_service_pb2.ReplayExceptionResponse:
        body = {"reason": reason, "pinnedMapping": mapping}
        answer = operations_service_pb2.ReplayExceptionResponse()
        return await self._post(f"/v1/exceptions/{exception_id}:replay", body, answer)

    async def replay_exceptions(
        self, body: Mapping[str, object]
    ) -> operations_service_pb2.ReplayExceptionsResponse:
        """body: as the contract's request, in JSON."""
        answer = operations_service_pb2.ReplayExceptionsResponse()
        return await self._post("/v1/exceptions:replay", body, answer, seconds=BULK_SECONDS)

    async def get_replay(self, replay_id: str) -> operations_pb2.Replay:
        """How far a bulk replay has come."""
        answer = operations_service_pb2.GetReplayResponse()
        return (await self._get(f"/v1/replays/{replay_id}", {}, answer)).replay

    async def edit_exception(
        self, exception_id: str, payload: str, reason: str, *, validate_only: bool = False
    ) -> operations_service_pb2.EditExceptionResponse:
        body = {"payload": payload, "reason": reason, "validateOnly": validate_only}
        answer = operations_service_pb2.EditExceptionResponse()
        return await self._post(f"/v1/exceptions/{exception_id}:edit", body, answer, seconds=BULK_SECONDS)

    async def reveal_exception(
        self, exception_id: str, reason: str, attempt: int = 0
    ) -> operations_service_pb2.RevealExceptionResponse:
        """The exchange of a try; with 0, what the item carries."""
        answer = operations_service_pb2.RevealExceptionResponse()
        body = {"reason": reason, "attempt": attempt}
        return await self._post(f"/v1/exceptions/{exception_id}:reveal", body, answer)

    async def comment_exception(self, exception_id: str, comment: str) -> operations_pb2.Delivery:
        answer = operations_service_pb2.CommentExceptionResponse()
        return (
            await self._post(f"/v1/exceptions/{exception_id}:comment", {"comment": comment}, answer)
        ).exception

    async def approve_exception(
        self, exception_id: str, request_id: str, reason: str
    ) -> operations_pb2.Delivery:
        body = {"requestId": request_id, "reason": reason}
        answer = operations_service_pb2.ApproveExceptionResponse()
        return (await self._post(f"/v1/exceptions/{exception_id}:approve", body, answer)).exception

    async def discard_exception(self, exception_id: str, reason: str) -> operations_pb2.Delivery:
        answer = operations_service_pb2.DiscardExceptionResponse()
        return (
            await self._post(f"/v1/exceptions/{exception_id}:discard", {"reason": reason}, answer)
        ).exception

    async def assign_exception(self, exception_id: str, assignee: str) -> operations_pb2.Delivery:
        answer = operations_service_pb2.AssignExceptionResponse()
        return (
            await self._post(f"/v1/exceptions/{exception_id}:assign", {"assignee": assignee}, answer)
        ).exception

    async def accept_proposal(self, exception_id: str, reason: str) -> operations_pb2.Delivery:
        """Raises Problem STATE_FORBIDS."""
        answer = proposal_service_pb2.AcceptProposalResponse()
        return (
            await self._post(f"/v1/exceptions/{exception_id}:accept", {"reason": reason}, answer)
        ).exception

    async def reject_proposal(self, exception_id: str, reason: str) -> operations_pb2.Delivery:
        """Raises Problem STATE_FORBIDS."""
        answer = proposal_service_pb2.RejectProposalResponse()
        return (
            await self._post(f"/v1/exceptions/{exception_id}:reject", {"reason": reason}, answer)
        ).exception

    async def get_candidates(self, exception_id: str) -> customer_service_pb2.GetCandidatesResponse:
        """Raises Problem NOT_FOUND, STATE_FORBIDS."""
        answer = customer_service_pb2.GetCandidatesResponse()
        return await self._get(f"/v1/exceptions/{exception_id}/candidates", {}, answer)

    async def link_candidate(
        self, exception_id: str, customer_id: str, reason: str
    ) -> customer_service_pb2.LinkCandidateResponse:
        """Raises Problem STATE_FORBIDS, INVALID_FIELD."""
        body = {"customerId": customer_id, "reason": reason}
        answer = customer_service_pb2.LinkCandidateResponse()
        return await self._post(f"/v1/exceptions/{exception_id}:link", body, answer)

    async def keep_candidate_apart(self, exception_id: str, reason: str) -> operations_pb2.Delivery:
        """Raises Problem STATE_FORBIDS."""
        answer = customer_service_pb2.KeepCandidateApartResponse()
        return (
            await self._post(f"/v1/exceptions/{exception_id}:keepApart", {"reason": reason}, answer)
        ).exception

    async def is_ready(self) -> bool:
        try:
            return (await self._client.get("/health/ready")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def _get(self, path: str, params: Mapping[str, str], answer: MessageT) -> MessageT:
        return await self._send("GET", path, answer, params=params)

    async def _post(
        self, path: str, body: Mapping[str, object], answer: MessageT, *, seconds: float = CALL_SECONDS
    ) -> MessageT:
        # A person who repeats a command means it: a fresh key each time, kept only over our own repeat.
        headers = {"Idempotency-Key": new_id("cli"), "Content-Type": "application/json"}
        return await self._send(
            "POST", path, answer, headers=headers, content=json.dumps(body), seconds=seconds
        )

    async def _send(
        self,
        method: str,
        path: str,
        answer: MessageT,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: str | None = None,
        seconds: float = CALL_SECONDS,
    ) -> MessageT:
        try:
            response = await self._client.request(
                method, path, params=params, headers=headers, content=content, timeout=seconds
            )
        except httpx.TransportError as error:
            raise Unreachable(f"{self._client.base_url} does not answer ({type(error).__name__})") from error
        if response.is_error:
            raise problem_in(response)
        json_format.Parse(response.content, answer, ignore_unknown_fields=True)
        return answer


def problem_in(response: httpx.Response) -> Problem:
    """What a refused request was refused with; also when the answer is no problem document."""
    try:
        told = json.loads(response.content)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        told = {}
    code = str(told.get("code") or response.reason_phrase)
    return Problem(response.status_code, code, str(told.get("detail", "")), str(told.get("owner", "")))


def _page(size: int, token: str, wanted: str) -> Mapping[str, str]:
    params = {"pageSize": str(size), "pageToken": token, "filter": wanted}
    return {name: value for name, value in params.items() if value}


def trusted(ca_file: str) -> ssl.SSLContext | bool:
    """What httpx is to believe: the mesh's own authority where it has one."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else True


@asynccontextmanager
async def connected(
    data: DataDir, record: RunRecord, around: Surroundings, bearer: Bearer
) -> AsyncIterator[Api]:
    """The gateway of a running mesh, as `bearer`."""
    token = token_for(data.keys, bearer, around.settings, LIFETIME)
    async with httpx.AsyncClient(
        base_url=record.base_url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=CALL_SECONDS,
        trust_env=False,
        verify=trusted(record.ca_file),
    ) as client:
        yield Api(client)
