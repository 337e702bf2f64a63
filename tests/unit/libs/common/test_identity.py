"""A token is believed only when its signature, key, algorithm, times and claims all hold."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from joserfc import jwk, jwt

from libs.common.config import ProcessSettings
from libs.common.errors import Refused
from libs.common.identity import MeshSigner, Verifier, bearer_token, mint, new_keys
from libs.common.identity import verifier as verifier_module
from libs.common.identity.remote import key_url
from libs.common.testing.clock import FakeClock

Claims = dict[str, object]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Issuer:
    """Keys on disk, and tokens as good or bad as a test wants them."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.jwks_file = folder / "jwks.json"
        self.clock = clock
        keys = new_keys()
        self.private = jwk.import_key(json.loads(keys.private_jwk))
        key_file = folder / "mesh.json"
        key_file.write_text(keys.private_jwk)
        self.publish(self.private)
        self.settings = ProcessSettings(jwks_file=self.jwks_file, mesh_key_file=key_file)

    def publish(self, *keys: jwk.Key) -> None:
        self.jwks_file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys]}))

    def claims(self, **changed: object) -> Claims:
        now = int(self.clock.now().timestamp())
        claims: Claims = {
            "iss": self.settings.issuer,
            "aud": ["other", self.settings.audience],
            "sub": "flow@acme.example",
            "tenant": "acme",
            "system": "salesforce",
            "roles": ["integration", "emperor"],
            "nbf": now,
            "exp": now + 300,
        }
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def token(self, **changed: object) -> str:
        return self.signed(self.claims(**changed), self.private, "EdDSA", self.private.kid)

    def token_by(self, key: jwk.Key, *, alg: str = "EdDSA", kid: str | None = None) -> str:
        return self.signed(self.claims(), key, alg, kid or key.kid)

    def signed(self, claims: Claims, key: jwk.Key, alg: str, kid: str | None) -> str:
        return jwt.encode({"alg": alg, "kid": kid}, claims, key, algorithms=[alg])


@pytest.fixture
def issuer(tmp_path: Path, clock: FakeClock) -> Issuer:
    return Issuer(tmp_path, clock)


@pytest.fixture
def verifier(issuer: Issuer, clock: FakeClock) -> Verifier:
    return Verifier(issuer.settings, clock)


def refusal(verifier: Verifier, token: str) -> str:
    with pytest.raises(Refused) as refused:
        verifier.verify(token)
    assert refused.value.reason == "UNAUTHENTICATED"
    return refused.value.detail


pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def test_a_good_token_tells_tenant_system_subject_and_known_roles(issuer: Issuer, verifier: Verifier) -> None:
    identity = verifier.verify(issuer.token())
    assert (identity.tenant, identity.system, identity.subject) == ("acme", "salesforce", "flow@acme.example")
    assert identity.roles == {"integration"}


EC_KEY = jwk.generate_key("EC", "P-256", auto_kid=True)
RSA_KEY = jwk.generate_key("RSA", 2048, auto_kid=True)


@pytest.mark.parametrize(("key", "alg"), [(EC_KEY, "ES256"), (RSA_KEY, "RS256")], ids=["EC", "RSA"])
def test_keys_of_all_three_kinds_are_accepted(
    issuer: Issuer, verifier: Verifier, key: jwk.Key, alg: str
) -> None:
    issuer.publish(key)
    assert verifier.verify(issuer.token_by(key, alg=alg)).tenant == "acme"


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "sub", "tenant"])
def test_a_token_without_a_required_claim_is_refused_by_name(
    issuer: Issuer, verifier: Verifier, claim: str
) -> None:
    assert claim in refusal(verifier, issuer.token(**{claim: None}))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"iss": "https://elsewhere"}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"tenant": 7}, "tenant"),
        ({"tenant": "a" * 256}, "tenant"),
        ({"tenant": "ac\nme"}, "tenant"),
        ({"roles": "admin"}, "roles"),
        ({"exp": "tomorrow"}, "exp"),
    ],
)
def test_a_claim_that_does_not_hold_is_refused_without_its_value(
    issuer: Issuer, verifier: Verifier, changed: Claims, word: str
) -> None:
    detail = refusal(verifier, issuer.token(**changed))
    assert word in detail
    assert str(next(iter(changed.values()))) not in detail


def test_a_minute_of_difference_between_clocks_is_survived_and_no_more(
    issuer: Issuer, verifier: Verifier, clock: FakeClock
) -> None:
    now = int(clock.now().timestamp())
    verifier.verify(issuer.token(exp=now - 59))
    verifier.verify(issuer.token(nbf=now + 59))
    assert "expired" in refusal(verifier, issuer.token(exp=now - 61))
    assert "nbf" in refusal(verifier, issuer.token(nbf=now + 61))


