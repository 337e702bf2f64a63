"""What an attacker sends, and the exact answer. Bodies that are only wrong stand in `test_bodies.py`."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc import jwk, jwt

from libs.common.clock import SystemClock
from libs.common.identity import KeyPair
from tests.contract.test_gateway.mesh import AN_ORDER, Mesh, running_mesh

ORDER = json.dumps(AN_ORDER).encode()
Claims = dict[str, object]
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@dataclass(frozen=True, slots=True)
class Forge:
    """Makes tokens that nobody should believe."""

    mesh: Mesh

    @property
    def keys(self) -> KeyPair:
        return self.mesh.keys

    @property
    def private(self) -> jwk.Key:
        return jwk.import_key(json.loads(self.keys.private_jwk))

    def claims(self, **changed: object) -> Claims:
        """A good token's claims but for those changed; None leaves one out."""
        now = int(SystemClock().now().timestamp())
        claims: Claims = {
            "iss": self.mesh.settings.issuer,
            "aud": self.mesh.settings.audience,
            "sub": "mallory",
            "tenant": "acme",
            "roles": ["admin"],
            "nbf": now,
            "exp": now + 300,
        }
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def signed(self, key: jwk.Key | None = None, header: Claims | None = None, **changed: object) -> str:
        key = key or self.private
        head = {"alg": "EdDSA", "kid": self.private.kid, **(header or {})}
        return jwt.encode(head, self.claims(**changed), key, algorithms=[str(head["alg"])])

    def unsigned(self, header: Claims, signature: str = "") -> str:
        def part(content: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

        return f"{part(header)}.{part(self.claims())}.{signature}"

    def stolen_public_key(self) -> jwk.Key:
        """The public key as everybody knows it, taken for a shared secret."""
        return jwk.OctKey.import_key(self.keys.public_jwks, {"kid": str(self.private.kid)})


def stranger() -> jwk.Key:
    return jwk.OKPKey.generate_key("Ed25519", auto_kid=True)


ALGORITHM = "the algorithm must be one of EdDSA, ES256, RS256"
UNKNOWN = "the token's key is not known here"
NOW = int(SystemClock().now().timestamp())

FORGERIES: Mapping[str, tuple[Callable[[Forge], str], str]] = {
    "alg none": (lambda forge: forge.unsigned({"alg": "none", "kid": forge.private.kid}), ALGORITHM),
    "alg None in capitals": (
        lambda forge: forge.unsigned({"alg": "NONE", "kid": forge.private.kid}),
        ALGORITHM,
    ),
    "the public key as an HMAC secret": (
        lambda forge: forge.signed(forge.stolen_public_key(), {"alg": "HS256"}),
        ALGORITHM,
    ),
    "kid that walks through folders": (
        lambda forge: forge.signed(stranger(), {"kid": "../../../../dev/null"}),
        UNKNOWN,
    ),
    "kid that is SQL": (lambda forge: forge.signed(stranger(), {"kid": "x' OR '1'='1"}), UNKNOWN),
    "kid that is no text": (
        lambda forge: forge.unsigned({"alg": "EdDSA", "kid": ["a"]}, "AAAA"),
        "the token is not a JWT",
    ),
    "no kid": (lambda forge: forge.unsigned({"alg": "EdDSA"}, "AAAA"), "the token names no key (`kid`)"),
    "jku": (
        lambda forge: forge.signed(stranger(), {"kid": "evil", "jku": "https://evil.example/jwks.json"}),
        UNKNOWN,
    ),
    "x5u": (
        lambda forge: forge.signed(stranger(), {"kid": "evil", "x5u": "https://evil.example/cert.pem"}),
        UNKNOWN,
    ),
    "a key of its own": (
        lambda forge: forge.signed(key := stranger(), {"kid": key.kid, "jwk": key.as_dict(private=False)}),
        UNKNOWN,
    ),
    "a stranger's signature under a known kid": (
        lambda forge: forge.signed(stranger()),
        "the signature is not valid",
    ),
    "a header that must be understood": (
        lambda forge: forge.unsigned(
            {"alg": "EdDSA", "kid": forge.private.kid, "crit": ["unknown"], "unknown": True}, "AAAA"
        ),
        "the token is not a JWT",
    ),
    "another audience": (lambda forge: forge.signed(aud="payroll"), "claim `aud` is not accepted"),
    "another issuer": (
        lambda forge: forge.signed(iss="https://evil.example"),
        "claim `iss` is not accepted",
    ),
    "expired": (lambda forge: forge.signed(exp=NOW - 3600), "the token has expired"),
    "no expiry": (lambda forge: forge.signed(exp=None), "claims are missing: exp"),
    "not yet valid": (lambda forge: forge.signed(nbf=NOW + 3600), "claim `nbf` is not accepted"),
    "no tenant": (lambda forge: forge.signed(tenant=None), "claims are missing: tenant"),
    "a tenant that is a list": (
        lambda forge: forge.signed(tenant=["acme", "globex"]),
        "claim `tenant` is not accepted",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_forged_token_is_refused_with_what_is_wrong(mesh: Mesh, name: str) -> None:
    make, detail = FORGERIES[name]
    answer = await mesh.http.get("/v1/orders", headers={"Authorization": f"Bearer {make(Forge(mesh))}"})
    assert answer.status_code == 401
    problem = answer.json()
    assert (problem["code"], problem["detail"]) == ("UNAUTHENTICATED", detail)
    words = detail.replace('"', "'")
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="ordermesh", error="invalid_token", error_description="{words}"'
    )
    assert not mesh.order.seen


async def test_the_forge_makes_good_tokens_too(mesh: Mesh) -> None:
    token = Forge(mesh).signed()
    assert (
        await mesh.http.get("/v1/orders", headers={"Authorization": f"Bearer {token}"})
    ).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/orders?tenant=globex", {}),
        ("/v1/tenants/globex/orders", {}),
        ("/v1/orders", {"X-Tenant": "globex", "X-Tenant-Id": "globex", "Ordermesh-Tenant": "globex"}),
    ],
)
async def test_tenant_comes_from_the_token_whatever_else_names_one(
    mesh: Mesh, path: str, headers: dict[str, str]
) -> None:
    answer = await mesh.http.get(path, headers={**mesh.bearer(), **headers})
    assert answer.status_code == (200 if headers else 400 if "?" in path else 404)
    for seen in mesh.order.seen:
        assert "globex" not in str(seen.metadata)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper than 64", id="10^4 objects"),
        pytest.param(b"[" * 10_000, "nested deeper than 64", id="10^4 open lists"),
        pytest.param(b"[" * 2_000_000, "nested deeper than 64", id="2 MB of open lists"),
        pytest.param(
            b"{" + b",".join(b'"%x":1' % number for number in range(10**6 // 2)) + b"}",
            "more than 50000 keys",
            id="half a million keys",
        ),
        pytest.param(b"[" + b'{"":0},' * (10**6 - 1) + b'{"":0}]', "more than 50000 keys", id="10^6 keys"),
    ],
)
async def test_body_that_would_cost_the_parser_dearly_is_refused_unparsed(
    tmp_path: Path, body: bytes, detail: str
) -> None:
    async with running_mesh(tmp_path, body_bytes_max=8 * 1024 * 1024) as mesh:
        answer = await mesh.send(body)
        assert answer.status_code == 413
        assert answer.json()["code"] == "BODY_TOO_LARGE"
        assert detail in answer.json()["detail"]
        assert not mesh.order.seen


