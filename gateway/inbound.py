"""Payloads in a vendor's own shape. Open this file for `POST /v1/systems/{system}/inbound`.

The gateway does not look into a payload: the system's connector translates it into a canonical command, which then
goes the way of every other one. Without a header `Idempotency-Key` it runs under the key that the connector derives
from source, record and version, so a payload that comes twice is one order.
"""

from collections.abc import Mapping

from jsonpb.ordermesh.connector.v1.connector_service_pb import TranslateRequest, TranslateResponse
from jsonpb.ordermesh.order.v1.order_service_pb import SubmitOrderRequest

from gateway.calls import Calls
from gateway.conditions import check_accept, idempotency_key
from gateway.exchange import AtTheEdge, Exchange, Reply
from gateway.limits import Limits, read_body
from gateway.parameters import query_pairs
from gateway.shape import check_shape
from gateway.submission import Submissions
from libs.common.errors import Refused
from libs.common.rpc.contract import Method, methods
from libs.common.topology import Topology

TRANSLATE_PATH = "/ordermesh.connector.v1.ConnectorService/Translate"
TEMPLATE = "/v1/systems/{system}/inbound"
NATIVE_TYPE = "nativeType"
NATIVE_TYPE_CHARACTERS_MAX = 100
CONTENT_TYPE_CHARACTERS_MAX = 200


class Inbound:
    """Payloads in a vendor's own shape."""

    def __init__(self, calls: Calls, submissions: Submissions, topology: Topology, limits: Limits) -> None:
        self._calls = calls
        self._submissions = submissions
        self._topology = topology
        self._limits = limits
        self._translate = translate_method()

    async def answer(self, exchange: Exchange, variables: Mapping[str, str]) -> Reply:
        """As `POST /v1/orders`. Refused SYSTEM_UNKNOWN, PAYLOAD_UNTRANSLATABLE and as SubmitOrder."""
        check_accept(exchange)
        system = variables["system"]
        self._topology.system(system, exchange.caller.tenant)
        key = idempotency_key(exchange)
        request = TranslateRequest(
            native_type=_native_type(exchange.query),
            content_type=_content_type(exchange),
            payload=await self._payload(exchange),
        )
        answered = await self._calls.forward(
            f"system:{system}", self._translate, request.to_binary(), exchange
        )
        command = _command(TranslateResponse.from_binary(answered.content))
        if key:
            command.idempotency_key = key
        return await self._submissions.hand_in(command.to_binary(), exchange)

    async def _payload(self, exchange: Exchange) -> bytes:
        payload = await read_body(exchange, self._limits.inbound_bytes_max, self._limits.receive_seconds)
        if not payload:
            raise Refused("MALFORMED_BODY", "the body is empty")
        if b"json" in exchange.headers.get(b"content-type", b"").lower():
            check_shape(payload, depth_max=self._limits.depth_max, keys_max=self._limits.keys_max)
        return payload


def translate_method() -> Method:
    return methods()[TRANSLATE_PATH]


def _command(translated: TranslateResponse) -> SubmitOrderRequest:
    if translated.command is None:
        raise Refused("PAYLOAD_UNTRANSLATABLE", "the connector makes no command of this payload")
    return translated.command.value


def _content_type(exchange: Exchange) -> str:
    stated = exchange.header(b"content-type").strip()
    if not stated:
        raise AtTheEdge(415, "UNSUPPORTED_MEDIA_TYPE", "the header Content-Type is missing")
    if len(stated) > CONTENT_TYPE_CHARACTERS_MAX or not (stated.isascii() and stated.isprintable()):
        raise AtTheEdge(415, "UNSUPPORTED_MEDIA_TYPE", "the header Content-Type cannot be read")
    return stated


def _native_type(query: bytes) -> str:
    if not query:
        return ""
    stated = query_pairs(query)
    unknown = [name for name, _ in stated if name not in (NATIVE_TYPE, "native_type")]
    if unknown:
        raise Refused.field("INVALID_FIELD", unknown[0][:100], "there is no such parameter")
    text = stated[0][1] if len(stated) == 1 else ""
    if not text or len(text) > NATIVE_TYPE_CHARACTERS_MAX:
        raise Refused.field("INVALID_FIELD", "native_type", "state it once, with 1 to 100 characters")
    return text
