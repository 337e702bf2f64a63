"""OAuth 1.0a signatures against the vectors in Oracle's documentation, where they are on this machine."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connectors.netsuite.simulator.tba import Secrets, base_string, sign, verify

ROOT = Path(__file__).resolve().parents[5]
VECTORS = ROOT.parent / "shared" / "wire" / "netsuite" / "rest" / "tba-test-vectors.json"
SECRETS = Secrets("consumer", "consumer secret", "token", "token/secret")


@pytest.mark.skipif(not VECTORS.is_file(), reason="the wire sheet is not on this machine")
def test_published_vectors() -> None:
    given: dict[str, Any] = json.loads(VECTORS.read_text())
    oauth = {
        "realm": given["realm"],
        "oauth_consumer_key": given["consumerKey"],
        "oauth_token": given["tokenKey"],
        "oauth_signature_method": given["method"],
        "oauth_timestamp": given["timestamp"],
        "oauth_nonce": given["nonce"],
        "oauth_version": given["version"],
    }
    for vector in given["vectors"]:
        assert base_string(vector["http"], vector["url"], oauth) == vector["baseString"]
        signature = sign(vector["http"], vector["url"], oauth, given["consumerSecret"], given["tokenSecret"])
        assert signature == vector["signature"]


def header(signature: str, **changed: str) -> str:
    return ", ".join(
        f'{name}="{quote(value, safe="")}"'
        for name, value in (oauth(**changed) | {"oauth_signature": signature}).items()
    )


def oauth(**changed: str) -> dict[str, str]:
    return {
        "realm": "123456_SB1",
        "oauth_consumer_key": "consumer",
        "oauth_token": "token",
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": "1508242306",
        "oauth_nonce": "fjaLirsIcCGVZWzBX0pg",
        "oauth_version": "1.0",
    } | changed


def test_a_signature_covers_method_address_and_query() -> None:
    url = "http://127.0.0.1:8080/services/rest/record/v1/salesOrder?limit=2&offset=0"
    signature = sign("GET", url, oauth(), SECRETS.consumer_secret, SECRETS.token_secret)
    assert verify("GET", url, header(signature), SECRETS)
    assert not verify("POST", url, header(signature), SECRETS)
    assert not verify("GET", url.replace("offset=0", "offset=2"), header(signature), SECRETS)
    assert not verify("GET", url, header(signature, oauth_nonce="another"), SECRETS)
    assert not verify("GET", url, header(signature, oauth_token="another"), SECRETS)
    assert not verify("GET", url, header(signature, oauth_signature_method="HMAC-SHA1"), SECRETS)


def test_without_secrets_any_complete_header_will_do() -> None:
    assert verify("GET", "http://127.0.0.1/", header("x"), None)
    assert not verify("GET", "http://127.0.0.1/", 'realm="1"', None)