BOMB = gzip.compress(b" " * 10_000_000, compresslevel=1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"])
async def test_packed_body_is_refused_unpacked_by_nobody(mesh: Mesh, encoding: str) -> None:
    answer = await mesh.send(BOMB, Content_Encoding=encoding)
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert not mesh.order.seen


@pytest.mark.parametrize(
    "number", [b"NaN", b"-Infinity", b"Infinity", b"1e400", b"-1e400", b"1e-400", b"0x10"]
)
async def test_number_that_is_none_is_refused_by_name(mesh: Mesh, number: bytes) -> None:
    answer = await mesh.send(ORDER[:-1] + b',"total":{"units":' + number + b"}}")
    assert answer.status_code == 400
    assert answer.json()["code"] in {"INVALID_FIELD", "MALFORMED_BODY"}
    assert not mesh.order.seen


OPEN = {
    "/": 200,
    "/health/live": 200,
    "/health/ready": 200,
    "/problems/": 200,
    "/problems/not-found": 200,
    "/docs": 200,
    "/openapi.json": 200,
    "/openapi-3.0.json": 200,
}
"""All that a stranger is shown."""


@pytest.mark.parametrize(
    "path",
    [
        *OPEN,
        "/metrics",
        "/debug",
        "/.env",
        "/admin",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/_sim/ledger",
        "/problems/../../etc/passwd",
        "/problems/%2e%2e%2fkeys",
    ],
)
async def test_a_stranger_is_shown_what_is_meant_to_be_open_and_nothing_else(mesh: Mesh, path: str) -> None:
    answer = await mesh.http.get(path)
    assert answer.status_code == OPEN.get(path, 404)


def _routes(mesh: Mesh) -> Iterator[tuple[str, str]]:
    for route in mesh.gateway.app._table.routes:
        path = route.template.text
        for variable in route.template.variables:
            kind, _, collection = path.partition(f"{{{variable}=")[2].partition("/*}")[0].partition("/")
            path = path.replace(f"{{{variable}={kind}/*}}", f"{kind}/x") if kind else path
            path = path.replace(f"{{{variable}}}", "x")
            assert not collection
        yield route.verb, path


async def test_every_route_wants_a_token_before_anything_else(mesh: Mesh) -> None:
    routes = list(_routes(mesh))
    assert len(routes) > 20
    for verb, path in routes:
        answer = await mesh.http.request(verb, path, content=b"{" * 100)
        assert answer.status_code == 401, (verb, path)
        assert answer.headers["www-authenticate"] == 'Bearer realm="ordermesh"'
    assert not any(backend.seen for backend in mesh.backends.values())
