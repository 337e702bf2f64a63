"""The gateway as this command calls it: contract messages in and out, problems as exceptions.

Open it to add a call. Every call has a deadline; answers are parsed into the generated messages, so a field
that the contract does not have cannot be asked for.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import httpx
from google.protobuf import json_format
from google.protobuf.message import Message
from ordermesh.operations.v1 import operations_pb2, operations_service_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2

from libs.cli.config import Surroundings
from libs.cli.instance import DataDir, RunRecord
from libs.cli.keys import Bearer, token_for
from libs.common.ids import new_id

CALL_SECONDS = 15.0
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

    async def replay_exception(
        self, exception_id: str, *, reason: str = "", validate_only: bool = False
    ) -> operations_service_pb2.ReplayExceptionResponse:
        body = {"reason": reason, "validateOnly": validate_only}
        answer = operations_service_pb2.ReplayExceptionResponse()
        return await self._post(f"/v1/exceptions/{exception_id}:replay", body, answer)

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

    async def is_ready(self) -> bool:
        try:
            return (await self._client.get("/health/ready")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def _get(self, path: str, params: Mapping[str, str], answer: MessageT) -> MessageT:
        return await self._send("GET", path, answer, params=params)

    async def _post(self, path: str, body: Mapping[str, object], answer: MessageT) -> MessageT:
        # A person who repeats a command means it: a fresh key each time, kept only over our own repeat.
        headers = {"Idempotency-Key": new_id("cli"), "Content-Type": "application/json"}
        return await self._send("POST", path, answer, headers=headers, content=json.dumps(body))

    async def _send(
        self,
        method: str,
        path: str,
        answer: MessageT,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: str | None = None,
    ) -> MessageT:
        try:
            response = await self._client.request(
                method, path, params=params, headers=headers, content=content
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
    ) as client:
        yield Api(client)