def test_a_token_believed_before_is_refused_once_it_has_expired(
    issuer: Issuer, verifier: Verifier, clock: FakeClock
) -> None:
    token = issuer.token()
    verifier.verify(token)
    clock.advance(timedelta(seconds=361))
    assert "expired" in refusal(verifier, token)


def test_unsigned_and_symmetric_tokens_are_refused(issuer: Issuer, verifier: Verifier) -> None:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    unsigned = f"{part({'alg': 'none', 'kid': issuer.private.kid})}.{part(issuer.claims())}."
    assert "algorithm" in refusal(verifier, unsigned)
    public_text = json.dumps(issuer.private.as_dict(private=False))
    confused = jwk.OctKey.import_key(public_text, {"kid": str(issuer.private.kid)})
    assert "algorithm" in refusal(verifier, issuer.token_by(confused, alg="HS256"))


def test_a_key_is_not_used_with_an_algorithm_of_another_kind(issuer: Issuer, verifier: Verifier) -> None:
    assert "key" in refusal(verifier, issuer.token_by(RSA_KEY, alg="RS256", kid=issuer.private.kid))


def test_a_forged_or_mangled_token_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    head, body, signature = issuer.token().split(".")
    stranger = jwk.OKPKey.generate_key("Ed25519", auto_kid=True)
    assert "signature" in refusal(verifier, issuer.token_by(stranger, kid=issuer.private.kid))
    assert "signature" in refusal(verifier, f"{head}.{body}.{signature[::-1]}")
    for mangled in ("", "x", "a.b.c", f"{head}.{body}", head + "." * 9000):
        refusal(verifier, mangled)


def test_a_token_whose_header_brings_its_own_key_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    stranger = jwk.OKPKey.generate_key("Ed25519", auto_kid=True)
    header = {"alg": "EdDSA", "kid": stranger.kid, "jwk": stranger.as_dict(private=False)}
    token = jwt.encode(header, issuer.claims(), stranger, algorithms=["EdDSA"])
    assert "not known" in refusal(verifier, token)


def test_a_new_key_is_taken_up_within_a_second_and_a_withdrawn_one_dropped(
    issuer: Issuer, verifier: Verifier, clock: FakeClock
) -> None:
    old_token = issuer.token()
    verifier.verify(old_token)
    new = jwk.OKPKey.generate_key("Ed25519", auto_kid=True)
    issuer.publish(new)
    assert "not known" in refusal(verifier, issuer.token_by(new))
    clock.advance(timedelta(seconds=1))
    assert verifier.verify(issuer.token_by(new)).tenant == "acme"
    assert "not known" in refusal(verifier, old_token)


def test_a_broken_key_file_leaves_the_last_keys_in_use(
    issuer: Issuer, verifier: Verifier, clock: FakeClock
) -> None:
    verifier.verify(issuer.token())
    for broken in ("{", "[]", '{"keys": [{"kty": "OKP"}]}'):
        issuer.jwks_file.write_text(broken)
        clock.advance(timedelta(seconds=2))
        assert verifier.verify(issuer.token(sub=f"after {len(broken)}")).tenant == "acme"


def test_keys_of_unknown_kinds_beside_ours_do_no_harm(issuer: Issuer, verifier: Verifier) -> None:
    keys = [
        {"kty": "AKP", "pub": "x"},
        {"kty": "oct", "k": "c2VjcmV0"},
        issuer.private.as_dict(private=False),
    ]
    issuer.jwks_file.write_text(json.dumps({"keys": keys}))
    assert verifier.verify(issuer.token()).tenant == "acme"


def test_without_a_key_file_no_token_is_valid(issuer: Issuer, clock: FakeClock) -> None:
    assert "not known" in refusal(Verifier(ProcessSettings(), clock), issuer.token())


def test_only_so_many_tokens_are_remembered(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_module, "VERIFIED_MAX", 3)
    for number in range(5):
        verifier.verify(issuer.token(sub=f"s{number}"))
    assert len(verifier._verified) == 3


def test_a_process_signs_for_one_tenant_and_renews_before_the_token_expires(
    issuer: Issuer, verifier: Verifier, clock: FakeClock
) -> None:
    signer = MeshSigner(issuer.settings, "order.relay", clock)
    first = signer.token("acme")
    assert signer.token("acme") == first
    assert verifier.verify(signer.token("globex")).tenant == "globex"
    identity = verifier.verify(first)
    assert (identity.tenant, identity.subject) == ("acme", "order.relay")
    assert identity.roles == {"mesh"}
    clock.advance(timedelta(minutes=4))
    assert signer.token("acme") != first


