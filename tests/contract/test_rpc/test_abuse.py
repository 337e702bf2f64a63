"""What an attacker sends to a gRPC port, and the exact answer."""

import asyncio
import base64
import json
import struct
from datetime import timedelta

import grpc
import pytest
from joserfc import jwk, jwt

from libs.common.identity import new_keys
from libs.common.rpc.server import CONCURRENT_STREAMS_MAX, METADATA_BYTES_MAX
from libs.common.testing.rpc import OneMachine
from tests.contract.test_rpc.scripted import SERVICE, Scripted

DESCRIBE = f"{SERVICE}/Describe"
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


async def answered(
    address: str,
    *metadata: tuple[str, str],
    request: bytes = b"",
    compression: grpc.Compression | None = None,
    path: str = DESCRIBE,
) -> grpc.StatusCode:
    """How a stranger's call ends."""
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        call = method(request, metadata=metadata, compression=compression, timeout=30, wait_for_ready=True)
        return await call.code()


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


def forged(mesh: OneMachine, kind: str) -> str:
    """A token that nobody should believe."""
    if kind == "expired":
        return mesh.token("acme", ["mesh"], lifetime=timedelta(hours=-1))
    private = jwk.import_key(json.loads(mesh.private_key))
    claims = jwt.decode(mesh.token("acme", ["mesh"]), private, algorithms=["EdDSA"]).claims
    if kind == "stranger":
        stranger = jwk.import_key(json.loads(new_keys().private_jwk))
        header = {"alg": "EdDSA", "kid": private.kid, "jwk": stranger.as_dict(private=False)}
        return jwt.encode(header, claims, stranger, algorithms=["EdDSA"])
    if kind == "hmac":
        secret = jwk.OctKey.import_key(json.dumps(private.as_dict(private=False)))
        return jwt.encode({"alg": "HS256", "kid": private.kid}, claims, secret, algorithms=["HS256"])
    parts = ({"alg": "none", "kid": private.kid}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts) + "."


@pytest.mark.parametrize("kind", ["none", "hmac", "stranger", "expired"])
async def test_forged_token_gets_nowhere(
    mesh: OneMachine, address: str, servicer: Scripted, kind: str
) -> None:
    assert await answered(address, bearer(forged(mesh, kind))) is grpc.StatusCode.UNAUTHENTICATED
    assert not servicer.contexts


async def test_tenant_comes_from_the_token_whatever_metadata_says(
    mesh: OneMachine, address: str, servicer: Scripted
) -> None:
    claimed = [(name, "globex") for name in ("tenant", "x-tenant", "x-ordermesh-tenant")]
    assert await answered(address, bearer(mesh.token("acme", ["mesh"])), *claimed) is grpc.StatusCode.OK
    assert [context.tenant for context in servicer.contexts] == ["acme"]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("size", [1_000, 20_000_000])
async def test_packed_message_is_refused_before_anybody_unpacks_it(
    mesh: OneMachine, address: str, servicer: Scripted, compression: grpc.Compression, size: int
) -> None:
    token = bearer(mesh.token("acme", ["mesh"]))
    code = await answered(address, token, request=b"\0" * size, compression=compression)
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert not servicer.contexts


async def test_message_over_the_limit_is_refused(mesh: OneMachine, address: str, servicer: Scripted) -> None:
    code = await answered(address, bearer(mesh.token("acme", ["mesh"])), request=b"\0" * 9_000_000)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not servicer.contexts


async def test_metadata_over_the_limit_is_refused(mesh: OneMachine, address: str, servicer: Scripted) -> None:
    padding = ("x-padding", "x" * (2 * METADATA_BYTES_MAX))
    code = await answered(address, bearer(mesh.token("acme", ["mesh"])), padding)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not servicer.contexts


@pytest.mark.parametrize(
    "path", [f"{SERVICE}/Unknown", "/evil.v1.Evil/Run", "/", "//", f"{SERVICE}/../Describe"]
)
async def test_method_that_no_contract_declares_does_not_exist(
    mesh: OneMachine, address: str, path: str
) -> None:
    code = await answered(address, bearer(mesh.token("acme", ["mesh"])), path=path)
    assert code is grpc.StatusCode.UNIMPLEMENTED


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GO_AWAY = 4, 6, 7
ENHANCE_YOUR_CALM = 11
MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE = 3, 6


def frame(kind: int, content: bytes = b"") -> bytes:
    """One HTTP/2 frame of the connection itself."""
    return struct.pack(">I", len(content))[1:] + bytes([kind, 0]) + b"\0\0\0\0" + content


async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readexactly(9)
    return head[3], await reader.readexactly(int.from_bytes(head[:3]))


async def test_client_that_floods_with_pings_is_sent_away(address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS) + frame(PING, b"\0" * 8) * 100)
    async with asyncio.timeout(20):
        kind, content = await next_frame(reader)
        while kind != GO_AWAY or int.from_bytes(content[4:8]) == 0:
            kind, content = await next_frame(reader)
    assert int.from_bytes(content[4:8]) == ENHANCE_YOUR_CALM
    writer.close()


async def test_client_is_told_how_many_calls_and_how_much_metadata_a_connection_takes(address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS))
    async with asyncio.timeout(20):
        kind, content = await next_frame(reader)
    assert kind == SETTINGS
    told = dict(struct.iter_unpack(">HI", content))
    assert told[MAX_CONCURRENT_STREAMS] == CONCURRENT_STREAMS_MAX
    assert told[MAX_HEADER_LIST_SIZE] == METADATA_BYTES_MAX
    writer.close()