def test_a_process_without_key_cannot_sign() -> None:
    with pytest.raises(Refused, match="ORDERMESH_MESH_KEY_FILE"):
        MeshSigner(ProcessSettings(), "order").token("acme")


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["EC", "RSA"])
def test_a_minted_token_is_verified_whatever_the_key_s_kind(
    issuer: Issuer, verifier: Verifier, clock: FakeClock, key: jwk.Key
) -> None:
    issuer.publish(key)
    token = mint(
        json.dumps(key.as_dict(private=True)),
        settings=issuer.settings,
        subject="dev",
        tenant="acme",
        system="salesforce",
        roles=["integration", "admin"],
        clock=clock,
    )
    assert verifier.verify(token).roles == {"integration", "admin"}


def test_no_token_is_minted_for_a_role_that_does_not_exist(issuer: Issuer) -> None:
    with pytest.raises(ValueError, match="emperor"):
        mint("{}", settings=issuer.settings, subject="d", tenant="a", system="", roles=["emperor"])


def test_a_key_pair_does_not_show_its_private_half() -> None:
    pair = new_keys()
    assert '"d"' in pair.private_jwk
    assert '"d"' not in pair.public_jwks
    assert pair.private_jwk not in repr(pair)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "token"])
def test_only_a_bearer_header_is_taken(header: str) -> None:
    with pytest.raises(Refused):
        bearer_token(header)


def test_the_scheme_s_case_does_not_matter() -> None:
    assert bearer_token("bEARER abc") == "abc"


class Publisher:
    """An issuer that publishes its keys on a port of this machine."""

    def __init__(self) -> None:
        self.status, self.text, self.asked = 200, '{"keys": []}', 0
        publisher = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(publisher.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(publisher.text.encode())

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def publish(self, *keys: jwk.Key) -> None:
        self.text = json.dumps({"keys": [key.as_dict(private=False) for key in keys]})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    key_url(publisher.url).end()
    key_url.cache_clear()
    publisher.close()


def new_key() -> jwk.Key:
    return jwk.OKPKey.generate_key("Ed25519", auto_kid=True)


def test_keys_under_a_url_count_and_are_rotated_without_a_restart(
    issuer: Issuer, clock: FakeClock, publisher: Publisher
) -> None:
    old, new = new_key(), new_key()
    publisher.publish(old)
    verifier = Verifier(issuer.settings.model_copy(update={"jwks_urls": publisher.url}), clock)
    token = issuer.token_by(old)
    assert verifier.verify(token).tenant == "acme"
    assert verifier.verify(issuer.token()).tenant == "acme", "the keys of the file count beside them"
    publisher.publish(new)
    assert "not known" in refusal(verifier, issuer.token_by(new))
    key_url(publisher.url).read()
    assert verifier.verify(issuer.token_by(new)).tenant == "acme"
    assert "not known" in refusal(verifier, token)


@pytest.mark.parametrize(
    ("status", "text"),
    [(500, ""), (302, ""), (200, "{"), (200, "[]"), (200, '{"keys": [' + " " * 300_000 + "]}")],
    ids=["broken", "elsewhere", "no JSON", "no keys", "too long"],
)
def test_a_url_that_fails_leaves_the_last_keys_in_use(
    issuer: Issuer, clock: FakeClock, publisher: Publisher, status: int, text: str
) -> None:
    key = new_key()
    publisher.publish(key)
    verifier = Verifier(issuer.settings.model_copy(update={"jwks_urls": publisher.url}), clock)
    publisher.status, publisher.text = status, text
    key_url(publisher.url).read()
    assert verifier.verify(issuer.token_by(key)).tenant == "acme"


def test_an_outside_issuer_cannot_make_a_process_of_the_mesh(
    issuer: Issuer, clock: FakeClock, publisher: Publisher
) -> None:
    key = new_key()
    publisher.publish(key)
    verifier = Verifier(issuer.settings.model_copy(update={"jwks_urls": publisher.url}), clock)
    claims = issuer.claims(roles=["mesh", "auditor"])
    assert verifier.verify(issuer.signed(claims, key, "EdDSA", key.kid)).roles == {"auditor"}
    assert "mesh" in verifier.verify(issuer.token(roles=["mesh"])).roles


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_a_token_cannot_say_where_its_key_is_to_be_fetched(
    issuer: Issuer, verifier: Verifier, publisher: Publisher, header: str
) -> None:
    stranger = new_key()
    publisher.publish(stranger)
    headers = {"alg": "EdDSA", "kid": stranger.kid, header: publisher.url}
    token = jwt.encode(headers, issuer.claims(), stranger, algorithms=["EdDSA"])
    assert "not known" in refusal(verifier, token)
    assert publisher.asked == 0


@pytest.mark.parametrize(
    "urls",
    [
        "http://issuer.example/keys",
        "https://user:secret@issuer.example/keys",
        "file:///etc/passwd",
        "http://127.0.0.1.example/keys",
        "https://a.example/keys,ftp://b.example",
    ],
)
def test_keys_are_read_from_safe_places_only(urls: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        ProcessSettings(jwks_urls=urls)
